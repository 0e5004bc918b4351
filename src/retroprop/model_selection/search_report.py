"""The report of a search: how much of its work was trained together, and why the rest was not."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class SearchReport:
    """The fits of a search, without the refit.

    Attributes
    ----------
    groups : list of int
        The number of fits in each group that was trained together.
    own_steps : int
        The number of those fits whose steps are their own: there is no other of their form, or it is faster.
    alone : Counter
        The number of fits that scikit-learn did one by one, by the reason.
    resumed : int
        The number of fits whose results are those of a checkpoint.
    n_processes : int
        The number of processes that shared the fits trained together.
    interrupted : bool
        Whether Ctrl-C ended the search: the fits that were not finished have NaN for a score.
    """

    groups: list[int] = field(default_factory=list)
    own_steps: int = 0
    alone: Counter[str] = field(default_factory=Counter)
    resumed: int = 0
    n_processes: int = 1
    interrupted: bool = False

    @property
    def n_fits(self) -> int:
        """The number of all fits, without those of a checkpoint."""
        return sum(self.groups) + self.alone.total()

    @property
    def fraction(self) -> float:
        """The fraction of the fits that were trained together."""
        return sum(self.groups) / self.n_fits if self.n_fits else 0.0

    def __str__(self) -> str:
        """Return the report in one line, with one more for each reason."""
        n = len(self.groups)
        text = f"{sum(self.groups)} of {self.n_fits} fits trained together, in {n} group{'s' * (n != 1)}"
        text += f" by {self.n_processes} processes" if self.n_processes > 1 else ""
        text += f", {self.own_steps} of them by steps of their own" if self.own_steps else ""
        text += f"; {self.resumed} more are those of the checkpoint" if self.resumed else ""
        text += "; interrupted by Ctrl-C" if self.interrupted else ""
        return "\n".join([text, *(f"{n} fits alone: {reason}" for reason, n in self.alone.most_common())])
