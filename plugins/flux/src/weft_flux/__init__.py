"""Flux for weft: blocks as batch jobs."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weft_flux.dialect import FluxDialect
    from weft_flux.settings import Flux

__all__ = ["Flux", "FluxDialect"]

__version__ = "0.1.0"

_HOMES = {"Flux": "weft_flux.settings", "FluxDialect": "weft_flux.dialect"}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'weft_flux' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)
