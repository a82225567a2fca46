"""Waits end by an interrupt that Python has noted and that the system's wait knows nothing of."""

import _thread
import threading
from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic
from typing import Any

import pytest

import weft
from weft.builtin.settings import Threads
from weft.workers.waiting import happens

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
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        wait()
    over = monotonic()
    timer.join()
    return over - noted


def test_for_an_event(never: threading.Event) -> None:
    assert interrupted(lambda: happens(never, LONG)) < LONG / 2
    assert interrupted(lambda: happens(never)) < LONG / 2


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
    event = threading.Event()
    assert not happens(event, 0.01)
    assert not happens(event, 0)
    event.set()
    assert happens(event, 0)
    assert happens(event)
