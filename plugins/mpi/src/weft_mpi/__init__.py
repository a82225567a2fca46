"""MPI programs for weft: tasks that get whole nodes of a block, several at a time."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weft_mpi.executor import MPIExecutor
    from weft_mpi.ranks import check_size, on_ranks
    from weft_mpi.settings import MPI
    from weft_mpi.shape import on_nodes
    from weft_mpi.task import Allotment, here

__all__ = ["MPI", "Allotment", "MPIExecutor", "check_size", "here", "on_nodes", "on_ranks"]

__version__ = "0.1.0"

_HOMES = {
    "MPI": "weft_mpi.settings",
    "Allotment": "weft_mpi.task",
    "MPIExecutor": "weft_mpi.executor",
    "check_size": "weft_mpi.ranks",
    "here": "weft_mpi.task",
    "on_nodes": "weft_mpi.shape",
    "on_ranks": "weft_mpi.ranks",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'weft_mpi' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)
