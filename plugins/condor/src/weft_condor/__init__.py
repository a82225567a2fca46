"""HTCondor for weft: blocks as jobs of a pool."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weft_condor.dialect import CondorDialect
    from weft_condor.settings import Condor

__all__ = ["Condor", "CondorDialect"]

__version__ = "0.1.0"

_HOMES = {"Condor": "weft_condor.settings", "CondorDialect": "weft_condor.dialect"}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'weft_condor' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)
