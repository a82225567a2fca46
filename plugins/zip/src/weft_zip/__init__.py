"""Members of zip archives for weft: extracted for tasks, and added by many at once."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weft_zip.settings import Zip
    from weft_zip.stager import ZipStager

__all__ = ["Zip", "ZipStager"]

__version__ = "0.1.0"

_HOMES = {"Zip": "weft_zip.settings", "ZipStager": "weft_zip.stager"}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'weft_zip' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)
