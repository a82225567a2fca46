"""Weft launchers for the programs that start a command on all machines of a job."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weft_launchers.settings import (
        Aprun,
        Flux,
        GnuParallel,
        Ibrun,
        Jsrun,
        Mpiexec,
        Mpirun,
    )

__all__ = ["Aprun", "Flux", "GnuParallel", "Ibrun", "Jsrun", "Mpiexec", "Mpirun"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'weft_launchers' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module("weft_launchers.settings"), name)
