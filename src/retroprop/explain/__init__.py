"""Derivations, traces and pictures of a network at work: every delta and every partial derivative, with its numbers."""

from retroprop.explain.boundary import boundary
from retroprop.explain.chain import Path
from retroprop.explain.counting import LayerTerms, TermCounts, count_terms
from retroprop.explain.counting_plot import plot_terms
from retroprop.explain.derivation import Derivation
from retroprop.explain.deriving import derive
from retroprop.explain.drawing import draw
from retroprop.explain.page.writing import NetworkPage, page
from retroprop.explain.snapshots import Snapshot, Snapshots
from retroprop.explain.steps import BackpropagationSteps, steps
from retroprop.explain.symmetry import Symmetry, SymmetryRun, symmetry
from retroprop.explain.tracing import NetworkTrace, trace
from retroprop.explain.transpose import Transpose, transpose

__all__ = [
    "BackpropagationSteps",
    "Derivation",
    "LayerTerms",
    "NetworkPage",
    "NetworkTrace",
    "Path",
    "Snapshot",
    "Snapshots",
    "Symmetry",
    "SymmetryRun",
    "TermCounts",
    "Transpose",
    "boundary",
    "count_terms",
    "derive",
    "draw",
    "page",
    "plot_terms",
    "steps",
    "symmetry",
    "trace",
    "transpose",
]
