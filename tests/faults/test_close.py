"""A session that closes ends in bounded time, settles every future and leaves nothing."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

import weft
from weft import python_app
from weft.errors import SerializationError, SessionClosed, SessionError

BOUND = 60.0
SEPARATE = ["processes", "htex", "direct"]

pytestmark = pytest.mark.usefixtures("nothing_left")

Make = Callable[..., weft.Config]


@python_app
def hold(pipe: str, beat: str) -> str:
    """Runs until somebody writes into the pipe."""
    Path(beat).touch()
    with Path(pipe).open() as opened:
        return opened.read()


@python_app
def after(value: Any) -> Any:
    return value


@python_app
def failing() -> None:
    raise ValueError("bad")


@python_app
def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@python_app
def never_ends(beat: str) -> None:
    """Neither SIGTERM nor an interrupt ends it, nor what it started."""
    child = None
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        # What is ignored here is ignored there.
        child = subprocess.Popen(["sleep", "600"])
    Path(beat).write_text(str(child.pid if child else ""))
    with Path(beat + ".pipe").open():
        pass


class Gate:
    """Holds a task of the name ``hold`` until it is opened."""

    def __init__(self, folder: Path) -> None:
        self.pipe, self.beat = folder / "pipe", folder / "beat"
        os.mkfifo(self.pipe)

    def hold(self) -> Future[str]:
        held: Future[str] = hold(str(self.pipe), str(self.beat))
        return held

    def open(self) -> None:
        self.pipe.write_text("held")


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


def test_leaving_waits_for_what_runs_and_what_waits(
    config: Make, gate: Gate, eventually: Any
) -> None:
    opener = threading.Thread(target=gate.open)
    with weft.load(config()):
        running = gate.hold()
        waiting = after(after(running))
        eventually(gate.beat.exists)
        opener.start()
    opener.join(BOUND)
    assert running.result(0) == "held"
    assert waiting.result(0) == "held"


def test_leaving_with_cancel_lets_what_runs_end_and_cancels_the_rest(
    config: Make, gate: Gate, eventually: Any
) -> None:
    unready: Future[int] = Future()
    with weft.load(config(on_exit="cancel")):
        running = gate.hold()
        waiting = after(unready)
        # The gate opens once the other is cancelled: so the task was running all the time.
        waiting.add_done_callback(lambda _: gate.open())
        eventually(gate.beat.exists)
    assert running.result(0) == "held"
    assert waiting.cancelled()


def test_an_exception_in_the_block_is_raised_and_settles_everything(
    config: Make, gate: Gate, eventually: Any, said: list[str]
) -> None:
    unready: Future[int] = Future()
    with pytest.raises(RuntimeError, match="mine"), weft.load(config()):  # noqa: PT012
        running, waiting = gate.hold(), after(unready)
        waiting.add_done_callback(lambda _: gate.open())
        eventually(gate.beat.exists)
        raise RuntimeError("mine")
    assert running.result(0) == "held"
    assert waiting.cancelled()
    assert any("1 running: hold" in line for line in said)


@pytest.mark.parametrize("kind", SEPARATE)
def test_a_task_that_ignores_signals_is_ended_with_its_children(
    config: Make, tmp_path: Path, eventually: Any, family: Any
) -> None:
    beat = tmp_path / "beat"
    os.mkfifo(str(beat) + ".pipe")
    run = weft.load(config(close_timeout=0.2))
    future = never_ends(str(beat))
    eventually(lambda: beat.exists() and beat.read_text())
    began = time.monotonic()
    run.close(cancel=True)
    assert time.monotonic() - began < BOUND
    assert future.done()
    family.gone()


@pytest.mark.parametrize("kind", ["threads"])
def test_a_thread_that_does_not_end_is_named(
    config: Make, tmp_path: Path, eventually: Any, said: list[str]
) -> None:
    beat = tmp_path / "beat"
    os.mkfifo(str(beat) + ".pipe")
    run = weft.load(config(close_timeout=0.1))
    future = never_ends(str(beat))
    eventually(beat.exists)
    run.close(cancel=True)
    try:
        assert isinstance(future.exception(0), SessionClosed)
        assert any("weft-threads-1 did not end" in line for line in said)
    finally:
        Path(str(beat) + ".pipe").write_text("")


@pytest.mark.parametrize("cancel", [False, True])
def test_closing_twice_and_from_several_threads_is_closing_once(config: Make, cancel: bool) -> None:
    run = weft.load(config())
    future = after(1)
    closers = [threading.Thread(target=run.close, kwargs={"cancel": cancel}) for _ in range(3)]
    for closer in closers:
        closer.start()
    for closer in closers:
        closer.join(BOUND)
    run.close()
    assert future.done()
    assert run.status().closed


def test_a_callback_may_close_the_session(config: Make) -> None:
    run = weft.load(config())
    closed = threading.Event()

    def close(_: Any) -> None:
        run.close()
        closed.set()

    future = after(1)
    future.add_done_callback(close)
    assert closed.wait(BOUND)
    assert future.result(0) == 1
    assert run.status().closed


@pytest.mark.parametrize("kind", ["threads"])
def test_a_task_that_closes_its_session_is_refused_and_harms_no_other(config: Make) -> None:
    @python_app
    def close() -> None:
        run.close()

    run = weft.load(config())
    error = close().exception(BOUND)
    assert isinstance(error, SessionError)
    assert "cannot close the session that runs it" in str(error)
    assert after(1).result(BOUND) == 1
    run.close()


@pytest.mark.parametrize("kind", SEPARATE)
def test_a_session_does_not_travel_to_a_worker(config: Make) -> None:
    run = weft.load(config())
    error = after(run).exception(BOUND)
    assert isinstance(error, SerializationError)
    assert error.path.startswith("args[0]")
    assert after(1).result(BOUND) == 1
    run.close()


@pytest.mark.parametrize("leaving", ["cancel", "exception", "interrupt"])
def test_whatever_happens_no_future_is_left_pending(
    config: Make, kind: str, gate: Gate, eventually: Any, leaving: str
) -> None:
    unready: Future[int] = Future()
    futures: list[Future[Any]] = []
    run = weft.load(config(close_timeout=0.2))
    try:
        with run:
            futures += [after(n) for n in range(50)]
            futures += [gate.hold(), failing(), after(failing()), after(unready)]
            futures += [after(after(unready)), after([futures[50], unready])]
            if kind != "threads":
                futures.append(die())
            futures += [after(n) for n in range(50)]
            eventually(gate.beat.exists)
            if leaving == "exception":
                raise RuntimeError("mine")
            if leaving == "interrupt":
                raise KeyboardInterrupt
            run.close(cancel=True)
    except (RuntimeError, KeyboardInterrupt):
        assert leaving != "cancel"
    if kind == "threads":
        gate.open()  # the thread itself cannot be ended
    assert [future for future in futures if not future.done()] == []
    assert run.status().unfinished == 0
    with pytest.raises(SessionError):
        _ = after.options(session=run)(1)
