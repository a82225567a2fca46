"""The rules of the conformance kits, each with the variants that die of it."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from weft.values.plugin import Kind
from weft_testkit.base import Conformance
from weft_testkit.rules import Rule, rules_of

__all__ = ["killers", "kits", "rules"]

_TESTS: Final = Path(__file__).parents[2] / "plugins" / "testkit" / "tests"


@lru_cache
def kits() -> Mapping[str, type[Conformance]]:
    """The kit of each kind."""
    home = import_module("weft_testkit")
    return {
        kind.value: getattr(home, f"{kind.value.capitalize()}Conformance")
        for kind in Kind
        if kind.has_interface
    }


@lru_cache
def killers() -> Mapping[str, tuple[str, ...]]:
    """The variants that die of each rule, by its id: the names of their classes, as words."""
    found: dict[str, list[str]] = {}
    for file in sorted(_TESTS.glob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and (rule := _killed_by(node)):
                found.setdefault(rule, []).append(_words(node.name.removeprefix("Test")))
    return {rule: tuple(dict.fromkeys(names)) for rule, names in found.items()}


def _killed_by(node: ast.ClassDef) -> str:
    for line in node.body:
        targets: list[Any] = []
        if isinstance(line, ast.Assign):
            targets = line.targets
        elif isinstance(line, ast.AnnAssign):
            targets = [line.target]
        named = any(isinstance(one, ast.Name) and one.id == "killed_by" for one in targets)
        value = getattr(line, "value", None)
        if named and isinstance(value, ast.Constant) and isinstance(value.value, str):
            return value.value
    return ""


def _words(name: str) -> str:
    """``LosesTheExitCode`` as "loses the exit code"."""
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()


def rules(kind: str) -> str:
    """A table of the rules of a kit; those that all kits have, for the kind ``all``."""
    common = set(rules_of(Conformance))
    if kind == "all":
        shown = [made for made, _ in rules_of(Conformance).values()]
    else:
        shown = [made for made, _ in rules_of(kits()[kind]).values() if made.id not in common]
    lines = ["| rule | promise | for | dies of it |", "| --- | --- | --- | --- |"]
    lines += [_row(made) for made in shown]
    return "\n".join(lines)


def _row(made: Rule) -> str:
    needs = ", ".join(f"`{need}`" for need in made.needs)
    asked = made.level.value + (f", {needs}" if needs else "")
    asked += ", provisional" if made.provisional else ""
    dying = "; ".join(killers().get(made.id, ()))
    promise = made.promise.replace("|", "\\|")
    return f"| {made.id} | {promise} | {asked} | {dying} |"
