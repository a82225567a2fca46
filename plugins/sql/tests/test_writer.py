"""What a run writes, and what becomes of it while the database is held, full, gone or killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest

import weft
from weft.testing import FakeContext
from weft.values.events import Event, Notice, RunEnded, RunStarted, TaskMoved, TaskSubmitted
from weft.values.states import TaskState
from weft_sql.monitor import SqlMonitor
from weft_sql.settings import Sql
from weft_testkit.rig import until

BOUND = 90.0
"""Seconds after which what should come about at once has not."""


def eventually(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    until(holds, BOUND, "it has not come about")


def query(path: Path, text: str) -> list[Any]:
    """What a reader finds, which never waits for a writer."""
    with closing(sqlite3.connect(path, timeout=BOUND)) as connection:
        return connection.execute(text).fetchall()


def life_of(task: int, at: float = 1.0) -> list[Event]:
    return [
        TaskSubmitted(at, task, "sum", ()),
        TaskMoved(at + 1, task, "sum", TaskState.LAUNCHED, 1, "cpu"),
        TaskMoved(at + 2, task, "sum", TaskState.DONE, 1),
    ]


@attrs.define
class Run:
    """A monitor that has started."""

    folder: Path
    settings: Sql

    def __attrs_post_init__(self) -> None:
        own = self.folder / "0001" / "monitor-0-sql"
        own.mkdir(parents=True, exist_ok=True)
        self.context = FakeContext(own)
        self.monitor = SqlMonitor(self.settings)
        self.monitor.start(self.context)

    context: FakeContext = attrs.field(init=False)
    monitor: SqlMonitor = attrs.field(init=False)

    @property
    def path(self) -> Path:
        return self.folder / "weft.db"

    @property
    def warnings(self) -> list[str]:
        return [text for level, text in self.context.notices if level == "warning"]

    def has_tasks(self, number: int) -> Callable[[], bool]:
        return lambda: query(self.path, "SELECT count(*) FROM task") == [(number,)]


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Starts runs, and closes those that a test does not."""
    made: list[Run] = []

    def start(**options: Any) -> Run:
        made.append(Run(tmp_path, Sql(**options)))
        return made[-1]

    yield start
    for run in made:
        run.monitor.close()


def test_what_happens_can_be_read_while_it_happens(runs: Callable[..., Run]) -> None:
    run = runs(name="survey", version="7")
    run.monitor.handle([RunStarted(5.0, "id", "/runs/1", "survey.py", "0.9"), *life_of(1)])
    eventually(run.has_tasks(1))
    row = query(run.path, "SELECT name, version, program, weft_version, started, ended FROM run")
    assert row == [("survey", "7", "survey.py", "0.9", 5.0, None)]
    run.monitor.handle([RunEnded(9.0, "id", 1, 0, 0, 4)])
    run.monitor.close()
    row = query(run.path, "SELECT ended, done, lost_events, missed_events FROM run")
    assert row == [(9.0, 1, 4, 0)]
    assert run.warnings == []


def test_several_runs_write_to_one_database(runs: Callable[..., Run]) -> None:
    several = [runs() for _ in range(4)]
    for first in range(0, 400, 40):
        for run in several:
            run.monitor.handle([e for task in range(first, first + 40) for e in life_of(task)])
    for run in several:
        run.monitor.close()
    path = several[0].path
    assert query(path, "SELECT count(*), count(DISTINCT task) FROM task GROUP BY run") == [
        (400, 400)
    ] * len(several)
    assert query(path, "SELECT count(*) FROM state") == [(len(several) * 1200,)]
    assert [run.warnings for run in several] == [[]] * len(several)


