"""Every test that is said to prove a promise is there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "tests" / "faults" / "README.md"


def test_the_tests_that_are_named_as_proofs_exist() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", TABLE.read_text())
    assert len(named) > 20
    known: dict[str, set[str]] = {}
    for file, _ in named:
        if file not in known:
            tree = ast.parse((ROOT / file).read_text())
            known[file] = {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}
    assert [f"{file}::{name}" for file, name in named if name not in known[file]] == []


def test_every_promise_is_proven_or_said_not_to_be() -> None:
    text = TABLE.read_text()
    rows = set(re.findall(r"^\| ([RS]\d+) \|", text, re.MULTILINE))
    assert {"R1", "R8", "R9", "S1", "S4", "S5"} <= rows
