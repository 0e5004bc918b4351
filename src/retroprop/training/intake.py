"""The data of several trainings, each taken in once."""

from collections.abc import Callable
from typing import Any, Protocol

from retroprop.backends import Backend
from retroprop.backends.intake.batch import Batch, take_inputs, take_targets, take_weights
from retroprop.backends.intake.mapped_file import Mapped
from retroprop.core.architecture import Architecture
from retroprop.network import Network
from retroprop.training import arguments
from retroprop.training.row_source import is_source, loaded, refuse_others
from retroprop.training.source_rows import SourceRows
from retroprop.training.target_rows import TargetRows, is_stored


class NetworkForm(Protocol):
    """All that the form of the data depends on: that of a network."""

    @property
    def backend(self) -> Backend:
        """Where the data are to live."""

    @property
    def architecture(self) -> Architecture:
        """The numbers of inputs and outputs, and the loss."""

    @property
    def dtype(self) -> str:
        """The dtype they are cast to."""


class Intake:
    """The data that trainings were given: the same objects are checked, cast and moved once, and held once."""

    def __init__(self) -> None:
        self._known: dict[Any, tuple[Any, Any]] = {}

    def taken(
        self, net: NetworkForm, x: Any, y: Any, sample_weight: Any, *, as_stored: bool, some: bool = True
    ) -> Batch:
        """Return the data of a training of `net`, all values checked; `x` as `take_inputs` describes.

        `some` weight must be above 0.

        Raises
        ------
        TypeError, ValueError
            If they do not fit the network.
        """
        backend, architecture, dtype = net.backend, net.architecture, net.dtype
        form = _form(net)
        for name, one in (("x", x), ("y", y)):
            refuse_others(one, name)

        def take_x() -> Any:
            rows = SourceRows(x, name="x", dtype=dtype) if as_stored and is_source(x) else loaded(x)
            return take_inputs(backend, architecture, dtype, rows, check=True, as_stored=as_stored)

        with backend.active():
            inputs = self._once(("x", id(x), as_stored, *form[:3]), x, take_x)
            rows = tuple(inputs.shape[:-1])

            def take_y() -> Any:
                if isinstance(inputs, Mapped) and is_stored(y):
                    return TargetRows(architecture, dtype, y, *rows)
                return take_targets(backend, architecture, dtype, loaded(y), rows, check=True)

            targets = self._once(("y", id(y), isinstance(inputs, Mapped), rows, *form), y, take_y)
            weights = self._once(
                ("weight", id(sample_weight), rows, some, *form[:2]),
                sample_weight,
                lambda: take_weights(backend, dtype, loaded(sample_weight), rows, check=True, some=some),
            )
        return Batch(inputs, targets, weights)

    def validation(self, net: Network, validation_data: Any) -> Batch | None:
        """Return the validation data of a training of `net`, as `arguments.validation` does."""
        # Two tuples of the same arrays are the same data, as those of several models of one fold.
        parts = validation_data if isinstance(validation_data, (tuple, list)) else ()
        batch: Batch | None = self._once(
            ("validation", len(parts), *map(id, parts or [validation_data]), *_form(net)),
            validation_data,
            lambda: arguments.validation(net, type(validation_data)(map(loaded, parts)) if parts else validation_data),
        )
        return batch

    def _once(self, key: tuple[Any, ...], given: Any, take: Callable[[], Any]) -> Any:
        """Return the result of `take` for an object: the earlier one, where it was given for the same form."""
        if key not in self._known:
            # With the object itself, so that no other takes its identity.
            self._known[key] = given, take()
        return self._known[key][1]


def _form(net: NetworkForm) -> tuple[Any, ...]:
    """Return all that the data depend on: the first two entries for weights, three for inputs, all for targets."""
    loss, sizes = net.architecture.output.loss, net.architecture.layer_sizes
    return net.backend, net.dtype, sizes[0], sizes[-1], loss.takes_indices, loss.target_range, loss.name
