"""The version of retroprop, in one place."""

__version__ = "0.2.0"
