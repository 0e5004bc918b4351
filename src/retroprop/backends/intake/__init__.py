"""Data and parameters from a user: checked, cast and moved to a backend."""
