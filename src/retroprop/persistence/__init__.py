"""Saving and loading: safetensors for the parameters, JSON for the architecture. Nothing is ever unpickled."""

from retroprop.persistence.checkpoint_file import CheckpointError
from retroprop.persistence.model_file import ModelFileError, load, read_metadata, save

__all__ = ["CheckpointError", "ModelFileError", "load", "read_metadata", "save"]
