"""What a program asks of the GPU: memory, kernels, products, copies and graphs, each prepared once and then called."""

from abc import abstractmethod
from collections.abc import Callable, Sequence

from retroprop.backends.cuda.products.cublaslt import Epilogue
from retroprop.backends.replay.program import Memory
from retroprop.functions.types import Array

Launch = Callable[[], None]


class Runtime(Memory):
    """A device and a library of arrays on it.

    A launch, as `kernel`, `product` and `copy` return it, puts its work on the stream that is current when it is
    called, and waits for nothing.

    Attributes
    ----------
    precision : str
        "highest", "tf32" or "bf16", of products of float32.
    graphs : bool
        Whether launches can be captured: all of them, the products too.
    forks : bool
        Whether launches of a graph may run beside one another.
    epilogues : bool
        Whether a product can do what an `Epilogue` says besides.
    measures : bool
        Whether `fastest` finds out by time; else it is the first of the ways, and nothing more is put into products.
    descends : bool
        Whether a product may be an update: its factors are on the device, so that a graph does not have them fixed.
    rounds : bool
        Whether products of float32 are to take operands in bfloat16, as `uint16`, the result float32.
    """

    precision: str = "highest"
    graphs: bool = False
    forks: bool = False
    epilogues: bool = False
    measures: bool = False
    descends: bool = False
    rounds: bool = False

    @abstractmethod
    def exact(self) -> "Runtime":
        """Return a runtime of the same device whose products have the highest precision."""

    @abstractmethod
    def clear(self, array: Array) -> None:
        """Set all numbers of an array to 0."""

    @abstractmethod
    def kernel(self, text: str, blocks: tuple[int, int, int], threads: int, arguments: Sequence[Array]) -> Launch:
        """Compile a kernel and return its launch."""

    @abstractmethod
    def product(
        self,
        first: Array,
        second: Array,
        result: Array,
        epilogue: Epilogue | None = None,
        *,
        factors: Array | None = None,
        beside: bool = False,
    ) -> Launch:
        """Return the launch of result = first @ second; `beside` others it needs memory of its own to work in.

        With `factors`, two numbers on the device, it is factors[0] (first @ second) + factors[1] result.
        """

    @abstractmethod
    def beside(self, launch: Launch) -> Launch:
        """Launch what may run beside what is launched next, within a graph; return what waits for it."""

    @abstractmethod
    def copy(self, target: Array, source: Array) -> Launch:
        """Return the launch that copies, to another dtype too."""

    @abstractmethod
    def copied(self, array: Array) -> Array:
        """Return a copy, made on the stream that is current."""

    @abstractmethod
    def distance(self, first: Array, second: Array | None = None) -> float:
        """Return Σ|first − second|, of whole numbers how many differ; NaN in one place are the same.

        Without a second array it is Σ|first|.
        """

    @abstractmethod
    def fastest(self, ways: Sequence[Sequence[Launch]]) -> int:
        """Return which of several ways to the same result takes the least time; each is run on whatever is there."""

    @abstractmethod
    def captured(self, launches: Launch) -> Launch:
        """Return what `launches` launches as one graph; it is called once, and nothing runs meanwhile."""
