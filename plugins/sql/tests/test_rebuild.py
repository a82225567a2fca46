"""Runs rebuilt from their logs: row for row those that were written live, whatever the log is."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import weft
from weft.errors import ConfigurationError, EventLogError, WeftError
from weft.eventlog.reader import read_events
from weft.eventlog.writer import NAME, EventLogWriter
from weft.testing import FakeContext
from weft.values.events import Event, RunEnded, RunStarted, TaskMoved, TaskSubmitted
from weft.values.states import TaskState
from weft_sql import changes
from weft_sql.cli import main
from weft_sql.database import Database
from weft_sql.monitor import SqlMonitor
from weft_sql.places import Place
from weft_sql.rebuild import rebuild
from weft_sql.schema import TABLES, VERSION, VERSION_TABLE
from weft_sql.settings import Sql
from weft_testkit.limits import no_file_beyond
from weft_testkit.monitor import all_events
from weft_testkit.rig import until

BOUND = 90.0

_OWN = {"recorder", "heard"}
"""What tells a rebuilt run from one that was written live."""

Contents = dict[str, list[tuple[object, ...]]]


def contents(path: Path) -> Contents:
    """All rows of all tables, but what each writer says of itself."""
    found: Contents = {}
    with closing(sqlite3.connect(path, timeout=BOUND)) as connection:
        for name, table in TABLES.items():
            names = [f'"{column.name}"' for column in table.columns if column.name not in _OWN]
            rows = connection.execute(f'SELECT {", ".join(names)} FROM "{name}"').fetchall()
            found[name] = sorted(rows, key=repr)
    return found


def value(path: Path, query: str) -> Any:
    with closing(sqlite3.connect(path, timeout=BOUND)) as connection:
        return connection.execute(query).fetchone()[0]


def rebuilt(folder: Path, *, into: str = "again.db", **options: str) -> Path:
    """The database that a run was rebuilt in, which lies beside the folder of the run."""
    words = [f"--{name}={said}" for name, said in options.items()]
    run_dir = folder.parent
    assert main([str(folder), f"--run-dir={run_dir}", f"--database={into}", *words]) == 0
    return run_dir / into


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with failures, retries and edges, of which a database was written."""
    run_dir = tmp_path_factory.mktemp("runs")

    @weft.python_app
    def add(a: int, b: int) -> int:
        return a + b

    @weft.python_app
    def fails(_: int) -> int:
        raise ValueError("told you so — 数据")

    config = weft.Config(
        run_dir=run_dir, retries=1, monitors=[weft.monitor("sql", name="survey", version="7")]
    )
    with weft.load(config):
        firsts = [add(number, 1) for number in range(300)]
        seconds = [add(first, first) for first in firsts[:50]]
        failed = [fails(second) for second in seconds[:3]]
        assert [second.result(BOUND) for second in seconds] == [2 * n + 2 for n in range(50)]
        assert add(failed[0], 1).exception(BOUND) is not None
    (folder,) = [one for one in run_dir.iterdir() if one.is_dir()]
    assert value(run_dir / "weft.db", "SELECT missed_events FROM run") == 0
    return folder


def written(folder: Path, events: Sequence[Event], about: str = "run") -> Path:
    """A run folder with a log of these events, in batches of 40."""
    folder.mkdir(parents=True)
    log = EventLogWriter(folder / NAME, {"run": about} if about else {}, pytest.fail)
    for first in range(0, len(events), 40):
        log.write(events[first : first + 40])
    log.close()
    return folder


def life(tasks: int = 400) -> list[Event]:
    """The events of a run of some length."""
    events: list[Event] = [RunStarted(1.0, "run", "/runs/1", "/home/me/x.py", "0.1", "node", "me")]
    for task in range(tasks):
        events += [
            TaskSubmitted(2.0, task, "sum", (task - 1,) if task else ()),
            TaskMoved(3.0, task, "sum", TaskState.LAUNCHED, 1, "cpu"),
            TaskMoved(4.0, task, "sum", TaskState.DONE, 1, place="worker 1 on node1"),
        ]
    return [*events, RunEnded(5.0, "run", tasks, 0, 0)]


# ------------------------------------------------------------------------------- row for row


