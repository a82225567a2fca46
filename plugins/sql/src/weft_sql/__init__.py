"""Monitoring of weft in SQL: what happened in all runs, in tables of SQLite or PostgreSQL."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weft_sql.monitor import SqlMonitor
    from weft_sql.settings import Sql

__all__ = ["Sql", "SqlMonitor"]

__version__ = "0.1.0"

_HOMES = {"Sql": "weft_sql.settings", "SqlMonitor": "weft_sql.monitor"}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'weft_sql' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)
