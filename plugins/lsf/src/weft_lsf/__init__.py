"""LSF for weft: blocks as batch jobs."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weft_lsf.dialect import LSFDialect
    from weft_lsf.settings import LSF

__all__ = ["LSF", "LSFDialect"]

__version__ = "0.1.0"

_HOMES = {"LSF": "weft_lsf.settings", "LSFDialect": "weft_lsf.dialect"}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'weft_lsf' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)
