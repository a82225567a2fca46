"""A notebook is executed as Jupyter does, and what its cells show is looked at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

PATIENCE = 90

OPEN = """
import weft
from weft import python_app
run = weft.load(weft.Config(run_dir='runs'))
run
"""
SHOUT = """
@python_app
def shout(word):
    return f'<b>{word}</b>'

loud = shout('hi')
loud.result(60)
loud
"""
FAIL = """
@python_app
def fail():
    raise ValueError('no <i>strand</i>')

bad = fail()
bad.exception(60)
bad
"""
ODD = """
class Awkward:
    def __repr__(self):
        raise RuntimeError('no')

@python_app
def make():
    return Awkward()

odd = make()
odd.result(60)
odd
"""


def executed(cells: list[str], folder: Path) -> list[dict[str, Any]]:
    """What each cell of a notebook showed as its value."""
    made: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": f"cell-{number}",
            "metadata": {},
            "outputs": [],
            "source": source.strip(),
        }
        for number, source in enumerate(cells)
    ]
    text = json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    client = NotebookClient(
        nbformat.reads(text, as_version=4),  # type: ignore[no-untyped-call]
        timeout=PATIENCE,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    done = client.execute()
    return [cell.outputs[0]["data"] for cell in done.cells]


@pytest.mark.filterwarnings("default")  # of what notebooks are executed with
def test_futures_and_sessions_show_themselves_in_a_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    cells = [OPEN, SHOUT, FAIL, ODD, "run.status()", "run.close()\nrun"]
    shown = executed(cells, tmp_path)

    opened, loud, bad, odd, status, closed = (one["text/html"] for one in shown)
    assert ">open · " in opened
    assert "no tasks" in opened
    assert "&#x27;&lt;b&gt;hi&lt;/b&gt;&#x27;" in loud
    assert "ValueError: no &lt;i&gt;strand&lt;/i&gt;" in bad
    assert "&lt;Awkward, whose repr raises&gt;" in odd
    assert "2 done, 1 failed" in status
    assert ">closed · " in closed
    assert shown[1]["text/plain"] == "<AppFuture of shout (task 0): done>"
