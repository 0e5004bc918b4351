"""Derivations, traces and pictures of a network at work: every delta and every partial derivative, with its numbers."""

from retroprop.explain.boundary import boundary
from retroprop.explain.counting import LayerTerms, TermCounts, count_terms
from retroprop.explain.counting_plot import plot_terms
from retroprop.explain.drawing import draw
from retroprop.explain.snapshots import Snapshot, Snapshots
from retroprop.explain.symmetry import Symmetry, SymmetryRun, symmetry

__all__ = [
    "LayerTerms",
    "Snapshot",
    "Snapshots",
    "Symmetry",
    "SymmetryRun",
    "TermCounts",
    "boundary",
    "count_terms",
    "draw",
    "plot_terms",
    "symmetry",
]
