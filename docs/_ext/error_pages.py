"""The catalogue of errors: an entry for each code, from the classes and code that meets them."""

from __future__ import annotations

import ast
import importlib
import inspect
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
    "W-CFG-005": "Two parts of a configuration would be told apart by nothing: two executors with "
    "one label, two stagers for one scheme, or one monitor twice.",
    "W-CFG-006": "A component stands inside another one that it does not fit.",
    "W-CFG-007": "A component needs a command, a module or a platform that is not here.",
    "W-CFG-008": "Options that are right one by one make little sense together.",
    "W-CFG-009": "A component is deprecated, removed, or below the maturity that is asked for.",
    "W-PLG-007": "A package implements a hook that this weft does not have.",
}


@lru_cache
def known() -> Mapping[str, type[WeftError]]:
    """Every class of the family, by its qualified name, in the order of the codes."""
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


def of_plugin(module: str) -> str:
    """The errors of a plugin: what each means. Their messages stand in the plugin's guide."""
    found = vars(importlib.import_module(module))
    classes = [found[name] for name in found["__all__"] if issubclass(found[name], WeftError)]
    parts = []
    for cls in sorted(classes, key=lambda cls: cls.code):
        base = cls.__bases__[0]
        said = _docstring(cls)[0].replace("``", "`")
        parts += [
            f"({cls.code.lower()})=\n### {cls.code}: {cls.__name__}",
            f"```{{py:exception}} {module}.{cls.__qualname__}\n```",
            f"{said}\n\nIt is {_article(base.__name__)} {_linked(base)}.",
        ]
    return "\n\n".join(parts)


def public() -> list[type[WeftError]]:
    """The classes that a user may meet and name."""
    return [cls for cls in known().values() if not cls.__name__.startswith("_")]


def entry(cls: type[WeftError]) -> str:
    """One error: its code, what it means, its attributes, and a message that code gave."""
    said, meanings = _docstring(cls)
    bases = " and ".join(_linked(base) for base in cls.__bases__)
    parts = [
        f"({cls.code.lower()})=\n## {cls.code}: {cls.__name__}",
        f"```{{py:exception}} {cls.__module__}.{cls.__qualname__}\n```",
        f"{said}\n\nIt is {_article(cls.__bases__[0].__name__)} {bases}.",
    ]
    if cls in error_examples.EXAMPLES:
        error = error_examples.example_of(cls)
        parts.append(f"For example:\n\n```text\n{_neutral(str(error))}\n```")
        parts.append(_facts(error, meanings))
    elif cls in error_examples.families():
        below = sorted(
            (child for child in public() if child.__bases__[0] is cls), key=lambda c: c.code
        )
        parts.append(f"A family, for `except`: {', '.join(map(_linked, below))}.")
        if meanings:
            parts.append(_table([(name, text, "") for name, text in meanings.items()]))
    return "\n\n".join(part for part in parts if part)


def _linked(cls: type[BaseException]) -> str:
    return (
        f"[{cls.__name__}](#{cls.code.lower()})"
        if issubclass(cls, WeftError)
        else f"`{cls.__name__}`"
    )


def _article(noun: str) -> str:
    return "an" if noun[0] in "AEIOU" else "a"


def _docstring(cls: type[WeftError]) -> tuple[str, dict[str, str]]:
    """What it means, and what its attributes mean, where the docstring says so."""
    text = inspect.cleandoc(cls.__doc__ or "")
    said, _, listed = text.partition("\n\nAttributes:\n")
    meanings: dict[str, str] = {}
    names: list[str] = []
    for line in inspect.cleandoc(listed).splitlines():
        head, colon, rest = line.partition(": ")
        if colon and re.fullmatch(r"\w+(, \w+)*", head):
            names = head.split(", ")
            meanings.update(dict.fromkeys(names, rest))
        else:
            meanings.update({name: f"{meanings[name]} {line.strip()}" for name in names})
    return said, {name: text.replace("``", "`") for name, text in meanings.items()}


def _facts(error: WeftError, meanings: Mapping[str, str]) -> str:
    """Its attributes, as they are in the example."""
    facts = {name: value for name, value in vars(error).items() if name not in _PARTS}
    for name in meanings:
        facts.setdefault(name, getattr(error, name, None))
    return _table([(name, meanings.get(name, ""), _shown(value)) for name, value in facts.items()])


_PARTS: Final = {"what", "why", "todo"}


def _table(rows: list[tuple[str, str, str]]) -> str:
    if not rows:
        return ""
    columns = [0, *(column for column in (1, 2) if any(row[column] for row in rows))]
    heads = [("attribute", "", "here")[column] for column in columns]
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    for name, *others in rows:
        cells = [f"`{name}`", *others]
        lines.append(
            "| " + " | ".join(cells[column].replace("|", "\\|") for column in columns) + " |"
        )
    return "\n".join(lines)


def _shown(value: object) -> str:
    text = _neutral(repr(value)).replace("\n", " ")
    if text.startswith("<") or " at 0x" in text:
        return ""
    return f"`{text if len(text) <= _LONGEST else text[:_LONGEST] + '…'}`"


_LONGEST: Final = 70


def _neutral(text: str) -> str:
    """Without the folder that the example ran in, which is gone, and says nothing."""
    text = re.sub(r"(/private)?/(tmp|var/folders)/[^\s'\":,]*?/?tmp\w+", "/home/me/work", text)
    return text.replace("error_examples:", "my_package:")


def problem_codes() -> set[str]:
    """Every code that weft mentions and no class has: those of problems that are only listed."""
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
