"""Object stores and SFTP for weft, by way of fsspec."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weft_fsspec.settings import Fsspec
    from weft_fsspec.stager import FsspecStager

__all__ = ["Fsspec", "FsspecStager"]

__version__ = "0.1.0"

_HOMES = {
    "Fsspec": "weft_fsspec.settings",
    "FsspecStager": "weft_fsspec.stager",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'weft_fsspec' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)
