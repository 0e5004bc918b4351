"""Dropout masks as a function of a key, a step, a layer and a place: the same bits wherever they are drawn.

Philox4x64-10 makes 256 random bits of a key of 128 and a counter of four words (Salmon, Moraes, Dror and Shaw 2011,
"Parallel random numbers: as easy as 1, 2, 3"). So a mask does not depend on those before it, and a device draws the
same as the host.

Number i of the mask of layer l in step t, row by row, is word i mod 8 of the counter (1 + ⌊i/8⌋, l, t, 0): its 256 bits
are eight words of 32, the lower half of each 64 first. It is kept where its word is p 2³² or above. Words of 32 bits
take half the work of words of 64, and round p to a multiple of 2⁻³², which no training is long enough to notice.
"""

from functools import cached_property
from typing import Any, NamedTuple

import numpy

from retroprop.backends.backend import Backend
from retroprop.core.architecture import Architecture
from retroprop.functions.types import Array, RandomGenerator

PER_BLOCK = 8  # words of 32 bits
KEY_BYTES = 16
_WORD, _HALF = numpy.dtype("<u8"), numpy.dtype("<u4")  # the lower half first, whatever the host's own order


class MaskedLayer(NamedTuple):
    """A hidden layer with dropout: its list index, 1 for the first, its neurons, and the fraction that is masked."""

    layer: int
    n: int
    p: float

    @property
    def threshold(self) -> int:
        """The smallest word that keeps a neuron."""
        return min(round(self.p * 2**32), 2**32 - 1)

    @property
    def scale(self) -> float:
        """1/(1−p), the factor of the neurons that are kept."""
        return 1.0 / (1.0 - self.p)


class MaskForm(NamedTuple):
    """The form of masks, whatever their numbers: hidden layers (None where nothing is masked), rows and dtype."""

    layers: tuple[MaskedLayer | None, ...]
    m: int
    dtype: str


class MaskStream:
    """The dropout masks of one training; the next 16 bytes of the generator are the key.

    Attributes
    ----------
    key : tuple of int
        Two words of 64 bits.
    layers : tuple of MaskedLayer or None
        As in `MaskForm`.
    """

    def __init__(self, backend: Backend, architecture: Architecture, dtype: str, rng: RandomGenerator) -> None:
        drawn = rng.bytes(KEY_BYTES)
        self.backend, self.dtype = backend, dtype
        self.key = int.from_bytes(drawn[:8], "little"), int.from_bytes(drawn[8:], "little")
        hidden = zip(architecture.layer_sizes[1:-1], architecture.dropout, strict=True)
        self.layers = tuple(MaskedLayer(layer, n, p) if p else None for layer, (n, p) in enumerate(hidden, start=1))
        self._philox = numpy.random.Philox(key=0)
        self._at: dict[str, Any] = {"key": self.key}
        self._state: Any = {
            "bit_generator": "Philox",
            "state": self._at,
            "buffer": (0, 0, 0, 0),
            "buffer_pos": 4,  # the buffer is used up
            "has_uint32": 0,
            "uinteger": 0,
        }

    def kept(self, one: MaskedLayer, step: int, m: int, first: int = 0) -> Array:
        """Return which neurons of a layer are kept in a step, on the host: bool (m, n), of the rows from `first` on."""
        size, (block, skipped) = m * one.n, divmod(first * one.n, PER_BLOCK)
        # NumPy increments the counter before it draws, so the first block is 1. A new Philox(key=, counter=) would give
        # the same, in 10 µs and not in 0.3.
        self._at["counter"] = block, one.layer, step, 0
        self._philox.state = self._state
        words = self._philox.random_raw((skipped + size + 1) // 2).astype(_WORD, copy=False).view(_HALF)
        kept: Array = words[skipped : skipped + size].reshape(m, one.n) >= one.threshold
        return kept

    def drawn(self, one: MaskedLayer, step: int, m: int, first: int = 0) -> Array:
        """Return mask/(1−p) of a layer in a step, where the network computes: (m, n), of the rows from `first` on."""
        numbers = self.kept(one, step, m, first).astype(self.dtype)
        numbers *= one.scale
        return self.backend.asarray(numbers)


class Masks:
    """The masks of a training after `step` updates, before they are drawn: of m rows of a batch, from `first` on."""

    def __init__(self, stream: MaskStream, step: int, m: int, first: int = 0) -> None:
        self.stream, self.step, self.m, self.first = stream, step, m, first

    @cached_property
    def form(self) -> MaskForm:
        """Their form."""
        return MaskForm(self.stream.layers, self.m, self.stream.dtype)

    def after(self, steps: int) -> "Masks":
        """Return the masks of so many steps later."""
        return Masks(self.stream, self.step + steps, self.m, self.first)

    def drawn(self) -> tuple[Array | None, ...]:
        """Return mask/(1−p) of each hidden layer, (m, n_l), drawn on the host and moved to the network."""
        return tuple(one and self.stream.drawn(one, self.step, self.m, self.first) for one in self.stream.layers)
