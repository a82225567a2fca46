"""Which versions of packages are here, and which differ between a node and here."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Final

__all__ = ["ALWAYS", "PYTHON", "differing", "python_version", "versions_of"]

PYTHON: Final = "Python"
ALWAYS: Final = ("weft", "weft-htex", "dill", "pyzmq")
"""Packages that every manager tells of: they make what travels, and read it."""


def python_version() -> str:
    """Of the Python that runs this."""
    return ".".join(map(str, sys.version_info[:3]))


def versions_of(names: Iterable[str]) -> dict[str, str]:
    """The versions of installed distributions, by name; empty for one that is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in dict.fromkeys(names):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found


def differing(there: Mapping[str, str], here: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """What has another version there than here, by name: ``(there, here)``."""
    return {
        name: (version, here[name])
        for name, version in there.items()
        if name in here and here[name] != version
    }
