"""Cobalt for weft: blocks as jobs of Cobalt."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weft_cobalt.provider import CobaltProvider
    from weft_cobalt.settings import Cobalt

__all__ = ["Cobalt", "CobaltProvider"]

__version__ = "0.1.0"

_HOMES = {"Cobalt": "weft_cobalt.settings", "CobaltProvider": "weft_cobalt.provider"}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'weft_cobalt' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)
