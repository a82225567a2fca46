"""PSI/J for weft: blocks as jobs of any batch system that PSI/J speaks to."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weft_psij.provider import PsijProvider
    from weft_psij.settings import PSIJ

__all__ = ["PSIJ", "PsijProvider"]

__version__ = "0.1.0"

_HOMES = {
    "PSIJ": "weft_psij.settings",
    "PsijProvider": "weft_psij.provider",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'weft_psij' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)
