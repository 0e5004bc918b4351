"""The signals of ranks that train networks of their own: one that comes to any rank ends the trainings of all."""

from time import monotonic

from retroprop.training.parallel import Separate
from retroprop.training.signals import PassedOn, Signals, StopRequested

PAUSE = 0.02  # seconds between two looks for the messages of other ranks


class SeparateSignals(PassedOn):
    """The signals that have come to this rank, or that another has told it of.

    Parameters
    ----------
    ranks : Separate
        The connection to the others.
    own : Signals
        Those of this process.
    """

    def __init__(self, ranks: Separate, own: Signals) -> None:
        super().__init__(own)
        self.ranks = ranks
        self._reason, self._looked_at = "", monotonic()

    @property
    def reason(self) -> str:
        """The reason to stop, empty while no signal has come to any rank."""
        if not self._reason and self.own.reason:
            self._reason = self.own.reason
            self.ranks.tell(self._reason)
        elif not self._reason and monotonic() - self._looked_at >= PAUSE:
            self._reason, self._looked_at = self.ranks.heard(), monotonic()
        return self._reason

    def stop_if_asked(self) -> None:
        """Raise StopRequested if a signal has come to any rank."""
        if reason := self.reason:
            self.answered = True
            raise StopRequested(reason)

    def look(self) -> None:
        """Pass on a signal that has come to this rank while it waits."""
        self._looked_at = 0.0
        self.answered = self.answered or bool(self.reason)
