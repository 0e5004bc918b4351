"""Derivations, traces and pictures of a network at work: every delta and every partial derivative, with its numbers."""
