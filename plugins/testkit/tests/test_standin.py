"""A stand-in runs jobs as a scheduler does, and its commands go wrong when a test wants that."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from weft_testkit.standin import Cell

BOUND = 60.0

STANDIN = """
from weft_testkit.standin import Cell, Entry

def submit(cell, words):
    log = str(cell.folder / "log")
    entry = Entry(script=words[0], shell="/bin/sh", last_words={
        "": [log, "code @code@\\n"], "expired": [log, "over\\n"],
        "cancelled": [log + "@number@", "gone\\n"]}, environment={
        "PATH": "/usr/bin:/bin", "MACHINES": "@machines@", "FILE": "@file@", "NUMBER": "@number@"})
    for word in words[1:]:
        name, _, value = word.partition("=")
        kind = {"nodes": int, "per_node": int, "walltime": float}.get(name, str)
        setattr(entry, name, kind(value))
    print(cell.submit(entry))
    return 0

def jobs(cell, words):
    for entry in cell.jobs():
        print(entry.number, entry.state, entry.code, entry.how or "-")
    return 0

PROGRAMS = {"submit": submit, "jobs": jobs}
"""


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[Cell]:
    module = tmp_path / "mine.py"
    module.write_text(STANDIN)
    made = Cell(tmp_path / "cell with a blank")
    made.install(module, machines=2)
    yield made
    made.end()


def ask(cell: Cell, name: str, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [cell.programs / name, *map(str, words)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=BOUND,
        check=False,
    )


def job(cell: Cell, text: str, *options: str) -> int:
    file = cell.folder / "script"
    file.write_text(text)
    return int(ask(cell, "submit", file, *options).stdout)


def ended(cell: Cell, number: int) -> tuple[int | None, str]:
    eventually(lambda: cell.job(number).state == "ended")
    return cell.job(number).code, cell.job(number).how


def eventually(holds: Callable[[], object]) -> None:
    until = time.monotonic() + BOUND
    while not holds():
        assert time.monotonic() < until, "it has not come about"
        time.sleep(0.02)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_job_runs_on_machines_of_its_own_and_ends_with_its_code(cell: Cell) -> None:
    out = cell.folder / "out"
    number = job(
        cell, 'echo "$MACHINES $NUMBER"; cat "$FILE"; exit 3', "nodes=2", "per_node=2", f"out={out}"
    )
    assert ended(cell, number) == (3, "")
    assert out.read_text() == "node1,node2 1\nnode1\nnode1\nnode2\nnode2\n"
    assert (cell.folder / "log").read_text() == "code 3\n"
    assert ask(cell, "jobs").stdout == "1 ended 3 -\n"
    assert cell.calls("jobs") == [[]]


def test_a_job_waits_until_there_are_machines_for_it(cell: Cell) -> None:
    go = cell.folder / "go"
    first = job(cell, f"while [ ! -e '{go}' ]; do sleep 0.05; done", "nodes=2")
    eventually(lambda: cell.job(first).state == "running")
    second = job(cell, "true")
    assert cell.job(second).state == "queued"
    go.touch()
    assert ended(cell, second) == (0, "")


def test_with_a_cancelled_job_ends_what_it_has_started(cell: Cell) -> None:
    child = cell.folder / "child"
    number = job(cell, f"sleep 600 & echo $! > '{child}.part'; mv '{child}.part' '{child}'; wait")
    eventually(child.exists)
    cell.cancel(number)
    assert ended(cell, number) == (-signal.SIGTERM, "cancelled")
    eventually(lambda: not lives(int(child.read_text())))


def test_a_job_that_does_not_listen_is_killed(cell: Cell) -> None:
    both = cell.folder / "both"
    number = job(
        cell,
        "trap '' TERM; echo said; while :; do sleep 0.1; done",
        *("walltime=4", f"out={both}.@number@", f"err={both}.@number@"),
    )
    assert ended(cell, number) == (-signal.SIGKILL, "expired")
    assert Path(f"{both}.{number}").read_text() == "said\n"
    assert (cell.folder / "log").read_text() == "over\n"


def test_a_held_job_starts_when_it_is_released_and_ends_when_it_is_cancelled(cell: Cell) -> None:
    first, second = job(cell, "true", "held=user"), job(cell, "true", "held=user")
    assert {cell.job(first).state, cell.job(second).state} == {"queued"}
    cell.release(first)
    assert ended(cell, first) == (0, "")
    cell.cancel(second)
    assert ended(cell, second) == (None, "cancelled")
    assert (cell.folder / f"log{second}").read_text() == "gone\n"


def test_jobs_of_a_test_that_was_killed_end_by_themselves(cell: Cell) -> None:
    cell.configure(life=0.5)
    held, endless = job(cell, "true", "held=user"), job(cell, "while :; do sleep 0.1; done")
    assert ended(cell, held) == (None, "cancelled")
    assert ended(cell, endless)[1] == "expired"


def test_a_job_that_cannot_begin_has_ended(cell: Cell) -> None:
    assert ended(cell, job(cell, "true", "folder=/no/such/folder")) == (127, "")


def test_numbers_begin_where_the_test_says(cell: Cell) -> None:
    cell.configure(first=1000)
    assert [job(cell, "true"), job(cell, "true")] == [1000, 1001]


def test_many_commands_at_once_do_not_disturb_one_another(cell: Cell) -> None:
    file = cell.folder / "script"
    file.write_text("true")
    asked = [
        subprocess.Popen([cell.programs / "submit", file], stdout=subprocess.PIPE) for _ in range(6)
    ]
    said = [int(one.communicate(timeout=BOUND)[0]) for one in asked]
    assert sorted(said) == [1, 2, 3, 4, 5, 6]
    for number in said:
        assert ended(cell, number) == (0, "")


def test_a_command_fails_as_it_is_told(cell: Cell) -> None:
    cell.fault("jobs", "fail", "jobs: the server is down", 7)
    said = ask(cell, "jobs")
    assert (said.returncode, said.stdout, said.stderr) == (7, "", "jobs: the server is down\n")
    cell.fault("jobs", "every-second", "down")
    assert [ask(cell, "jobs").returncode for _ in range(4)] == [0, 1, 0, 1]
    cell.fault("jobs", "")
    assert ask(cell, "jobs").returncode == 0


def test_rubbish_is_printed_and_the_work_done_all_the_same(cell: Cell) -> None:
    file = cell.folder / "script"
    file.write_text("true")
    cell.fault("submit", "garbage")
    said = ask(cell, "submit", file)
    assert said.returncode == 0
    assert "Service Unavailable" in said.stdout
    assert ended(cell, 1) == (0, "")


@pytest.mark.parametrize(("kind", "jobs"), [("hang", 0), ("late", 1)])
def test_a_command_hangs_before_or_after_its_work(cell: Cell, kind: str, jobs: int) -> None:
    file = cell.folder / "script"
    file.write_text("true")
    cell.fault("submit", kind)
    with subprocess.Popen([cell.programs / "submit", file], start_new_session=True) as process:
        try:
            eventually(lambda: len(cell.hanging()) == 2)
            assert process.poll() is None
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    assert len(cell.jobs()) == jobs
