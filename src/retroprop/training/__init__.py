"""Training: optimizers, batches, the step, the epoch loop, callbacks."""

from retroprop.training.callbacks import EarlyStopping, TrainingState
from retroprop.training.checkpoint_options import Checkpoint
from retroprop.training.course import Course
from retroprop.training.fitting import fit
from retroprop.training.history import DivergenceError, History
from retroprop.training.memory_advice import OutOfDeviceMemoryError

__all__ = [
    "Checkpoint",
    "Course",
    "DivergenceError",
    "EarlyStopping",
    "History",
    "OutOfDeviceMemoryError",
    "TrainingState",
    "fit",
]
