"""Training: optimizers, batches, the step, the epoch loop, callbacks."""

from retroprop.training.callbacks import EarlyStopping, TrainingState
from retroprop.training.history import DivergenceError, History
from retroprop.training.loop import fit

__all__ = ["DivergenceError", "EarlyStopping", "History", "TrainingState", "fit"]
