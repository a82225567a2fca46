"""PBS for weft: blocks as jobs of PBS Professional, OpenPBS or TORQUE."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weft_pbs.provider import PbsProvider
    from weft_pbs.settings import Pbs

__all__ = ["Pbs", "PbsProvider"]

__version__ = "0.1.0"

_HOMES = {"Pbs": "weft_pbs.settings", "PbsProvider": "weft_pbs.provider"}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'weft_pbs' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)
