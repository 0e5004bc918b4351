"""Saving and loading: safetensors for the parameters, JSON for the architecture. Nothing is ever unpickled."""

from retroprop.persistence.checkpoint_file import CheckpointError
from retroprop.persistence.errors import ModelFileError
from retroprop.persistence.model_file import TABULAR_KEY, load, load_with_metadata, read_metadata, save

__all__ = ["TABULAR_KEY", "CheckpointError", "ModelFileError", "load", "load_with_metadata", "read_metadata", "save"]
