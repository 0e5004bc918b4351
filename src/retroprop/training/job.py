"""The agreement of the ranks of one training: on its beginning, after each epoch, and on signals to stop."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from zlib import crc32

from retroprop.backends import Backend
from retroprop.functions.types import Array
from retroprop.training.parallel import Parallel, Ranks, common, is_common
from retroprop.training.signals import PassedOn, Signals, StopRequested

REASONS = ("", "interrupted", "terminated")  # a wish to stop by its number


class AgreedSignals(PassedOn):
    """The signals that all ranks know of, after the same step: `reason` is set by an agreement, not by a handler."""

    def __init__(self, own: Signals) -> None:
        super().__init__(own)
        self.reason = ""

    def stop_if_asked(self) -> None:
        """Raise StopRequested if a signal has come on any rank."""
        if self.reason:
            self.answered = True
            raise common(StopRequested(self.reason))


class Job:
    """The ranks of one training, from their first agreement to its end.

    Parameters
    ----------
    ranks : Ranks
        Their connection.
    parallel : Parallel
        The user's options.
    signals : Signals
        Those that ask this process to stop.
    deterministic : bool
        Whether the sums are those of `parallel.parts` parts, whatever the number of ranks.
    """

    def __init__(self, ranks: Ranks, parallel: Parallel, signals: Signals, *, deterministic: bool) -> None:
        self.ranks, self.shard, self.deterministic = ranks, parallel.shard, deterministic
        self.rank, self.size = ranks.rank, ranks.size
        self.parts = parallel.parts if deterministic else ranks.size
        self.signals = AgreedSignals(signals)
        self._began = False

    def check(self) -> None:
        """Raise ValueError for a deterministic training on a number of ranks that its fixed sums are not made for."""
        if self.deterministic and self.shard:
            raise ValueError("deterministic=True needs all rows on every rank: leave out shard=True, or it.")
        if self.deterministic and (self.size & (self.size - 1) or self.parts % self.size):
            raise ValueError(
                f"deterministic=True adds up {self.parts} parts of each batch in a fixed tree, for 1, 2, 4, ... up to "
                f"{self.parts} ranks, not {self.size}."
            )

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """Return a context that all ranks leave together: with an error on any of them, all with an error.

        A training may `begin` within it.
        """
        try:
            yield
        except Exception as error:
            if is_common(error) or self._began:
                raise
            self._report(error)
            raise common(error) from error.__cause__
        if not self._began:
            self.begin()

    def begin(self) -> None:
        """Begin the training, when all ranks are ready: an error is no longer exchanged, but ends them."""
        self.exchange(None)
        self._began = True

    def exchange(self, value: Any) -> list[Any]:
        """Return the plain values of all ranks while they prepare a training.

        Raises the error of the first rank that has one, as the others do.
        """
        answers = self.ranks.agree((None, value))
        for rank, (fault, _) in enumerate(answers):
            if fault is not None:
                kind, text = fault
                known: type[Exception] = {"ValueError": ValueError, "TypeError": TypeError}.get(kind, RuntimeError)
                name = "" if known is not RuntimeError else f"{kind}: "
                raise common(known(f"on rank {rank} of {self.size}: {name}{text}"))
        return [value for _, value in answers]

    def _report(self, error: Exception) -> None:
        self.ranks.agree(((type(error).__name__, str(error)), None))

    def from_first(self, value: Any) -> Any:
        """Return the plain value that rank 0 has."""
        return self.exchange(value if self.rank == 0 else None)[0]

    def compare(self, fields: dict[str, Any]) -> None:
        """Raise ValueError on every rank, by the name of the first field that is not the same on all of them."""
        every = self.exchange(fields)
        for name in every[0]:
            for rank, other in enumerate(every):
                if other.get(name) != every[0][name]:
                    shown = [_short(one.get(name)) for one in (every[0], other)]
                    raise common(
                        ValueError(f"the ranks differ in {name}: rank 0 has {shown[0]}, and rank {rank} {shown[1]}.")
                    )

    @property
    def wish(self) -> float:
        """The wish of this process to stop, as a number that is summed: termination outweighs interruptions."""
        reason = self.signals.own.reason
        return float(REASONS.index(reason) and (self.size + 1 if reason == REASONS[2] else 1))

    def hear(self, wishes: float) -> None:
        """Take the sum of the wishes of all ranks into account."""
        if wishes > 0.0 and not self.signals.reason:
            self.signals.reason = REASONS[2 if wishes > self.size else 1]

    def epoch_ends(self, reason: str, backend: Backend, parameters: Array) -> str:
        """Return the reason of any rank to end the training after an epoch, the first rank's before the others'.

        Raises
        ------
        RuntimeError
            If the parameters are not the same on all ranks.
        """
        digest = crc32(backend.to_numpy(parameters).tobytes())
        reasons, wishes, digests = zip(*self.ranks.agree((reason, self.wish, digest)), strict=True)
        if len(set(digests)) > 1:
            raise common(
                RuntimeError(
                    "the ranks have different parameters after an epoch: a callback must change them alike on every "
                    "rank, and the processors must round alike."
                )
            )
        self.hear(sum(wishes))
        return next(filter(None, reasons), "")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:76]} ..."
