"""What a backend is: an array library and one of its devices, and what the rest of retroprop asks of them."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from math import inf
from typing import Any, ClassVar, NamedTuple

from retroprop.backends import host
from retroprop.backends.device_memory import DeviceMemory
from retroprop.backends.staging import Staging
from retroprop.core.operations import Operations
from retroprop.functions.names import flag
from retroprop.functions.types import Array, Device, DType, Namespace

PRECISIONS = ("highest", "tf32", "bf16")


class Demands(NamedTuple):
    """What is asked of a captured step beside what it computes.

    Attributes
    ----------
    precision : str
        How exact products of float32 are, one of `Backend.precisions`.
    deterministic : bool
        Whether the same numbers must give the same bits, at each run.
    work : float
        How many numbers all the calls to come will work on, roughly: a backend that would compile looks whether it is
        worth it.
    """

    precision: str = "highest"
    deterministic: bool = False
    work: float = inf


PLAIN = Demands()


class BackendUnavailableError(ImportError):
    """A backend was asked for by name that this machine cannot give; the message says why and what to install."""


class Backend:
    """An array library on one device. This class serves any library that follows the Array API standard.

    Parameters
    ----------
    xp : namespace
        The library's namespace.
    device : object
        The library's own device object.
    name : str, optional
        Defaults to the name of the namespace.

    Attributes
    ----------
    name : str
        The library: "numpy", "cupy", "torch", "jax", "array_api_strict".
    xp : namespace
        Its functions, as the standard has them.
    device : object
        Where its arrays live, the library's own object.
    precisions : tuple of str
        How exact the products of float32 can be made: "highest", and on some GPUs "tf32" and "bf16".
    """

    library: ClassVar[str] = ""
    precisions: ClassVar[tuple[str, ...]] = ("highest",)

    def __init__(self, xp: Namespace, device: Device, name: str = "") -> None:
        self.xp = xp
        self.device = device
        self.name = name or self.library or xp.__name__

    # What there is ------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, device: str | None) -> "Backend":
        """Return the backend on `device` as a user spells it, or on the best there is for None.

        Raises
        ------
        BackendUnavailableError
            If the library or the device is not to be had.
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

    def model(self) -> str:
        """Return what the device is sold as, empty where it is the processor or the library does not tell."""
        return ""

    def __str__(self) -> str:
        """Return what `get_backend` makes this backend of."""
        return f"{self.name}:{self.device_name()}" if self.device_name() else self.name

    def __repr__(self) -> str:
        return f"<Backend {self}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Backend) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __reduce__(self) -> tuple[Any, ...]:
        from retroprop.backends.registry import get_backend

        return get_backend, (str(self),)

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
        """Move a NumPy array here; the cast is done on the host, so that no wider dtype has to exist here."""
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

    def synchronize(self) -> None:
        """Wait until the device has done all it was given."""

    def active(self) -> AbstractContextManager[Any]:
        """Return a context for computing: the device is current, and the library neither warns nor records.

        Overflow gives inf on every backend alike; training reads the cost and says so in its own words.
        """
        return nullcontext()

    # Memory of its own ----------------------------------------------------------------------------------------

    def memory(self) -> DeviceMemory | None:
        """Return what the device has, None where it is the host's or the library does not tell."""
        return None

    def out_of_memory(self, error: Exception) -> bool:
        """Return whether an error says that the device has no memory left."""
        return isinstance(error, MemoryError)

    def dtype_bytes(self, name: str) -> int:
        """Return the bytes of a real number of that dtype."""
        return int(name[-2:]) // 8

    def staging(self, shape: tuple[int, int], dtype: Any) -> Staging:
        """Return buffers on the way from the host to here, for so many rows of a NumPy dtype at a time."""
        return Staging(self, shape, dtype)

    def report(self) -> dict[str, str]:
        """Return what is to be said of how steps are computed here, and on what: for `retroprop info`."""
        return {}

    # Speed: each has a plain form that is right everywhere --------------------------------------------------

    def operations(self) -> Operations:
        """Return the steps of backpropagation as this backend does them."""
        return Operations(self.xp, self.device)

    def fuse(
        self, formula: Callable[..., tuple[Array, ...]], *, donate: tuple[int, ...] = ()
    ) -> Callable[..., tuple[Array, ...]]:
        """Return a pointwise formula f(xp, *arrays) as a function of the arrays: a step that is nothing else.

        Parameters
        ----------
        formula : callable
            An Array API expression over the namespace it is given first.
        donate : tuple of int
            The arrays an output may overwrite.

        Returns
        -------
        callable
            As `capture` returns it: its results hold until the next call.
        """

        def step(operations: Operations, *arrays: Any) -> tuple[Array, ...]:
            return formula(operations.xp, *arrays)

        return self.capture(step, donate=donate)

    def check_demands(self, demands: Demands, dtype: str) -> None:
        """Raise unless a step of that dtype can be captured that exactly, with the same bits at each run if asked.

        Raises
        ------
        ValueError
            If it cannot; the message says what can.
        """
        precision = demands.precision
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(map(repr, PRECISIONS))}, not {precision!r}.")
        if precision not in self.precisions:
            raise ValueError(
                f"precision={precision!r} is not to be had on {self}: it computes in the dtype it is given "
                f"({', '.join(map(repr, self.precisions))}). CuPy and JAX on an NVIDIA GPU have the others."
            )
        if precision != "highest" and dtype != "float32":
            raise ValueError(f"precision={precision!r} is for products of float32; the network is {dtype}.")
        if flag("deterministic", demands.deterministic) and not self.repeats():
            raise ValueError(
                f"deterministic=True cannot be promised on {self}, whose library may add in any order. CuPy can."
            )

    def repeats(self) -> bool:
        """Return whether a captured step told to be deterministic gives the same bits at each run."""
        return True

    def capture(
        self, step: Callable[..., Any], *, donate: tuple[int, ...] = (), demands: Demands = PLAIN
    ) -> Callable[..., Any]:
        """Return a step (state in, state out) as one unit, where the library can: here, the step itself.

        Parameters
        ----------
        step : callable
            A function of `Operations` first, then of numbers, arrays and nested tuples of them, whose results have
            the same form at each call. It must be pure: it may be called once, to be recorded.
        donate : tuple of int
            The arguments, not counting the operations, whose memory the results may take: what is given there
            must not be read again.
        demands : Demands
            What else is asked of it; what `check_demands` refuses is not.

        Returns
        -------
        callable
            A function of the arguments after the operations. Its results, those without axes excepted, hold until
            the next call, and may be given back to it as a donated argument only; what it keeps from call to call
            is its own, and no other `capture` shares it.

            It may have a method `run(parameters, state, hypers, data, rows, masks)` that does many steps of training
            as one unit: step t is called with `hypers[t]`, a tuple of floats, with `rows[t]`, of an integer array
            (steps, m), and with the masks `masks.after(t)` draws (`retroprop.backends.masks.Masks`, or None). It
            returns parameters, state and the costs, shape (steps,), or None if it cannot, having done nothing.

            It may have an attribute `draws`, true: then it takes `Masks` in place of arrays, too, and draws them.
        """
        return partial(step, self.operations())
