"""Waits end by an interrupt that Python has noted and that the system's wait knows nothing of."""

import _thread
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic
from types import FrameType
from typing import Any

import pytest

import weft
from weft.builtin.settings import Threads
from weft.workers.waiting import Once

LONG = 60.0


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """What is not set before the test ends."""
    event = threading.Event()
    yield event
    event.set()


def interrupted(wait: Callable[[], Any]) -> float:
    """The seconds that a wait goes on after an interrupt has been noted while it blocked."""
    noted = 0.0

    def interrupt() -> None:
        nonlocal noted
        noted = monotonic()
        _thread.interrupt_main()

    timer = threading.Timer(0.3, interrupt)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - it may come before the wait begins
        timer.start()
        wait()
    over = monotonic()
    timer.join()
    return over - noted


def test_for_what_happens_once() -> None:
    once = Once()
    assert interrupted(partial(once.wait, LONG)) < LONG / 2
    assert interrupted(once.wait) < LONG / 2


@pytest.mark.parametrize("step", range(1, 6))
def test_an_interrupt_at_any_step_keeps_nobody_from_waiting_again(step: int) -> None:
    once = Once()
    steps = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal steps
        if frame.f_code is not Once.wait.__code__:
            return None
        steps += event == "line"
        if steps == step:
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with pytest.raises(KeyboardInterrupt):
            once.wait(0.01)
    finally:
        sys.settrace(before)
    assert not once.wait(0.01)
    once.happen()
    assert once.wait(LONG)


def test_an_interrupt_with_the_gate_in_the_hand_delays_the_others_by_a_second() -> None:
    once = Once()
    once._gate.release()
    once._gate.acquire()
    other = threading.Thread(target=once.wait, args=(LONG,))
    other.start()
    once.happened = True
    other.join(LONG / 2)
    assert not other.is_alive()


def test_for_a_result(never: threading.Event) -> None:
    @weft.python_app
    def hold() -> bool:
        return never.wait(LONG)

    with weft.load(weft.Config(executors=[Threads(max_threads=1)])):
        future = hold()
        for wait in (future.result, future.exception):
            assert interrupted(wait) < LONG / 2
            assert interrupted(partial(wait, LONG)) < LONG / 2
        never.set()
        assert future.result() is True


def test_for_the_end_of_a_session(never: threading.Event) -> None:
    @weft.python_app
    def hold() -> bool:
        return never.wait(LONG)

    session = weft.load(weft.Config(executors=[Threads(max_threads=1)], close_timeout=0.2))
    future = hold()
    assert interrupted(session.close) < LONG / 2
    assert future.done()


def test_whether_it_came_in_time() -> None:
    once = Once()
    assert not once.wait(0.01)
    assert not once.wait(0)
    once.happen()
    assert once.wait(0)
    assert once.wait()
