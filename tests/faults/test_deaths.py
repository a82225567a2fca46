"""Whatever process dies or stands still: every task ends, rightly, and once."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import weft
from weft import python_app
from weft.errors import ExecutorFailed
from weft.values.task import Ended

BOUND = 60.0
NEVER = 600.0
"""Seconds of a heartbeat that no test waits for: what is noticed here is noticed without it."""

SEPARATE = pytest.mark.parametrize("kind", ["processes", "htex", "direct"])
HTEX = pytest.mark.parametrize("kind", ["htex", "direct"])
BROKER = pytest.mark.parametrize("kind", ["htex"])
SILENT = {"heartbeat": NEVER, "lost_after": 2 * NEVER}

Make = Callable[..., weft.Config]


@python_app
def worker() -> int:
    return os.getpid()


@python_app
def double(number: int) -> int:
    return 2 * number


@python_app
def run_first_time_for_ever(begun: str) -> int:
    """Says that it has begun; ends only when it is run again."""
    with Path(begun).open("a") as file:
        file.write(f"{os.getpid()}\n")
    if len(Path(begun).read_text().splitlines()) == 1:
        signal.pause()
    return os.getpid()


@python_app
def run_until(begun: str, pipe: str) -> str:
    """Says that it has begun, and ends when somebody writes into the pipe."""
    with Path(begun).open("a") as file:
        file.write(f"{os.getpid()}\n")
    with Path(pipe).open() as held:
        return held.read()


@python_app
def run_until_unlocked(begun: str, gate: str) -> int:
    """Says that it has begun, and ends when nobody holds the gate."""
    with Path(begun).open("a") as file:
        file.write(f"{os.getpid()}\n")
    with Path(gate).open() as held:
        fcntl.flock(held, fcntl.LOCK_SH)
    return os.getpid()


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def details(run: weft.Session, kind: str) -> Any:
    return next(iter(run.status().executors.values())).details


def managers(run: weft.Session, kind: str) -> list[int]:
    return [one["pid"] for one in details(run, kind).get("managers", {}).values()]


def manager(run: weft.Session, kind: str, eventually: Any) -> int:
    """The only one, once this process has heard of it: a task of it may begin before."""
    eventually(lambda: managers(run, kind), "no manager came")
    [pid] = managers(run, kind)
    return pid


def interchange(run: weft.Session, kind: str) -> int:
    return int(details(run, kind)["interchange"].split()[1])


def kill_and_wait_until_gone(pid: int, eventually: Any) -> None:
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{pid}").exists() or state_of(pid) == "Z")


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


# ------------------------------------------------------------------------------------------ workers


@SEPARATE
@pytest.mark.usefixtures("nothing_left")
def test_two_of_four_idle_workers_are_killed_eight_times_over(config: Make) -> None:
    """Workers share nothing that one of them could hold and die with."""
    with weft.load(config(workers=4)):
        for _ in range(8):
            alive = sorted({one.result(BOUND) for one in [worker() for _ in range(40)]})
            for pid in alive[:2]:
                os.kill(pid, signal.SIGKILL)
            futures = [double(number) for number in range(40)]
            assert [one.result(BOUND) for one in futures] == [2 * n for n in range(40)]


@SEPARATE
@pytest.mark.usefixtures("nothing_left")
def test_busy_workers_that_are_killed_cost_their_tasks_one_try(
    config: Make, tmp_path: Path, eventually: Any
) -> None:
    with weft.load(config(workers=3)):
        marks = [tmp_path / f"begun-{n}" for n in range(2)]
        busy = [run_first_time_for_ever(str(mark)) for mark in marks]
        eventually(lambda: all(lines(mark) for mark in marks))
        others = [double(number) for number in range(100)]
        for mark in marks:
            os.kill(int(lines(mark)[0]), signal.SIGKILL)
        assert [one.result(BOUND) for one in others] == [2 * n for n in range(100)]
        for future, mark in zip(busy, marks, strict=True):
            assert future.result(BOUND) == int(lines(mark)[1])
            assert [one.ended for one in future.tries] == [Ended.KILLED, Ended.VALUE]
            assert [one.number for one in future.tries] == [1, 2]
            assert future.tries[0].charged == 0


@SEPARATE
@pytest.mark.usefixtures("nothing_left")
def test_a_worker_that_stands_still_holds_up_its_own_task_alone(
    config: Make, tmp_path: Path, eventually: Any
) -> None:
    pipe, begun = tmp_path / "pipe", tmp_path / "begun"
    os.mkfifo(pipe)
    with weft.load(config(workers=2)):
        still = run_until(str(begun), str(pipe))
        eventually(lambda: lines(begun))
        pid = int(lines(begun)[0])
        os.kill(pid, signal.SIGSTOP)
        others = [double(number) for number in range(100)]
        assert [one.result(BOUND) for one in others] == [2 * n for n in range(100)]
        assert not still.done()
        os.kill(pid, signal.SIGCONT)
        pipe.write_text("go on")
        assert still.result(BOUND) == "go on"
        assert len(still.tries) == 1


# ----------------------------------------------------------------------------------------- managers


def what_ran_on_the_manager_that_got(
    number: signal.Signals, config: Make, kind: str, tmp_path: Path, eventually: Any
) -> Any:
    """The task that ran when the manager got a signal; it and what waited ended well elsewhere."""
    begun = tmp_path / "begun"
    with weft.load(config(workers=1, executor=SILENT)) as run:
        running = run_first_time_for_ever(str(begun))
        waiting = [double(n) for n in range(20)]
        eventually(lambda: lines(begun))
        os.kill(manager(run, kind, eventually), number)
        assert running.result(BOUND) == int(lines(begun)[1])
        assert [one.result(BOUND) for one in waiting] == [2 * n for n in range(20)]
    return running


@HTEX
@pytest.mark.usefixtures("nothing_left")
def test_a_manager_that_is_killed_is_noticed_without_any_heartbeat(
    config: Make, kind: str, tmp_path: Path, eventually: Any
) -> None:
    running = what_ran_on_the_manager_that_got(signal.SIGKILL, config, kind, tmp_path, eventually)
    assert [one.ended for one in running.tries][1:] == [Ended.VALUE]
    assert running.tries[0].charged == 0


@HTEX
@pytest.mark.usefixtures("nothing_left")
def test_the_workers_of_a_manager_that_is_killed_end_with_it(
    config: Make, kind: str, eventually: Any
) -> None:
    with weft.load(config(workers=2, executor=SILENT)) as run:
        pids = {one.result(BOUND) for one in [worker() for _ in range(20)]}
        os.kill(manager(run, kind, eventually), signal.SIGKILL)
        eventually(lambda: all(state_of(pid) == "Z" for pid in pids))
        assert worker().result(BOUND) not in pids


@HTEX
@pytest.mark.usefixtures("nothing_left")
def test_a_manager_that_stands_still_for_a_while_loses_nothing(
    config: Make, kind: str, tmp_path: Path, eventually: Any
) -> None:
    """It is told of a task, stands still, and its worker ends meanwhile: the result comes later."""
    pipe, begun = tmp_path / "pipe", tmp_path / "begun"
    os.mkfifo(pipe)
    with weft.load(config(workers=2)) as run:
        running = run_until(str(begun), str(pipe))
        eventually(lambda: lines(begun))
        pid = manager(run, kind, eventually)
        os.kill(pid, signal.SIGSTOP)
        waiting = [double(number) for number in range(20)]
        pipe.write_text("go on")
        assert not running.done()
        os.kill(pid, signal.SIGCONT)
        assert running.result(BOUND) == "go on"
        assert [one.result(BOUND) for one in waiting] == [2 * n for n in range(20)]
        assert len(running.tries) == 1
        assert [len(one.tries) for one in waiting] == [1] * 20


@HTEX
@pytest.mark.usefixtures("nothing_left")
def test_of_a_manager_that_stood_still_for_too_long_nothing_counts_any_more(
    config: Make, kind: str, tmp_path: Path, eventually: Any
) -> None:
    """Two managers: what one had when it stood still is run by the other, and counts once."""
    begun = tmp_path / "begun"
    counted: list[Any] = []
    executor = {"heartbeat": 0.2, "lost_after": 1.0, "init_blocks": 2, "max_blocks": 2}
    with weft.load(config(workers=1, executor=executor)) as run:
        eventually(lambda: len(managers(run, kind)) == 2)
        gate = tmp_path / "gate"
        with gate.open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            running = run_until_unlocked(str(begun), str(gate))
            running.add_done_callback(counted.append)
            eventually(lambda: lines(begun))
            first = parent_of(int(lines(begun)[0]))
            assert first in managers(run, kind)
            os.kill(first, signal.SIGSTOP)
            eventually(lambda: len(lines(begun)) == 2, bound=BOUND)  # it runs elsewhere
        # Both end now; and if the manager lives on, it says so of the first.
        with contextlib.suppress(ProcessLookupError):
            os.kill(first, signal.SIGCONT)
        assert running.result(BOUND) == int(lines(begun)[1])
        assert [one.ended for one in running.tries][1:] == [Ended.VALUE]
        assert double(2).result(BOUND) == 4
    assert len(counted) == 1


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@HTEX
@pytest.mark.usefixtures("nothing_left")
def test_managers_that_are_terminated_give_back_what_has_not_begun(
    config: Make, kind: str, tmp_path: Path, eventually: Any
) -> None:
    what_ran_on_the_manager_that_got(signal.SIGTERM, config, kind, tmp_path, eventually)


# --------------------------------------------------------------------------------- the interchange


@BROKER
@pytest.mark.usefixtures("nothing_left")
def test_an_interchange_that_is_killed_is_replaced_idle_or_busy(
    config: Make, kind: str, tmp_path: Path, eventually: Any
) -> None:
    begun = tmp_path / "begun"
    with weft.load(config(workers=1, executor=SILENT)) as run:
        assert double(1).result(BOUND) == 2
        os.kill(interchange(run, kind), signal.SIGKILL)
        assert double(2).result(BOUND) == 4
        running = run_first_time_for_ever(str(begun))
        waiting = [double(number) for number in range(20)]
        eventually(lambda: lines(begun))
        os.kill(interchange(run, kind), signal.SIGKILL)
        assert [one.result(BOUND) for one in waiting] == [2 * n for n in range(20)]
        assert running.result(BOUND) == int(lines(begun)[1])
        assert running.tries[0].charged == 0


@BROKER
@pytest.mark.usefixtures("nothing_left")
def test_an_interchange_that_never_lives_comes_to_one_clear_error(
    config: Make, kind: str, tmp_path: Path, eventually: Any
) -> None:
    with weft.load(config(workers=1)) as run:
        assert double(1).result(BOUND) == 2
        killed: set[int] = set()
        # No result in between: a task that waits for ever, and every interchange dies.
        begun, pipe = tmp_path / "begun", tmp_path / "pipe"
        os.mkfifo(pipe)
        bad = run_until(str(begun), str(pipe))
        end = time.monotonic() + BOUND
        while not bad.done():
            assert time.monotonic() < end
            try:
                pid = interchange(run, kind)
            except (LookupError, IndexError):
                continue
            if pid not in killed:
                killed.add(pid)
                os.kill(pid, signal.SIGKILL)
        error = bad.exception(0)
        assert isinstance(error, ExecutorFailed)
        assert "interchange ended 3 times" in str(error)
        assert "SIGKILL" in str(error) or "signal 9" in str(error)


@BROKER
@pytest.mark.usefixtures("nothing_left")
def test_an_interchange_that_stands_still_for_a_while_loses_nothing(
    config: Make, kind: str, tmp_path: Path, eventually: Any
) -> None:
    pipe, begun = tmp_path / "pipe", tmp_path / "begun"
    os.mkfifo(pipe)
    with weft.load(config(workers=2)) as run:
        running = run_until(str(begun), str(pipe))
        eventually(lambda: lines(begun))
        pid = interchange(run, kind)
        os.kill(pid, signal.SIGSTOP)
        waiting = [double(number) for number in range(200)]
        pipe.write_text("go on")
        os.kill(pid, signal.SIGCONT)
        assert running.result(BOUND) == "go on"
        assert [one.result(BOUND) for one in waiting] == [2 * n for n in range(200)]
        assert len(running.tries) == 1
        assert [len(one.tries) for one in waiting] == [1] * 200


# --------------------------------------------------------------------------------------- the client

CLIENT = """
import signal, subprocess, sys
from pathlib import Path
import weft
from weft import python_app
from weft.builtin.processes.settings import Processes
from weft_htex.settings import HTEX

