"""HTTP for weft: files by http and https URLs, brought, kept up to date and sent back."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weft_http.settings import Http
    from weft_http.stager import HttpStager

__all__ = ["Http", "HttpStager"]

__version__ = "0.1.0"

_HOMES = {"Http": "weft_http.settings", "HttpStager": "weft_http.stager"}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'weft_http' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)
