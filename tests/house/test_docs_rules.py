"""Every rule of every kit is on the page of rules, with a variant that dies of it."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "path", [str(ROOT / "docs" / "_ext"), *sys.path])
    return import_module("kit_pages")


def test_each_kind_with_an_interface_has_its_rules_on_the_page(made: Any) -> None:
    page = (ROOT / "docs" / "reference" / "rules.md").read_text()

    for kind in ("all", *made.kits()):
        assert f"<!-- weft: rules {kind} -->" in page


def test_the_table_names_the_variants(made: Any) -> None:
    row = next(line for line in made.rules("launcher").splitlines() if line.startswith("| L007"))

    assert "| tested | loses the exit code; " in row
