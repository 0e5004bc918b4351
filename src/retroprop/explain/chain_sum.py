"""A partial derivative as a sum over paths: the data of a derivation, without its presentation."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from retroprop.core.architecture import Architecture
from retroprop.explain.chain import Factor, Path, Target, all_paths, chain, crossing
from retroprop.explain.expressions import Expression, of
from retroprop.explain.factor_formulas import FactorFormulas
from retroprop.explain.factor_values import FactorValues, RowValues
from retroprop.explain.naming import Quantity


@dataclass(frozen=True)
class ChainSum:
    """The paths of a parameter, their formulas, and their numbers where there are x and y.

    Attributes
    ----------
    target : Target
        The parameter, bias or input.
    paths : list of Path
        All paths of all observations, or of too many the largest few; without x and y those of one observation.
    value : float or None
        The partial derivative: the sum over all paths, and the penalties. Where they are too many to enumerate, the
        recursion makes that sum.
    recursion : float or None
        The partial derivative by backpropagation.
    difference : float or None
        The central difference of J.
    n_paths : int
        The number of paths of one observation.
    penalty_value : float
        The part of the penalties in `value`.
    n_rows : int
        The number of observations.
    limit : int
        The number of paths above which they are not enumerated.
    formulas : FactorFormulas
        The factors as formulas.
    values : FactorValues or None
        The factors as numbers.
    """

    target: Target
    paths: list[Path]
    value: float | None
    recursion: float | None
    difference: float | None
    penalty_value: float
    n_paths: int
    n_rows: int
    limit: int
    formulas: FactorFormulas = field(repr=False)
    values: FactorValues | None = field(repr=False)

    @property
    def architecture(self) -> Architecture:
        """The network's sizes and functions."""
        return self.formulas.architecture

    @property
    def is_written_out(self) -> bool:
        """Whether the paths of an observation are few enough to be written."""
        return self.n_paths <= self.limit

    @property
    def rows(self) -> list[int]:
        """The observations that have paths, from 1."""
        return [self.target.row or 1] if self.target.kind == "x" else list(range(1, self.n_rows + 1))

    @cached_property
    def neurons(self) -> list[tuple[int, ...]]:
        """The paths to write: all of one observation, or of too many the largest few."""
        if self.is_written_out:
            return list(all_paths(self.architecture, self.target))
        return list(dict.fromkeys(path.neurons for path in self.paths))

    @cached_property
    def chains(self) -> list[list[Factor]]:
        """The factors of each of these paths, as formulas."""
        return [chain(self.formulas, self.target, neurons) for neurons in self.neurons]

    @cached_property
    def factors(self) -> list[Factor]:
        """The different factors of these paths."""
        by_name = {(factor.top, factor.bottom): factor for factors in self.chains for factor in factors}
        return list(by_name.values())

    @cached_property
    def penalty(self) -> Expression:
        """The derivative of the penalties; 0 without any, and for biases and inputs."""
        target = self.target
        if target.kind != "theta":
            return of(0.0)
        return self.formulas.penalty(target.layer, target.to, target.from_)

    def at(self, row: int) -> RowValues:
        """Return the numbers of an observation."""
        if self.values is None:
            raise ValueError("a derivation without x and y has no numbers: give derive x= and y=.")
        return self._rows.setdefault(row, RowValues(self.values, row))

    @cached_property
    def _rows(self) -> dict[int, RowValues]:
        return {}

    @property
    def groups(self) -> Sequence[int] | None:
        """The sizes of the groups of a grouped softmax."""
        return crossing(self.architecture).get("groups")

    @property
    def is_enumerated(self) -> bool:
        """Whether `paths` has all paths of all observations."""
        return self.n_paths * len(self.rows) <= self.limit

    @property
    def is_exact(self) -> bool:
        """Whether the sum of the paths is the recursion's value, but for rounding.

        At the limit of an output (a softmax of exactly 0) the factors of a path lose their digits: y/a · a is 0/0.
        """
        if not self.is_enumerated or self.value is None or self.recursion is None:
            return True
        sizes = sum(abs(path.product or 0.0) for path in self.paths) + abs(self.recursion)
        return abs(self.value - self.recursion) <= 1e-8 * sizes

    def delta(self, layer: int, neuron: int | str, row: int | str | None = None) -> Quantity:
        """Return the name of an error term."""
        return Quantity("delta", layer, (neuron,), row)
