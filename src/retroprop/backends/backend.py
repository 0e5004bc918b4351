"""The backend: an array library on one of its devices, with everything the rest of retroprop asks of it."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import inf
from typing import Any, ClassVar, NamedTuple

from retroprop.backends import host
from retroprop.backends.host import Staging
from retroprop.backends.replay.captured_step import CapturedStep
from retroprop.core.operations import Operations
from retroprop.functions.names import flag
from retroprop.functions.types import Array, Device, DType, Namespace

PRECISIONS = ("highest", "tf32", "bf16")


class Demands(NamedTuple):
    """Demands on a captured step beside its result.

    Attributes
    ----------
    precision : str
        The precision of products of float32, one of `Backend.precisions`.
    deterministic : bool
        Whether the same numbers must give the same bits in each run.
    work : float
        The estimated elements of all calls to come, the calls themselves counted as elements, by which a backend
        decides whether to compile.
    varied : bool
        Whether batches of any number of sizes come: a further form is recorded at its second call.
    one : OneOfMany or None
        The step of one network, where the step is that of K with a model axis.
    """

    precision: str = "highest"
    deterministic: bool = False
    work: float = inf
    varied: bool = False
    one: Any = None


PLAIN = Demands()


class DeviceMemory(NamedTuple):
    """Bytes on a device: free (with those the library holds and does not use), in total, and this process's peak."""

    free: int
    total: int
    peak: int


class BackendUnavailableError(ImportError):
    """A backend was asked for by name that this machine does not have; the message has the reason and the remedy."""


