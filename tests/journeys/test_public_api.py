"""The names of the face: there, lazy, documented, and enough for a script."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import weft

NAMES = {
    "AppFuture", "Backoff", "Config", "DataFuture", "File", "Resources", "Session", "as_completed",
    "bash_app", "current", "errors", "executor", "id_for_memo", "join_app", "launcher", "load",
    "monitor", "provider", "python_app", "serializer", "stager", "wait",
}  # fmt: skip


def run_python(code: str, **options: Any) -> str:
    """What a fresh interpreter prints."""
    answer = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return str(answer.stdout)


def test_the_public_names_are_there() -> None:
    assert set(weft.__all__) >= NAMES
    for name in weft.__all__:
        assert getattr(weft, name) is not None
        assert name in dir(weft)


def test_every_public_thing_says_what_it_is() -> None:
    for name in NAMES - {"errors", "as_completed", "wait"}:
        assert getattr(weft, name).__doc__, name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'pyhton_app'"):
        _ = weft.pyhton_app


def test_importing_weft_loads_nothing_else() -> None:
    loaded = run_python(
        "import sys; before = set(sys.modules); import weft;"
        "print(*sorted(m for m in set(sys.modules) - before))"
    ).split()

    assert [name for name in loaded if name.startswith("weft")] == ["weft"]
    assert len(loaded) < 10, loaded


def test_decorating_an_app_loads_neither_plugins_nor_libraries_for_people() -> None:
    loaded = run_python(
        "import sys\nfrom weft import python_app\n@python_app\ndef f(x): return x\n"
        "print(*sys.modules)"
    ).split()

    for heavy in ("click", "rich", "pluggy", "typeguard", "dill", "asyncio", "multiprocessing"):
        assert heavy not in loaded, heavy


SCRIPT = """
import weft
from weft import bash_app, join_app, python_app

@python_app
def square(x):
    return x * x

@python_app(returns=2)
def split(x):
    return x // 2, x - x // 2

@python_app
async def slow(x):
    return x

@python_app
def count(inputs):
    return sum(len(open(one).read().split()) for one in inputs)

@bash_app
def words(text, outputs=(), stdout=None):
    return ["printf", "%s", text]

@join_app
def tree(values):
    if len(values) <= 2:
        return total(values)
    half = len(values) // 2
    return total([tree(values[:half]), tree(values[half:])])

@python_app
def total(values):
    return sum(values)

if __name__ == "__main__":
    with weft.load(weft.Config(executors=[EXECUTOR], retries=1)) as session:
        squares = [square(n) for n in range(10)]
        print(tree(squares).result())
        left, right = split(squares[5])
        print(left.result(), right.result(), slow(left).result())
        made = [words(f"some words {n}", stdout=f"{n}.txt", outputs=[weft.File(f"{n}.txt")])
                for n in range(3)]
        print(count(inputs=[one.outputs[0] for one in made]).result())
        print(sorted(f.result() for f in weft.as_completed(squares)) == [n * n for n in range(10)])
        print(session.status().unfinished)
"""

EXECUTORS = [
    'weft.executor("threads", max_threads=2)',
    'weft.executor("processes", max_workers=2)',
]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_script_with_every_kind_of_app_runs(tmp_path: Path, executor: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("EXECUTOR", executor), encoding="utf-8")

    answer = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split("\n") == ["285", "12 13 12", "9", "True", "0", ""], answer.stderr
    assert answer.stderr == ""


def test_a_script_that_forgets_to_close_still_finishes_its_tasks(tmp_path: Path) -> None:
    said = run_python(
        "import weft\n@weft.python_app\ndef say(x): print(x, flush=True)\n"
        "weft.load()\n_ = say('done')\n",
        cwd=tmp_path,
    )

    assert said == "done\n"
