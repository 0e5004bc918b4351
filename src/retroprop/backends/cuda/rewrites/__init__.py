"""Passes over a plan that put more into its matrix products."""
