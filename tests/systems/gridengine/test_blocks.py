"""Whole runs of htex on a real Grid Engine: blocks come and go, are lost, and leave nothing."""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import weft
from tests.waiting import eventually
from weft import Config, python_app
from weft.errors import WeftError

if TYPE_CHECKING:
    from tests.systems.gridengine.conftest import Cell

BOUND = 120.0
MANY = 50
# The first test brings up the cell, which takes longer on a machine that has more to do.
pytestmark = pytest.mark.timeout(300)


@python_app
def here() -> str:
    """The job in which it runs."""
    return os.environ["JOB_ID"]


@python_app
def slots() -> str:
    """The slots that its job was granted, and by which parallel environment."""
    return f"{os.environ['NSLOTS']} {os.environ['PE']}"


@python_app(executors=["htex"])
def hold(begun: str, go: str) -> str:
    """Says who it is, and waits."""
    with Path(begun).open("a") as file:
        file.write(f"{os.environ['JOB_ID']}\n")
    until = time.monotonic() + BOUND
    while not Path(go).exists() and time.monotonic() < until:
        time.sleep(0.05)
    return os.environ["JOB_ID"]


def executor(label: str = "htex", provider: dict[str, Any] | None = None, **options: Any) -> Any:
    asked = {"poll_interval": 1.0, **(provider or {})}
    return weft.executor(
        "htex",
        label=label,
        provider=weft.provider("gridengine", **asked),
        workers_per_node=1,
        **options,
    )


def config(folder: Path, *executors: Any, **options: Any) -> Config:
    return Config(run_dir=folder / "runs", executors=[*(executors or [executor(**options)])])


def going(cell: Cell) -> list[str]:
    """The jobs that wait or run, and are not being deleted."""
    return [job for job, state in cell.jobs().items() if "d" not in state]


def test_blocks_come_with_the_load_and_go_without_it(cell: Cell, tmp_path: Path) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    asked = config(tmp_path, init_blocks=0, max_blocks=3, max_idle=1.0)
    with weft.load(asked):
        tasks = [hold(str(begun), str(go)) for _ in range(5)]
        eventually(lambda: begun.exists() and len(begun.read_text().split()) == 3, "no 3 blocks")
        assert sorted(begun.read_text().split()) == sorted(going(cell))
        go.touch()
        assert len({one.result(BOUND) for one in tasks}) == 3
        eventually(lambda: not going(cell), "idle blocks stay")
        assert here().result(BOUND) not in begun.read_text().split()
    assert not going(cell)


def test_the_configuration_of_the_guide_runs_as_it_is(
    cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(__file__).parents[3] / "docs" / "examples" / "guide_gridengine.py"
    monkeypatch.chdir(tmp_path)
    with weft.load(runpy.run_path(str(file))["config"]):
        assert slots().result(BOUND) == "4 smp"
    assert not going(cell)


def test_two_executors_at_once_and_many_blocks_that_wait(cell: Cell, tmp_path: Path) -> None:
    waiting = executor(
        "patient", {"queue": "closed.q"}, init_blocks=MANY, max_blocks=MANY, max_idle=600.0
    )
    with weft.load(config(tmp_path, executor(), waiting)) as session:
        assert hold(str(tmp_path / "begun"), str(tmp_path)).result(BOUND)
        eventually(lambda: len(going(cell)) == MANY + 1, "not all are in the queue")

        def said() -> bool:
            blocks = session.status().executors["patient"].blocks
            return len(blocks) == MANY and all("is disabled" in one.reason for one in blocks)

        eventually(said, "it is not said why they wait")
    assert not going(cell)


def test_one_that_others_delete_is_replaced_and_its_task_tried_again(
    cell: Cell, tmp_path: Path
) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    with weft.load(config(tmp_path, heartbeat=1.0, lost_after=5.0)):
        asked = hold(str(begun), str(go))
        eventually(begun.exists, "the task did not begin")
        first = begun.read_text().split()[0]
        cell.ask("qdel", first)
        eventually(lambda: len(begun.read_text().split()) == 2, "it was not tried again")
        go.touch()
        assert asked.result(BOUND) != first


def test_a_block_that_is_held_says_so_and_one_that_cannot_start_says_why(
    cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    asked = config(
        tmp_path, provider={"scheduler_options": ("-h",)}, init_blocks=1, block_failures=1
    )
    with weft.load(asked) as session:
        task = here()
        eventually(lambda: "held back; 'qrls'" in str(session.status()), "the hold is not shown")
        monkeypatch.chdir(tmp_path)
        (tmp_path / "here").rmdir()
        cell.ask("qrls", *going(cell))
        error = task.exception(BOUND)
        assert "Eqw: can't chdir to" in str(error)
        assert "No such file or directory" in str(error)
        assert not going(cell)


def test_the_end_of_its_time_is_no_loss_of_the_block(cell: Cell, tmp_path: Path) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    with weft.load(config(tmp_path, provider={"walltime": "10"}, heartbeat=1.0)) as session:
        asked = hold(str(begun), str(go))
        eventually(
            lambda: "its time was over" in str(session.status().executors["htex"].blocks),
            "the end of its time is not shown",
        )
        go.touch()
        assert asked.result(BOUND) in begun.read_text().split()[1:]


@pytest.mark.parametrize(
    ("options", "what"),
    [({"queue": "alll.q"}, "no queue 'alll.q'"), ({"project": "no"}, "no project 'no'")],
)
def test_what_is_not_there_is_told_at_once(
    cell: Cell, tmp_path: Path, options: dict[str, Any], what: str
) -> None:
    with pytest.raises(WeftError, match=what), weft.load(config(tmp_path, provider=options)):
        here().result(BOUND)
    assert not cell.jobs()


def test_the_doctor_finds_a_walltime_that_no_queue_gives(cell: Cell, tmp_path: Path) -> None:
    file = tmp_path / "wrong.py"
    file.write_text(
        textwrap.dedent("""
        import weft

        provider = weft.provider("gridengine", queue="short.q", walltime="01:00:00")
        config = weft.Config(executors=[weft.executor("htex", provider=provider)])
        """)
    )
    done = subprocess.run(
        [sys.executable, "-m", "weft", "doctor", "--config", file, "--json"],
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    errors = [
        one["what"] for one in json.loads(done.stdout)["findings"] if one["status"] == "error"
    ]
    assert any("'01:00:00' is more than any" in one for one in errors), errors


# A script of a user's: it imports nothing of the tests, which are not on its path.
KILLED = """
import time
import weft

provider = weft.provider("gridengine", poll_interval=1.0, queue="closed.q")
executor = weft.executor("htex", label="htex", provider=provider)
if __name__ == "__main__":
    with weft.load(weft.Config(run_dir={folder!r}, executors=[executor])):
        time.sleep(600)
"""


def test_what_a_killed_script_left_is_deleted_by_the_next(cell: Cell, tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED.format(folder=str(tmp_path / "first")))
    with subprocess.Popen([sys.executable, script], start_new_session=True) as process:
        try:
            eventually(cell.jobs, "it did not submit")
            leases = tmp_path / "state" / "jobs"
            eventually(lambda: list(leases.glob("*.lease")), "its job is not on record")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    (left,) = cell.jobs()
    with weft.load(config(tmp_path / "second", init_blocks=0)):
        eventually(lambda: left not in cell.jobs(), "the job of the killed script stays")
