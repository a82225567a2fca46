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


PROMISES = [f"R{number}" for number in range(1, 21)] + [f"S{number}" for number in range(1, 15)]


def test_every_promise_has_one_row_with_a_test_or_a_reason_why_it_has_none() -> None:
    text = TABLE.read_text()
    rows = re.findall(r"^\| ([RS]\d+) \| [^|]+ \| (.*) \|$", text, re.MULTILINE)
    proven = [name for name, tests in rows if "::" in tests]
    reasons = re.findall(r"^- ([RS]\d+): \S.{20,}$", text, re.MULTILINE)
    assert [name for name in PROMISES if name not in {*proven, *reasons}] == []
    assert sorted(proven) == sorted(set(proven))
    assert set(proven) <= set(PROMISES)
