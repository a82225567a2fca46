"""What the threads of executors say to each other."""

import select
import sys
from types import FrameType
from typing import Any

import pytest

from weft.workers.desk import Inbox


def interrupted_at(step: int, inbox: Inbox) -> bool:
    """Post, with a Ctrl-C before one of the lines that does; whether there was such a line."""
    steps = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal steps
        if frame.f_code is not Inbox.post.__code__:
            return None
        if event == "line":
            steps += 1
            if steps == step:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        inbox.post("close", 600.0)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def wakes(inbox: Inbox) -> bool:
    return bool(select.select([inbox.wake], [], [], 0)[0])


@pytest.mark.parametrize("step", range(1, 5))
def test_who_is_interrupted_while_it_posts_still_wakes_the_owner_by_posting_again(
    step: int,
) -> None:
    inbox = Inbox()
    inbox.asleep = True
    assert interrupted_at(step, inbox)
    inbox.post("close", 0.0)
    assert inbox.entries[-1] == ("close", 0.0)
    assert wakes(inbox)
    inbox.close()


def test_nobody_is_woken_who_looks_by_himself() -> None:
    inbox = Inbox()
    inbox.post("tasks", [])
    assert not wakes(inbox)
    inbox.close()


def test_a_waking_is_taken_note_of_once_however_many_posted() -> None:
    inbox = Inbox()
    inbox.asleep = True
    for _ in range(1000):
        inbox.post("tasks", [])
    inbox.woken()
    assert not wakes(inbox)
    inbox.close()
    inbox.post("tasks", [])
