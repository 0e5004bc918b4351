"""Many machines: data-parallel training over MPI, NCCL or sharded JAX, and data larger than memory."""

from retroprop.scale.batches import Batches
from retroprop.scale.mpi import MPI
from retroprop.scale.nccl import NCCL
from retroprop.scale.npy_file import Npy
from retroprop.scale.parquet_file import Parquet
from retroprop.scale.zarr_array import Zarr
from retroprop.training.block_shuffle import BlockShuffle
from retroprop.training.row_source import RowSource

__all__ = ["MPI", "NCCL", "Batches", "BlockShuffle", "Npy", "Parquet", "RowSource", "Zarr"]
