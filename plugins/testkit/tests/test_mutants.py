"""Every rule of every kit is shown to be worth its id: some variant breaks it, and dies of it."""

from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

import weft_testkit
from weft_testkit import Conformance
from weft_testkit.rules import rules_of

_HERE = Path(__file__).parent
_KITS = [getattr(weft_testkit, name) for name in weft_testkit.__all__ if name != "Conformance"]


def _classes() -> Iterator[type[Conformance]]:
    """The kits' classes in the tests beside this file."""
    for file in sorted(_HERE.glob("test_*_kit.py")):
        spec = spec_from_file_location(f"mutants_{file.stem}", file)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        for found in vars(module).values():
            if isinstance(found, type) and issubclass(found, Conformance):
                yield found


def _killed() -> dict[Any, set[str]]:
    """By kind of component: the rules that a variant is killed by."""
    killed: dict[Any, set[str]] = {}
    for one in _classes():
        if one.killed_by and one.__name__.startswith("Test"):
            killed.setdefault(one.kind, set()).add(one.killed_by)
    return killed


@pytest.mark.parametrize("kit", _KITS, ids=lambda kit: kit.__name__)
def test_every_rule_kills_a_variant(kit: type[Conformance]) -> None:
    killed = _killed()
    common = set(rules_of(Conformance))
    # What is common to all kinds is shown for one of them.
    of_all = set().union(*killed.values()) & common
    missing = set(rules_of(kit)) - killed.get(kit.kind, set()) - of_all
    assert not missing, f"no variant is killed by {', '.join(sorted(missing))}"
