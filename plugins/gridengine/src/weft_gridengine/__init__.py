"""Grid Engine for weft: blocks as batch jobs, and qrsh to start on all of their hosts."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weft_gridengine.provider import GridEngineProvider
    from weft_gridengine.settings import GridEngine, Qrsh

__all__ = ["GridEngine", "GridEngineProvider", "Qrsh"]

__version__ = "0.1.0"

_HOMES = {
    "GridEngine": "weft_gridengine.settings",
    "GridEngineProvider": "weft_gridengine.provider",
    "Qrsh": "weft_gridengine.settings",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'weft_gridengine' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)
