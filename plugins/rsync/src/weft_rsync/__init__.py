"""rsync for weft: files of rsync daemons and of hosts over ssh, in and out."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weft_rsync.settings import Rsync
    from weft_rsync.stager import RsyncStager

__all__ = ["Rsync", "RsyncStager"]

__version__ = "0.1.0"

_HOMES = {"Rsync": "weft_rsync.settings", "RsyncStager": "weft_rsync.stager"}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'weft_rsync' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)
