"""A weft executor on any ``concurrent.futures.Executor``: a pool of your own, used by name."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weft_futures.executor import FuturesExecutor
    from weft_futures.settings import Futures

__all__ = ["Futures", "FuturesExecutor"]

_HOMES = {"Futures": "weft_futures.settings", "FuturesExecutor": "weft_futures.executor"}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'weft_futures' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)
