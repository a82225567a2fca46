"""The catalogue of errors: one entry for each code, from the classes and from code that runs into them."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

import error_examples

import weft
from weft.errors import WeftError

__all__ = ["catalogue", "entry", "known", "problem_codes", "problems", "public"]

_PACKAGE: Final = Path(weft.__file__).parent

_PROBLEMS: Final[Mapping[str, str]] = {
    "W-CFG-005": "Two parts of a configuration would be told apart by nothing: two executors with one label, "
    "two stagers for one scheme, or one monitor twice.",
    "W-CFG-006": "A component stands inside another one that it does not fit.",
    "W-CFG-007": "A component needs a command, a module or a platform that this machine does not have.",
    "W-CFG-008": "Options that are right one by one make little sense together.",
    "W-CFG-009": "A component is deprecated, removed, or below the maturity that is asked for.",
    "W-PLG-007": "A package implements a hook that this weft does not have.",
}


@lru_cache
def known() -> Mapping[str, type[WeftError]]:
    """Every class of the family that a module of weft defines, by its qualified name, in the order of the codes."""
    for found in pkgutil.walk_packages([str(_PACKAGE)], "weft."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    classes = {f"{cls.__module__}.{cls.__qualname__}": cls for cls in _below(WeftError)}
    return dict(sorted(classes.items(), key=lambda pair: (pair[1].code, pair[0])))


def _below(cls: type[WeftError]) -> Iterator[type[WeftError]]:
    if cls.__module__.partition(".")[0] == "weft":
        yield cls
    for child in cls.__subclasses__():
        yield from _below(child)


def catalogue(_: str = "") -> str:
    """The whole catalogue."""
    return "\n\n".join(entry(cls) for cls in public())


def public() -> list[type[WeftError]]:
    """The classes that a user may meet and name."""
    return [cls for cls in known().values() if not cls.__name__.startswith("_")]


def entry(cls: type[WeftError]) -> str:
    """One error: its code, what it means, its attributes, and a message that code gave."""
    parts = [
        f"({cls.code.lower()})=\n## {cls.code}: {cls.__name__}",
        "```{eval-rst}\n" + f".. autoexception:: {cls.__module__}.{cls.__qualname__}\n   :show-inheritance:\n```",
    ]
    if cls in error_examples.EXAMPLES:
        parts.append(f"For example:\n\n```text\n{_message(cls)}\n```")
    elif cls in error_examples.families():
        below = sorted(
            (child for child in public() if child.__bases__[0] is cls), key=lambda c: c.code
        )
        links = ", ".join(f"[{child.__name__}](#{child.code.lower()})" for child in below)
        parts.append(f"A family, for `except`: {links}.")
    return "\n\n".join(parts)


def _message(cls: type[WeftError]) -> str:
    text = str(error_examples.example_of(cls))
    # The examples ran in a folder that is gone; its name says nothing.
    text = re.sub(r"(/private)?/(tmp|var/folders)/[^\s'\":,]*?/?tmp\w+", "/home/me/work", text)
    return text.replace("error_examples:", "my_package:")


def problem_codes() -> set[str]:
    """Every code that a module of weft mentions and no class has: the codes of problems that are only listed."""
    classes = {cls.code for cls in known().values()}
    found = set()
    for file in _PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= set(re.findall(r"^W-[A-Z]+-\d+$", node.value))
    return found - classes


def problems(_: str = "") -> str:
    """The codes of problems that `weft check` lists and nothing raises by itself."""
    rows = [f"| `{code}` | {_PROBLEMS[code]} |" for code in sorted(problem_codes())]
    return "\n".join(["| code | |", "| --- | --- |", *rows])
