"""The options of a training, as `fit`, the estimators and the command line share them."""

from dataclasses import dataclass
from typing import Any

from retroprop.tabular.errors import near_match
from retroprop.tabular.targets import TASKS

SCHEDULES = ("cosine", "constant")
_POLICIES = ("fill", "refuse")


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """The options of a training, named as the arguments of `retroprop.tabular.fit`; see there."""

    task: str | None = None
    hidden: Any = (100,)
    activation: Any = "relu"
    loss: str | None = None
    optimizer: str = "adam"
    learning_rate: float | None = None
    schedule: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    dropout: float = 0.0
    l2: float = 1e-3
    l1: float = 0.0
    initializer: str = "glorot_uniform"
    clip_norm: float | None = None
    class_weight: Any = None
    early_stopping: bool = False
    patience: int | None = None
    test_size: float = 0.2
    missing: str = "fill"
    seed: int = 0
    dtype: str = "float32"
    backend: Any = None
    progress: bool = False
    checkpoint: Any = None
    ensemble: int | None = None
    search: bool = False
    parallel: Any = None

    @property
    def stops_early(self) -> bool:
        """Whether a training ends when the watched cost no longer improves."""
        return self.early_stopping or self.patience is not None

    def check(self) -> None:
        """Raise ValueError for options that no data would make right."""
        for name, value, accepted in (
            ("schedule", self.schedule, SCHEDULES),
            ("task", self.task, TASKS),
            ("missing", self.missing, _POLICIES),
            ("class_weight", self.class_weight if isinstance(self.class_weight, str) else None, ("balanced",)),
        ):
            if value is not None and value not in accepted:
                raise ValueError(f"{name} must be {' or '.join(accepted)}, not {value!r}.{near_match(value, accepted)}")
        for name, count in (
            ("epochs", self.epochs),
            ("batch_size", self.batch_size),
            ("patience", self.patience),
            ("ensemble", self.ensemble),
        ):
            if count is not None and count < 1:
                raise ValueError(f"{name} must be 1 or above, not {count}.")
        if self.checkpoint is not None and (self.ensemble is not None or self.search):
            other = "search" if self.search else "ensemble"
            raise ValueError(f"checkpoint is for the training of one network: leave it out, or leave {other} out.")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or above, not {self.seed!r}.")
        if not 0.0 <= self.test_size < 1.0:
            raise ValueError(f"test_size must be in [0, 1), the fraction of the rows held out; not {self.test_size:g}.")
