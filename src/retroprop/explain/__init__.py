"""Derivations, traces and pictures of a network at work: every delta and every partial derivative, with its numbers."""

from retroprop.explain.chain import Path
from retroprop.explain.derivation import Derivation
from retroprop.explain.deriving import derive

__all__ = ["Derivation", "Path", "derive"]
