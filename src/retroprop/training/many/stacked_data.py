"""The data of a group, held once, and the penalties and masks of its networks, side by side."""

from collections.abc import Callable, Sequence

from retroprop.backends import Backend, host
from retroprop.backends.intake.batch import Batch
from retroprop.core.architecture import Architecture
from retroprop.functions.types import Array
from retroprop.training.many.member import Member
from retroprop.training.many.stacked_step import Penalties, StackedData


def stacked_data(backend: Backend, batches: Sequence[Batch]) -> StackedData:
    """Return the data of several trainings; different arrays lie one after another, the same one is not copied."""
    parts: list[Array | None] = []
    offsets: list[Array | None] = []
    for column in zip(*batches, strict=True):
        part, offset = _one_after_another(backend, column)
        parts.append(part)
        offsets.append(offset)
    x, y, weight = parts
    return StackedData(x, y, weight, (offsets[0], offsets[1], offsets[2]))


def _one_after_another(backend: Backend, column: Sequence[Array | None]) -> tuple[Array | None, Array | None]:
    """Return the different arrays as one, and the first row of each training's, None if it is one for all."""
    different = {id(array): array for array in column if array is not None}
    if len(different) <= 1:
        return column[0], None
    firsts, first = {}, 0
    for key, array in different.items():
        firsts[key], first = first, first + array.shape[0]
    offset = host.xp.asarray([[firsts[id(array)]] for array in column], dtype="int64")
    return backend.xp.concat(list(different.values()), axis=0), backend.asarray(offset)


def of_some(data: StackedData, take: Callable[[Array], Array]) -> StackedData:
    """Return the data of some of the trainings, which `take` selects along the first axis."""
    x, y, weight = (None if one is None else take(one) for one in data.offsets)
    return data._replace(offsets=(x, y, weight), penalties=some_penalties(data.penalties, take))


def some_penalties(penalties: Penalties | None, take: Callable[[Array], Array]) -> Penalties | None:
    """Return the penalties of some of the networks."""
    if penalties is None:
        return None
    return tuple(tuple(None if one is None else take(one) for one in pair) for pair in penalties)  # type: ignore[misc]


def penalties_of(
    backend: Backend, architectures: Sequence[Architecture], dtype: str
) -> tuple[Architecture, Penalties | None]:
    """Return the common architecture, and the penalties of each network if they differ."""
    first = architectures[0]._replace(dropout=())
    each = [one.penalties for one in architectures]
    if all(one == each[0] for one in each):
        return first, None

    def column(values: Sequence[float]) -> Array | None:
        return backend.asarray(host.xp.asarray(values)[:, None, None], dtype) if any(values) else None

    layers = zip(*each, strict=True)  # of each Θ, the pairs of all networks
    found = tuple(tuple(column(values) for values in zip(*pairs, strict=True)) for pairs in layers)
    return first._replace(l2=0.0, l1=0.0), found  # type: ignore[return-value]


def masks_of(
    backend: Backend, members: Sequence[Member | None], sizes: Sequence[int], at: int, dtype: str
) -> tuple[Array | None, ...] | None:
    """Return mask/(1−p) of each hidden layer, (K, m, n_l), `at` steps from where each network is; None without dropout.

    Those of a network are the masks that it has alone; it has none where it has ended or a row is repeated.
    """
    layers = next(member.masks.layers for member in members if member is not None and member.masks is not None)
    m, found = max(sizes), list[Array | None]()
    for place, layer in enumerate(layers):
        if layer is None:
            found.append(None)
            continue
        stacked = host.xp.zeros((len(members), m, layer.n), dtype)
        for k, (member, size) in enumerate(zip(members, sizes, strict=True)):
            stream = None if member is None else member.masks
            own = None if stream is None else stream.layers[place]
            if member is not None and stream is not None and own is not None:
                kept = stream.kept(own, member.n_updates + at, size)
                host.xp.multiply(kept, own.scale, out=stacked[k, :size, :], casting="same_kind")
        found.append(backend.asarray(stacked))
    return tuple(found)
