"""The page of environment variables is that of the code, and of what a task really finds."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

import weft
from weft import Config, python_app

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "reference" / "environment.md"


def section(heading: str) -> str:
    text = PAGE.read_text().partition(f"## {heading}\n")[2]
    return re.split(r"^## ", text, maxsplit=1, flags=re.MULTILINE)[0]


def variables(text: str) -> set[str]:
    return set(re.findall(r"^\| `([A-Z_]+)` \|", text, flags=re.MULTILINE))


def named_in_the_code() -> set[str]:
    """Every string of the sources that is the name of a variable of weft, and nothing else."""
    found = set()
    shelves = ("core", "plugins/*", "contrib/*")
    for source in [file for shelf in shelves for file in ROOT.glob(f"{shelf}/src/**/*.py")]:
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= set(re.findall(r"^WEFT_[A-Z_]+$", node.value))
    return found


def test_each_variable_of_the_code_is_on_the_page_and_no_other() -> None:
    assert {name for name in variables(PAGE.read_text()) if name.startswith("WEFT_")} == (
        named_in_the_code()
    )


@python_app
def found() -> list[str]:
    import os

    return sorted(os.environ)


@pytest.mark.parametrize("name", ["processes", "htex"])
def test_a_task_finds_what_the_page_says(name: str, tmp_path: Path) -> None:
    options = {
        "processes": {"max_workers": 1},
        "htex": {"workers_per_node": 1, "accelerators": 1},
    }[name]
    promised = {
        row.split("`")[1]
        for row in section("What a task finds").splitlines()
        if row.startswith("| `") and f"`{name}`" in row.split("|")[2]
    }
    with weft.load(Config(executors=[weft.executor(name, **options)], run_dir=tmp_path)):
        seen = set(found().result(60))
    assert promised
    assert promised <= seen
    assert not variables(section("What is weft's own")) & seen