def test_a_rebuilt_run_is_the_one_that_was_written_live(
    lived: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(lived.parent / "weft.db")
    again = contents(rebuilt(lived))
    # What the run was called is said to its monitor alone.
    named = [(*row[:2], "survey", "7", *row[4:]) for row in again["run"]]
    columns = [column.name for column in TABLES["run"].columns if column.name not in _OWN]
    assert columns[:4] == ["run", "id", "name", "version"]
    assert {**again, "run": named} == before
    assert len(before["task"]) == 354
    assert len(before["edge"]) == 54
    assert before["try"]
    out, err = capsys.readouterr()
    assert "run 1 of" in out
    assert err == ""


def test_in_the_database_that_it_was_written_to_nothing_changes(
    lived: Path, tmp_path: Path
) -> None:
    path = tmp_path / "weft.db"
    shutil.copy(lived.parent / "weft.db", path)
    before = contents(path)
    assert before["run"][0][2:4] == ("survey", "7")
    for _ in range(2):
        assert main([str(lived), f"--database={path}"]) == 0
        assert contents(path) == before
    assert value(path, "SELECT recorder FROM run") == str(lived / NAME)


def test_every_event_there_is_comes_to_the_same_rows(tmp_path: Path) -> None:
    own = tmp_path / "0001" / "monitor-0-sql"
    own.mkdir(parents=True)
    monitor = SqlMonitor(Sql())
    monitor.start(FakeContext(own))
    told = [*all_events(), *all_events(500)]
    for event in told:  # one transaction each, or a few
        monitor.handle([event])
    monitor.close()
    log = EventLogWriter(own.parent / NAME, {"run": FakeContext(own).run_id}, pytest.fail)
    log.write(told)
    log.close()
    live, again = contents(tmp_path / "weft.db"), contents(rebuilt(own.parent))
    # The context of the kit is not of the run that the events tell of.
    assert {**again, "run": []} == {**live, "run": []}
    assert all(live.values())


def test_several_runs_keep_their_numbers(
    tmp_path: Path, lived: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, tasks in ((1, 3), (2, 5), (3, 7)):
        run_id = f"run-{number}"
        events = [RunStarted(1.0, run_id, "/", "x.py", "0.1"), *life(tasks)[1:]]
        written(tmp_path / f"{number:04}", events, run_id)
    path = tmp_path / "weft.db"
    assert main(["--all", f"--run-dir={tmp_path}"]) == 0
    first = contents(path)
    assert [row[0] for row in first["run"]] == [1, 2, 3]
    assert main(["2", f"--run-dir={tmp_path}"]) == 0
    assert contents(path) == first
    # One that cannot be read does not keep the others from it.
    (tmp_path / "0002" / NAME).write_bytes(b"my thesis, chapter one\n" * 10)
    assert main(["3", "2", "1", f"--run-dir={tmp_path}"]) == 1
    assert contents(path) == first
    assert "It is no event log of weft" in capsys.readouterr().err
    with pytest.raises(EventLogError):
        main(["2", f"--run-dir={tmp_path}"])


# ---------------------------------------------------------------------- cut, damaged, going on


def test_what_is_damaged_is_said_and_all_else_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = written(tmp_path / "0001", life())
    log = folder / NAME
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 0xFF
    log.write_bytes(data)
    path = rebuilt(folder)
    whole = sum(1 for _ in read_events(log))
    assert 1 + 1160 < whole < 1202
    out, err = capsys.readouterr()
    assert f"{whole:,} events" in out
    assert "1 chunks are missing" in err
    assert value(path, "SELECT missed_events IS NULL FROM run") == 1
    assert value(path, "SELECT ended FROM run") == 5.0


def test_a_log_that_is_cut_anywhere_gives_what_is_before_the_cut(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = written(tmp_path / "whole", life(60)) / NAME
    size = whole.stat().st_size
    counts = []
    for number, cut in enumerate(range(size // 5, size, size // 5)):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        (folder / NAME).write_bytes(whole.read_bytes()[:cut])
        path = rebuilt(folder, into=f"{number}.db")
        counts.append(value(path, "SELECT count(*) FROM state"))
        assert value(path, "SELECT ended IS NULL FROM run") == 1
        expected = sum(isinstance(e, TaskMoved | TaskSubmitted) for e in read_events(folder))
        assert counts[-1] == expected
        out, err = capsys.readouterr()
        assert "was broken off" in out
        assert "is damaged" in err
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]


def test_a_run_that_lost_its_beginning_is_known_by_the_first_line(tmp_path: Path) -> None:
    folder = written(tmp_path / "0001", life()[1:])
    path = rebuilt(folder)
    assert value(path, "SELECT id FROM run") == "run"
    assert value(path, "SELECT started FROM run") == 2.0
    nameless = written(tmp_path / "0002", life()[1:], about="")
    with pytest.raises(WeftError, match="cannot be rebuilt") as raised:
        rebuilt(nameless)
    assert "which run it is of" in raised.value.why


_SCRIPT = """
import sys, threading
from pathlib import Path
import weft

@weft.python_app
def add(a, b):
    return a + b

@weft.python_app
def waits():
    threading.Event().wait(600)

monitors = [weft.monitor("sql")] if "--live" in sys.argv else []
weft.load(weft.Config(run_dir=Path(sys.argv[1]), monitors=monitors))
[future.result() for future in [add(n, 1) for n in range(500)]]
waits()
print("under way", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def going_on(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a run that goes on until it is killed."""
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    made: list[subprocess.Popen[bytes]] = []

    def start(*words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(script), str(tmp_path), *words]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        made.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"under way\n"
        return process

    yield start
    for process in made:
        process.kill()
        process.wait(BOUND)
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()


def test_after_kill_9_all_is_there_up_to_the_last_flush(
    tmp_path: Path,
    going_on: Callable[..., subprocess.Popen[bytes]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    process = going_on()
    (log,) = tmp_path.glob(f"*/{NAME}")

    def waits() -> bool:
        return any(
            isinstance(event, TaskMoved) and event.app == "waits" and event.executor
            for event in read_events(log)
        )

    until(waits, BOUND, "it was not flushed")
    # While it goes on: what is there by now.
    path = rebuilt(log.parent)
    assert "It goes on" in capsys.readouterr().out
    early = contents(path)
    assert len(early["task"]) == 501
    os.kill(process.pid, signal.SIGKILL)
    process.wait(BOUND)
    assert rebuilt(log.parent) == path
    assert "was broken off" in capsys.readouterr().out
    assert contents(path) == early
    states = "SELECT count(*) FROM task WHERE state"
    assert value(path, f"{states} = 'done'") == 500
    assert value(path, f"{states} = 'launched' AND app = 'waits'") == 1
    assert value(path, "SELECT ended IS NULL FROM run") == 1


def test_a_run_that_writes_to_the_database_itself_is_left_to_it(
    tmp_path: Path, going_on: Callable[..., subprocess.Popen[bytes]]
) -> None:
    going_on("--live")
    (log,) = tmp_path.glob(f"*/{NAME}")
    with pytest.raises(WeftError) as raised:
        rebuilt(log.parent, into="weft.db")
    assert "The run goes on" in raised.value.why
    assert "another database" in raised.value.todo
    assert value(rebuilt(log.parent), "SELECT count(*) FROM run") == 1


# ------------------------------------------------------------------------------- the database


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short run."""
    return written(tmp_path_factory.mktemp("runs") / "0001", life())


def test_one_that_is_held_is_waited_for_and_then_named(tmp_path: Path, folder: Path) -> None:
    path = rebuilt(folder, into=str(tmp_path / "weft.db"))
    before = contents(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ConfigurationError, match="cannot be written") as raised:
            rebuilt(folder, into=str(path), wait="0.1")
        assert "locked" in raised.value.why
        other.execute("ROLLBACK")
    assert contents(path) == before


def test_one_whose_disk_is_full_keeps_what_it_had(tmp_path: Path, folder: Path) -> None:
    path = rebuilt(written(tmp_path / "0001", life(20)), into=str(tmp_path / "weft.db"))
    before = contents(path)
    longer = written(tmp_path / "0002", life(3000), "other")
    database = Database(Place("sqlite", path))
    try:
        database.prepare()
        with (
            no_file_beyond(path.stat().st_size + 8192),
            pytest.raises(ConfigurationError) as raised,
        ):
            rebuild(longer, database)
    finally:
        database.close()
    assert raised.value.why
    assert contents(path) == before
    assert len(contents(rebuilt(folder, into=str(path)))["task"]) == 400


def test_one_that_may_only_be_read_is_named(tmp_path: Path, folder: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    rebuilt(folder, into=str(place / "weft.db"))
    words = [
        sys.executable, "-m", "weft", "runs", "rebuild", str(folder),
        f"--database={place / 'weft.db'}",
    ]  # fmt: skip
    if os.geteuid() == 0:  # whom no mode keeps from writing
        text = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
        words = ["unshare", "--mount", "sh", "-c", text, "sh", str(place), *words]
        probe = ["unshare", "--mount", "sh", "-c", text, "sh", str(place), "true"]
        if shutil.which("unshare") is None or subprocess.run(probe, check=False).returncode:
            pytest.skip("nothing can be mounted here")
    else:
        (place / "weft.db").chmod(0o400)
        place.chmod(0o500)
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=BOUND, check=False)
    finally:
        place.chmod(0o700)
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "Do: See that the folder exists and that you may write there" in done.stderr


def test_an_older_schema_is_brought_up_to_date_and_a_newer_one_refused(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = rebuilt(folder, into=str(tmp_path / "weft.db"))
    before = contents(path)
    versions = tmp_path / "versions"
    shutil.copytree(changes.versions_folder(), versions)
    newer = f"{int(VERSION) + 1:04}"
    (versions / f"{newer}_more.py").write_text(
        f"import sqlalchemy as sa\nfrom alembic import op\n\nrevision = {newer!r}\n"
        f"down_revision = {VERSION!r}\n\n\ndef upgrade():\n"
        "    op.create_table('mood', sa.Column('task', sa.Integer()))\n"
    )
    with monkeypatch.context() as changed:
        changed.setattr(changes, "versions_folder", lambda: versions)
        for module in ("schema", "database"):
            changed.setattr(f"weft_sql.{module}.VERSION", newer)
        rebuilt(folder, into=str(path))
        assert value(path, f"SELECT version_num FROM {VERSION_TABLE}") == newer
        assert contents(path) == before
    with pytest.raises(ConfigurationError, match="newer weft-sql"):
        rebuilt(folder, into=str(path))
    assert contents(path) == before


def test_what_is_no_database_is_a_wrong_use(folder: Path) -> None:
    import click

    for wrong in ("mysql://host/weft", "postgresql://me:secret@host/weft"):
        with pytest.raises(click.BadParameter):
            main([str(folder), f"--database={wrong}"])
    with pytest.raises(click.UsageError):
        main([str(folder), "--all"])
    assert main(["--all", f"--run-dir={folder}"]) == 0
