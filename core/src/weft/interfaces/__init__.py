"""The six things that a plugin can be, each a small class with its contract, and the hooks.

Each module has a ``VERSION`` of its own, ``major.minor``. A minor adds what old plugins need not
know; a major may break them. Core calls these interfaces directly; nothing is ever assigned onto a
plugin, which gets what it needs by ``start``.

An import path never changes its meaning: a new major comes in a module of its own, and the old one
stays for as long as components built for it are spoken to (:mod:`weft.compat`).
"""

from importlib import import_module
from types import ModuleType

__all__ = ["MODULES", "module_of"]

MODULES: dict[str, str] = {}
"""Where the interface of a kind is that weft speaks, by kind: for those that have left their first
major, whose module has the name of the kind."""


def module_of(kind: str) -> ModuleType:
    """The module of the interface that weft speaks with components of a kind."""
    return import_module(MODULES.get(kind, f"weft.interfaces.{kind}"))