@python_app
def hang(path, new_session):
    # On htex also what makes a session of its own is found, by the guard of the block.
    subprocess.Popen(["sleep", "600"], start_new_session=new_session)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    Path(path).write_text("begun")
    while True:
        signal.pause()

if __name__ == "__main__":
    kind, folder = sys.argv[1:]
    one = {
        "processes": lambda: Processes(max_workers=2),
        "htex": lambda: HTEX(workers_per_node=2),
        "direct": lambda: HTEX(workers_per_node=2, mode="direct"),
    }[kind]()
    with weft.load(weft.Config(executors=[one], run_dir=folder, close_timeout=0.5)):
        both = [hang(f"{folder}/begun-{n}", kind != "processes") for n in range(2)]
        both[0].result()
"""


@SEPARATE
@pytest.mark.parametrize(
    "how", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGSEGV]
)
def test_whatever_ends_the_client_ends_everything_that_it_started(
    kind: str, how: signal.Signals, tmp_path: Path, eventually: Any, family: Any
) -> None:
    script = tmp_path / "client.py"
    script.write_text(textwrap.dedent(CLIENT))
    client = subprocess.Popen(
        [sys.executable, str(script), kind, str(tmp_path)],
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        eventually(lambda: all((tmp_path / f"begun-{n}").exists() for n in range(2)), bound=BOUND)
        assert len(family.alive()) >= 3
        client.send_signal(how)
        if how is signal.SIGINT:  # the second time: at once

            def ended_or_interrupted_again() -> bool:
                client.send_signal(how)
                return client.poll() is not None

            eventually(ended_or_interrupted_again, bound=BOUND)
        client.wait(BOUND)
    finally:
        client.kill()
        client.wait()
    family.gone()
