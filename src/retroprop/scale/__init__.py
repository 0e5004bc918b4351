"""Many machines: data-parallel training over MPI, NCCL or sharded JAX, and data larger than memory."""

from retroprop.scale.mpi import MPI
from retroprop.scale.nccl import NCCL

__all__ = ["MPI", "NCCL"]
