"""The pilot-job executor of weft: hundreds of thousands of short tasks on many machines."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weft_htex.executor import HTEXExecutor
    from weft_htex.pilot import Pilot
    from weft_htex.settings import HTEX

__all__ = ["HTEX", "HTEXExecutor", "Pilot"]

__version__ = "0.1.0"

_HOMES = {
    "HTEX": "weft_htex.settings",
    "HTEXExecutor": "weft_htex.executor",
    "Pilot": "weft_htex.pilot",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'weft_htex' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)
