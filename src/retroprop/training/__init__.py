"""Training: optimizers, batches, the step, the epoch loop, callbacks."""

from retroprop.training.callbacks import EarlyStopping, TrainingState
from retroprop.training.course import Course
from retroprop.training.history import DivergenceError, History
from retroprop.training.loop import fit

__all__ = ["Course", "DivergenceError", "EarlyStopping", "History", "TrainingState", "fit"]
