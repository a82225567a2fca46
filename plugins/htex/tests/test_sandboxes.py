"""Tasks of htex with working folders of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

import weft
from weft import Config, File, bash_app, python_app
from weft.errors import MissingOutputs

BOUND = 90.0


@python_app
def count(source: File, outputs: list[File]) -> str:
    Path("counted.txt").write_text(str(len(Path("words.txt").read_text().split())))
    return str(Path.cwd())


@bash_app
def upper(source: File, outputs: list[File]) -> str:
    return "tr a-z A-Z < words.txt > upper.txt; touch scratch"


@bash_app
def miss(outputs: list[File]) -> str:
    return "touch other.txt"


@pytest.mark.timeout(240)
def test_each_task_has_a_folder_and_leaves_its_outputs(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a b c")
    source, results = File(tmp_path / "words.txt"), tmp_path / "results"
    pilots = weft.executor("htex", workers_per_node=1, sandbox="on")
    with weft.load(Config(executors=[pilots], run_dir=tmp_path / "runs")):
        counted = count(source, outputs=[File(results / "counted.txt")])
        uppered = upper(source, outputs=[File(results / "upper.txt")])
        missed = miss(outputs=[File(results / "missed.txt")])
        base = tmp_path / "runs" / ".sandboxes"
        assert Path(counted.result(BOUND)).parent == base
        assert uppered.result(BOUND) == 0
        error = missed.exception(BOUND)
    assert (results / "counted.txt").read_text() == "3"
    assert (results / "upper.txt").read_text() == "A B C"
    assert isinstance(error, MissingOutputs)
    assert list(error.there) == ["other.txt"]
    assert list(base.iterdir()) == []
