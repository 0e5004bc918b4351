"""The option --parallel: the engine that connects the processes of a training."""

from typing import TYPE_CHECKING

from retroprop.cli.errors import CommandError

if TYPE_CHECKING:
    from retroprop.scale import MPI

ENGINES = ("mpi",)


def engine_of(name: str | None) -> "MPI | None":
    """Return the engine of that name, None for none; raise CommandError for an unknown one."""
    if name is None:
        return None
    if name not in ENGINES:
        raise CommandError(f'--parallel must be {" or ".join(ENGINES)}, not "{name}".')
    from retroprop.scale import MPI

    return MPI()
