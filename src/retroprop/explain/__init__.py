"""Derivations, traces and pictures of a network at work: every delta and every partial derivative, with its numbers."""

from retroprop.explain.counting import LayerTerms, TermCounts, count_terms
from retroprop.explain.counting_plot import plot_terms

__all__ = ["LayerTerms", "TermCounts", "count_terms", "plot_terms"]
