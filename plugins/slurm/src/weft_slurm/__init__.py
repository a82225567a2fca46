"""Slurm for weft: blocks as batch jobs, and srun to start on all of their nodes."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weft_slurm.provider import SlurmProvider
    from weft_slurm.settings import Slurm, Srun, SrunMPI

__all__ = ["Slurm", "SlurmProvider", "Srun", "SrunMPI"]

__version__ = "0.1.0"

_HOMES = {
    "Slurm": "weft_slurm.settings",
    "SlurmProvider": "weft_slurm.provider",
    "Srun": "weft_slurm.settings",
    "SrunMPI": "weft_slurm.settings",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'weft_slurm' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)
