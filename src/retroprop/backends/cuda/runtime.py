"""The interface to a GPU: memory, kernels, products, copies and graphs, each prepared once and then called."""

from abc import abstractmethod
from collections.abc import Callable, Sequence

from retroprop.backends.cuda.products.cublaslt import Epilogue
from retroprop.backends.replay.program import Memory
from retroprop.functions.types import Array

Launch = Callable[[], None]


class Runtime(Memory):
    """A device and an array library on it.

    A launch, as `kernel`, `product` and `copy` return it, enqueues its work on the stream that is current when it is
    called, and does not wait for it.
    """

    precision: str = "highest"  # or "tf32" or "bf16": of products of float32
    graphs: bool = False  # whether all launches, the products too, can be in a CUDA graph
    epilogues: bool = False  # whether products take an `Epilogue`
    tiles: bool = False  # whether small products may be computed by generated kernels
    measures: bool = False  # whether `fastest` measures; else it returns the first, and relu is in no product
    # Whether products of float32 should take operands in bfloat16, as `uint16`, with a result in float32.
    rounds: bool = False

    @abstractmethod
    def exact(self) -> "Runtime":
        """Return a runtime of the same device whose products have the highest precision."""

    @abstractmethod
    def clear(self, array: Array) -> None:
        """Set all elements of an array to 0."""

    @abstractmethod
    def kernel(self, text: str, blocks: tuple[int, int, int], threads: int, arguments: Sequence[Array]) -> Launch:
        """Compile a kernel and return its launch."""

    @abstractmethod
    def product(self, first: Array, second: Array, result: Array, epilogue: Epilogue | None = None) -> Launch:
        """Return the launch of result = first @ second, with an epilogue on the result."""

    @abstractmethod
    def copy(self, target: Array, source: Array) -> Launch:
        """Return the launch that copies, to another dtype too."""

    @abstractmethod
    def copied(self, array: Array) -> Array:
        """Return a copy, made on the current stream."""

    @abstractmethod
    def distance(self, first: Array, second: Array | None = None) -> float:
        """Return Σ|first − second|, for integers the number that differ; NaN equals NaN.

        Without a second array it is Σ|first|.
        """

    @abstractmethod
    def fastest(self, ways: Sequence[Sequence[Launch]]) -> int:
        """Return the number of the fastest of several ways to the same result; each is run on the memory as it is."""

    @abstractmethod
    def graph_of(self, launches: Launch) -> Launch:
        """Return all that `launches` launches as one CUDA graph; it is called once, and nothing runs meanwhile."""
