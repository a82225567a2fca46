"""Which versions of packages are here, and which differ between a node and here."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from typing import Final

__all__ = ["ALWAYS", "PYTHON", "differing", "python_version", "versions_of"]

PYTHON: Final = "Python"
_INFO: Final = ".dist-info"

ALWAYS: Final = ("weft", "weft-htex", "dill", "pyzmq")
"""Packages that every manager tells of: they make what travels, and read it."""


def python_version() -> str:
    """Of the Python that runs this."""
    return ".".join(map(str, sys.version_info[:3]))


def versions_of(names: Iterable[str]) -> dict[str, str]:
    """The versions of installed distributions, by name; empty for one that is not installed.

    Most are read from the names of the folders that installers leave behind
    (``dill-0.4.1.dist-info``, as the format of wheels prescribes), since ``importlib.metadata``
    takes longer to be loaded than all else that a manager does before its workers start.
    """
    here = _installed()
    return {name: here.get(_normal(name)) or _looked_up(name) for name in dict.fromkeys(names)}


def _normal(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")


def _installed() -> dict[str, str]:
    """The versions that names of folders tell, the first on the path before the others."""
    found: dict[str, str] = {}
    for entry in sys.path:
        try:
            inside = os.listdir(entry or ".")  # noqa: PTH208 - names are all that is needed
        except OSError:  # not there, or no folder
            continue
        for folder in inside:
            if folder.endswith(_INFO):
                name, _, version = folder.removesuffix(_INFO).partition("-")
                found.setdefault(_normal(name), version)
    return found


def _looked_up(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def differing(there: Mapping[str, str], here: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """What has another version there than here, by name: ``(there, here)``."""
    return {
        name: (version, here[name])
        for name, version in there.items()
        if name in here and here[name] != version
    }