class Backend:
    """An array library on one device. This class serves any library that follows the Array API standard.

    Parameters
    ----------
    xp : namespace
        The library's namespace.
    device : object
        The library's own device object.
    name : str, optional
        The name of the library, by default that of the namespace.

    Attributes
    ----------
    precisions : tuple of str
        The precisions of products of float32: "highest", and on some GPUs "tf32" and "bf16".
    cache : int or None
        Bytes of activations that stay in the caches of a processor, for `predict`; None if it takes all rows at once.
    stacked : float
        Rows of a batch times neurons of a network up to which one step of many networks is faster than a step of each.
    """

    find: ClassVar[Callable[[str], "Backend"]]  # by name: the registry's `get_backend`, which a pickle refers to
    library: ClassVar[str] = ""
    precisions: ClassVar[tuple[str, ...]] = ("highest",)
    cache: ClassVar[int | None] = None
    stacked: float = inf

    def __init__(self, xp: Namespace, device: Device, name: str = "") -> None:
        self.xp = xp
        self.device = device
        self.name = name or self.library or xp.__name__

    # Opening ------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, device: str | None) -> "Backend":
        """Return the backend on `device` as a user spells it, or on the best there is for None.

        Raises BackendUnavailableError if the library or the device is not available.
        """
        raise BackendUnavailableError(f"{cls.__name__} cannot be opened by name (asked for device {device!r}).")

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        """Return the devices as a user spells them, best first; empty where none answers."""
        return ()

    @classmethod
    def version(cls) -> str:
        """Return the version of the library."""
        return ""

    def device_name(self) -> str:
        """Return the device as a user spells it, empty where the library has only one."""
        return str(self.device)

    def product_name(self) -> str:
        """Return the product name of the device, empty for a processor or where the library does not report it."""
        return ""

    def __str__(self) -> str:
        """Return the name by which `get_backend` finds this backend."""
        return f"{self.name}:{self.device_name()}" if self.device_name() else self.name

    def __repr__(self) -> str:
        return f"<Backend {self}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Backend) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).find, (str(self),)

    # Arrays -------------------------------------------------------------------------------------------------

    def dtype(self, name: str) -> DType:
        """Return the library's dtype of that name."""
        return getattr(self.xp, name)

    def dtype_name(self, array: Array) -> str:
        """Return the name of an array's dtype, the same on every backend."""
        return str(array.dtype).rpartition(".")[2]

    def asarray(self, x: Any, dtype: str | None = None, *, copy: bool | None = None) -> Array:
        """Return `x`, from the host or of this backend already, as an array that lives here.

        Parameters
        ----------
        x : array or nested sequence
            Host data of a real dtype, or an array of this backend.
        dtype : str, optional
            The dtype to cast to.
        copy : bool, optional
            True always copies; None copies only where it must.
        """
        if not self.owns(x):
            x = self._from_host(host.as_host(x, "x"), dtype, copy)
        wanted = x.dtype if dtype is None else self.dtype(dtype)
        return self.xp.astype(x, wanted, copy=bool(copy)) if x.dtype != wanted or copy else x

    def _from_host(self, x: Array, dtype: str | None, copy: bool | None) -> Array:
        """Move a NumPy array here; the host casts it, so that no wider dtype has to exist here."""
        x = x if dtype is None else x.astype(dtype, copy=False)
        return self.xp.asarray(x, device=self.device, copy=copy)

    def to_numpy(self, x: Array) -> Array:
        """Return an array of this backend as a NumPy array, waiting for it where the device works apart."""
        return host.xp.asarray(x)

    def belongs(self, x: Any) -> bool:
        """Return whether `x` is an array of this library, on whatever device."""
        namespace = getattr(x, "__array_namespace__", None)
        return namespace is not None and namespace() is self.xp

    def owns(self, x: Any) -> bool:
        """Return whether `x` is an array of this library on this device."""
        return self.belongs(x) and bool(x.device == self.device)

    def is_traced(self, x: Any) -> bool:
        """Return whether `x` stands for an array within a transformation of the library's, and has no values."""
        return False

    def synchronize(self) -> None:
        """Wait until the device has finished all its work."""

    def active(self) -> AbstractContextManager[Any]:
        """Return a context for computing: the device is current, and the library neither warns nor records.

        Overflow gives inf on every backend alike; training reads the cost and reports it.
        """
        return nullcontext()

    def ordered_as(self, array: Array, like: Array) -> Array:
        """Return a matrix in the memory order of another, where the library has more than one."""
        return array

    # Memory of its own ----------------------------------------------------------------------------------------

    def memory(self) -> DeviceMemory | None:
        """Return the memory of the device, None where it is the host's or the library does not report it."""
        return None

    def out_of_memory(self, error: Exception) -> bool:
        """Return whether an error says that the device has no memory left."""
        return isinstance(error, MemoryError)

    def dtype_bytes(self, name: str) -> int:
        """Return the bytes of a real number of that dtype."""
        return int(name[-2:]) // 8

    def staging(self, shape: tuple[int, int], dtype: Any) -> Staging:
        """Return double buffers for uploads from the host, of so many rows of a NumPy dtype at a time."""
        return Staging(self.asarray, shape, dtype)

    def report(self) -> dict[str, str]:
        """Return a report on how and on which device steps are computed, for `retroprop info`."""
        return {}

    # Steps: each method has a plain form that is right everywhere --------------------------------------------------

    def operations(self) -> Operations:
        """Return the operations of backpropagation as this backend does them.

        A method that a backend overrides takes effect wherever the operation runs: in `predict`, and in every captured
        step, which is recorded through it, if it is written over `self.xp`, and else runs as it is written.
        """
        return Operations(self.xp, self.device)

    def check_demands(self, demands: Demands, dtype: str) -> None:
        """Raise ValueError unless a step of that dtype can be captured that exactly, with the same bits if asked."""
        precision = demands.precision
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(map(repr, PRECISIONS))}, not {precision!r}.")
        if precision not in self.precisions:
            raise ValueError(
                f"precision={precision!r} is not available on {self}: it computes in the dtype it is given "
                f"({', '.join(map(repr, self.precisions))}). CuPy and JAX on an NVIDIA GPU have the others."
            )
        if precision != "highest" and dtype != "float32":
            raise ValueError(f"precision={precision!r} is for products of float32; the network is {dtype}.")
        if flag("deterministic", demands.deterministic) and not self.repeats():
            raise ValueError(
                f"deterministic=True cannot be promised on {self}, whose library may add in any order. CuPy can."
            )

    def repeats(self) -> bool:
        """Return whether a captured step that is demanded to be deterministic gives the same bits in each run."""
        return True

    def stacks(self, sizes: Sequence[int], m: int, work: float) -> bool:
        """Return whether one step of many networks, each with m rows, is faster than a step of each; work as of all."""
        return m * sum(sizes) <= self.stacked

    def capture(
        self, step: Callable[..., Any], *, donate: tuple[int, ...] = (), demands: Demands = PLAIN
    ) -> CapturedStep:
        """Return a step (state in, state out) as one unit, where the library can: here, the step as it is written.

        Parameters
        ----------
        step : callable
            A function of `Operations` first, then of numbers, arrays and nested tuples of them, whose results have
            the same form at each call. It must be pure: it may be called once, to be recorded.
        donate : tuple of int
            The arguments, not counting the operations, whose memory the results may take: an argument given there
            must not be read again.
        demands : Demands
            Further demands; those that `check_demands` refuses are not passed.

        Returns
        -------
        CapturedStep
            A function of the arguments after the operations. Its results, those without axes excepted, hold until
            the next call, and may be given back to it as a donated argument only; it keeps its memory from call to
            call, and no other `capture` shares it.
        """
        return CapturedStep(step, self.operations(), donate)
