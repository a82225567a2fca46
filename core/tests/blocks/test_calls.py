"""Calls that may hang, and what becomes of what they bring."""

import threading
from queue import SimpleQueue
from typing import Any

import pytest

from weft.blocks.calls import Answer, Call, Caller


class Here:
    """A caller, its answers, and a door behind which calls wait."""

    def __init__(self) -> None:
        self.answers: SimpleQueue[Answer] = SimpleQueue()
        self.caller = Caller("cpu", self.answers.put)
        self.inside, self.door = threading.Event(), threading.Event()
        self.late: SimpleQueue[Any] = SimpleQueue()
        self.hung: threading.Thread | None = None

    def waits(self) -> str:
        self.hung = threading.current_thread()
        self.inside.set()
        assert self.door.wait(60)
        return "late"

    def hanging(self) -> Call:
        call = Call("hangs", self.waits, self.late.put)
        self.caller.post(call)
        assert self.inside.wait(60)
        return call

    def let_go(self) -> Any:
        """Open the door. Returns what the call brought, once its thread has ended."""
        self.door.set()
        brought = self.late.get(timeout=60)
        assert self.hung is not None
        self.hung.join(60)
        return brought


@pytest.fixture
def here() -> Any:
    made = Here()
    yield made
    made.door.set()
    made.caller.close(60)


def test_calls_are_answered_in_order_by_one_thread(here: Here) -> None:
    threads = []

    def run() -> int:
        threads.append(threading.current_thread())
        return len(threads)

    for _ in range(3):
        here.caller.post(Call("call", run))

    assert [here.answers.get(timeout=60).value for _ in range(3)] == [1, 2, 3]
    assert len(set(threads)) == 1
    assert threads[0].name == "weft-blocks-cpu-calls"


def test_what_a_call_raises_is_its_answer(here: Here) -> None:
    def run() -> None:
        raise SystemExit(3)

    here.caller.post(Call("call", run))

    assert isinstance(here.answers.get(timeout=60).error, SystemExit)


def test_a_call_that_hangs_holds_up_no_other(here: Here) -> None:
    call = here.hanging()

    assert here.caller.give_up(call)
    assert here.caller.stuck() == 1
    here.caller.post(Call("next", lambda: "next"))

    assert here.answers.get(timeout=60).value == "next"
    assert here.let_go() == "late"
    assert here.answers.empty()
    assert here.caller.close(60)


def test_a_call_that_was_answered_cannot_be_given_up(here: Here) -> None:
    call = Call("call", lambda: 1)
    here.caller.post(call)
    here.answers.get(timeout=60)

    assert not here.caller.give_up(call)
    assert here.caller.stuck() == 0


def test_the_end_leaves_nothing_but_what_hangs(here: Here) -> None:
    call = here.hanging()
    here.caller.give_up(call)

    assert not here.caller.close(0.1)
    assert here.let_go() == "late"
    assert here.caller.close(60)
