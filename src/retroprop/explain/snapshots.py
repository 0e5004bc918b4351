"""Snapshots of a network during training: a callback of `fit` that keeps copies at chosen epochs."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from retroprop.backends import host_backend
from retroprop.network import Network
from retroprop.training.callbacks import TrainingState


class Snapshot(NamedTuple):
    """A network at the end of an epoch; epoch 0 is before the training."""

    epoch: int
    network: Network


class Snapshots:
    """Keep a copy of the network at chosen epochs, on the host.

    Parameters
    ----------
    epochs : int or iterable of int
        The epochs, from 1; 0 is the network before the first.

    Attributes
    ----------
    kept : list of Snapshot
        In the order of the epochs, of the latest training; those that it reached.

    Raises
    ------
    TypeError, ValueError
        If an epoch is no whole number, or below 0, or if there is none.

    Examples
    --------
    >>> import retroprop as rp
    >>> net = rp.Network([2, 4, 1], output="sigmoid", loss="binary_cross_entropy", seed=0)
    >>> snapshots = rp.explain.Snapshots(epochs=(0, 5, 20))
    >>> _ = rp.fit(net, [[0, 1], [1, 1]], [0, 1], epochs=20, callbacks=[snapshots])
    >>> [snapshot.epoch for snapshot in snapshots.kept]
    [0, 5, 20]
    """

    def __init__(self, epochs: int | Iterable[int]) -> None:
        listed: list[Any] = [epochs] if isinstance(epochs, (int, str)) else list(epochs)
        for epoch in listed:
            if not hasattr(epoch, "__index__") or isinstance(epoch, bool):
                raise TypeError(f"epochs of Snapshots must be whole numbers; {epoch!r} is not one.")
            if epoch < 0:
                raise ValueError(f"epochs of Snapshots must be 0 or above, not {epoch!r}.")
        if not listed:
            raise ValueError("epochs of Snapshots is empty: name an epoch or more, 0 for the network before the first.")
        self.epochs = sorted({int(epoch) for epoch in listed})
        self.kept: list[Snapshot] = []

    def on_fit_begin(self, state: TrainingState) -> None:
        """Forget an earlier training, and keep the network before the first epoch if that is wanted."""
        self.kept = []
        self._keep(0, state.network)

    def on_epoch_end(self, state: TrainingState) -> None:
        """Keep the network if this is one of the epochs."""
        self._keep(state.epoch, state.network)

    def _keep(self, epoch: int, network: Any) -> None:
        if epoch in self.epochs:
            self.kept.append(Snapshot(epoch, network.to(host_backend())))