def test_what_is_held_by_another_is_written_later(runs: Callable[..., Run]) -> None:
    run = runs()
    with closing(sqlite3.connect(run.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        run.monitor.handle(life_of(1))
        run.context.wait_until(lambda: run.warnings, BOUND)
        run.monitor.handle(life_of(2))
        other.execute("ROLLBACK")
    eventually(run.has_tasks(2))
    run.monitor.close()
    (told,) = run.warnings
    assert "locked" in told
    assert "The run goes on" in told
    assert query(run.path, "SELECT missed_events FROM run") == [(0,)]


def test_what_is_held_to_the_end_is_counted(runs: Callable[..., Run]) -> None:
    run = runs()
    with closing(sqlite3.connect(run.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        run.monitor.handle(life_of(1))
        run.context.wait_until(lambda: run.warnings, BOUND)
        run.monitor.handle([*life_of(2), Notice(1.0, "info", "test", "last")])
        run.monitor.close()
    assert len(run.warnings) == 2
    assert run.warnings[1] == f"7 events could not be written to {run.path}."


def test_a_file_that_is_gone_is_noticed(runs: Callable[..., Run]) -> None:
    run = runs()
    run.monitor.handle(life_of(1))
    eventually(run.has_tasks(1))
    away = run.path.rename(run.path.with_name("away.db"))
    run.monitor.handle(life_of(2))
    run.context.wait_until(lambda: run.warnings, BOUND)
    assert "no longer there" in run.warnings[0]
    away.rename(run.path)
    eventually(run.has_tasks(2))


def test_what_does_not_fit_into_the_backlog_is_counted(runs: Callable[..., Run]) -> None:
    run = runs(backlog=1000)
    with closing(sqlite3.connect(run.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for task in range(500):
            run.monitor.handle(life_of(task))
        run.monitor.handle([RunEnded(9.0, "id", 500, 0, 0)])
        other.execute("ROLLBACK")
    run.monitor.close()
    assert any("behind by 1000 events" in told for told in run.warnings)
    missed, ended = query(run.path, "SELECT missed_events, ended FROM run")[0]
    assert ended == 9.0
    assert 0 < missed <= 1500
    assert query(run.path, "SELECT count(*) FROM state") == [(1500 - missed,)]


def test_a_database_that_cannot_be_written_is_an_error_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "no such folder" / "weft.db"
    with pytest.raises(weft.errors.ConfigurationError) as raised:
        weft.load(weft.Config(run_dir=tmp_path, monitors=[weft.monitor("sql", database=str(path))]))
    assert str(path) in raised.value.what
    assert "No such file" in raised.value.why
    assert "option database" in raised.value.todo


_KILLED = """
import sys, time
from pathlib import Path
import weft

@weft.python_app
def add(a, b):
    return a + b

weft.load(weft.Config(run_dir=Path(sys.argv[1]), monitors=[weft.monitor("sql")]))
print([future.result() for future in [add(n, 1) for n in range(50)]][-1], flush=True)
sys.stdin.read()
"""


def test_what_was_written_outlives_kill_9(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(_KILLED)
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"50\n"
            path = tmp_path / "weft.db"
            eventually(
                lambda: query(path, "SELECT count(*) FROM task WHERE state = 'done'") == [(50,)]
            )
        finally:
            os.kill(process.pid, signal.SIGKILL)
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
    assert query(path, "SELECT ended FROM run") == [(None,)]
    assert query(path, "SELECT count(*) FROM state WHERE state = 'done'") == [(50,)]


def test_a_run_of_a_session(tmp_path: Path) -> None:
    @weft.python_app
    def first() -> int:
        return 1

    @weft.python_app
    def fails(_: int) -> int:
        raise ValueError("told you so")

    config = weft.Config(run_dir=tmp_path, retries=1, monitors=[weft.monitor("sql")])
    with weft.load(config):
        failed = fails(first())
        last = fails(failed)
        assert isinstance(last.exception(BOUND), weft.errors.DependencyError)
    path = tmp_path / "weft.db"
    assert query(path, "SELECT app, state, attempt FROM task ORDER BY task") == [
        ("first", "done", 1), ("fails", "failed", 2), ("fails", "failed", None),
    ]  # fmt: skip
    assert query(path, "SELECT task, needs FROM edge ORDER BY task") == [(1, 0), (2, 1)]
    tried = query(path, "SELECT task, attempt, outcome, error FROM try ORDER BY task, attempt")
    assert [row[:3] for row in tried] == [(0, 1, "done"), (1, 1, "error"), (1, 2, "failed")]
    assert all("told you so" in row[3] for row in tried[1:])
    assert query(path, "SELECT done, failed, missed_events FROM run") == [(1, 2, 0)]
    assert query(path, "SELECT count(*) FROM executor WHERE stopped >= started") == [(1,)]
    parts = query(path, "SELECT queued, dispatched, ran, returned, total FROM overhead")
    assert all(part is None or part >= 0 for row in parts for part in row)


def test_former_runs_are_removed_as_asked(runs: Callable[..., Run]) -> None:
    now = time.time()
    for days in (40, 9, 5, 1):
        run = runs()
        run.monitor.handle([*life_of(1), RunEnded(now - days * 86400, "id", 1, 0, 0)])
        run.monitor.close()
    path = run.path
    open_still = runs()
    open_still.monitor.handle(life_of(7))
    eventually(lambda: query(path, "SELECT count(*) FROM task WHERE task = 7") == [(1,)])
    runs(keep_days=30, keep_runs=2)
    kept = [(3,), (4,), (5,), (6,)]
    eventually(lambda: query(path, "SELECT run FROM run ORDER BY run") == kept)
    assert query(path, "SELECT DISTINCT run FROM state ORDER BY run") == [(3,), (4,), (5,)]
