"""Calls to a provider, one after another, each of which may be given up.

A call that does not come back cannot be ended; it can be left to itself. So calls are made by a
thread of their own, ``weft-blocks-<label>-calls``; when one is given up, that thread is left with
it, and another one takes the calls that follow. If a call that was given up comes back after all,
what it brought is undone there and then.

    weft-blocks-<label> ──post(call)──▶ weft-blocks-<label>-calls ──▶ provider
            ▲                                        │
            └──────────────── Answer ────────────────┘
"""

import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Protocol

import attrs

from weft.values.message import message

__all__ = ["Answer", "Call", "Caller", "Calls"]


@attrs.define(eq=False)
class Call:
    """Something to be called.

    Attributes:
        what: what it does, for people: ``submit``.
        run: does it.
        late: gets what a call brought that had been given up.
    """

    what: str
    run: Callable[[], Any]
    late: Callable[[Any], object] | None = None
    # The one thing that two threads may want at once: whoever takes the token decides whether the
    # call was answered or given up. To take it from a list is atomic.
    _token: list[None] = attrs.field(factory=lambda: [None], init=False)

    def decide(self) -> bool:
        """Whether the caller is the first to decide what became of this call."""
        try:
            self._token.pop()
        except IndexError:
            return False
        return True


@message(eq=True)
class Answer:
    """What a call brought."""

    call: Call
    value: Any
    error: BaseException | None


class Calls(Protocol):
    """Makes calls, one after another."""

    def post(self, call: Call) -> None:
        """Have a call made; the answer comes later. Never blocks."""
        ...

    def give_up(self, call: Call) -> bool:
        """Leave a call to itself. Returns whether it was still without an answer."""
        ...

    def stuck(self) -> int:
        """How many calls that were left to themselves have not come back."""
        ...


class Caller:
    """Makes calls in a thread, which is started with the first of them.

    Args:
        label: the name of the executor.
        answer: gets each answer, in the thread that made the call.
    """

    def __init__(self, label: str, answer: Callable[[Answer], None]) -> None:
        self._label, self._answer = label, answer
        self._queue: SimpleQueue[Call | None] | None = None
        self._thread: threading.Thread | None = None
        self._left: list[threading.Thread] = []

    def post(self, call: Call) -> None:
        """Have a call made by the thread."""
        if self._queue is None:
            self._queue = SimpleQueue()
            self._thread = threading.Thread(
                target=self._work,
                args=(self._queue,),
                name=f"weft-blocks-{self._label}-calls",
                daemon=True,
            )
            self._thread.start()
        self._queue.put(call)

    def give_up(self, call: Call) -> bool:
        """Leave the thread with the call that it makes; the next call gets another one."""
        if not call.decide():
            return False
        if self._thread is not None and self._queue is not None:
            self._queue.put(None)
            self._left.append(self._thread)
        self._queue = self._thread = None
        return True

    def stuck(self) -> int:
        """How many threads were left with a call that has not come back."""
        self._left = [thread for thread in self._left if thread.is_alive()]
        return len(self._left)

    def close(self, timeout: float) -> bool:
        """End the thread. Returns whether it, and those left to themselves, have ended."""
        if self._queue is not None and self._thread is not None:
            self._queue.put(None)
            self._thread.join(timeout)
            self._left.append(self._thread)
        self._queue = self._thread = None
        return not self.stuck()

    def _work(self, queue: "SimpleQueue[Call | None]") -> None:
        while (call := queue.get()) is not None:
            value, error = None, None
            try:
                value = call.run()
            except BaseException as raised:  # noqa: BLE001 - a provider may raise anything
                error = raised
            if call.decide():
                self._answer(Answer(call, value, error))
            elif call.late is not None and error is None:
                with contextlib.suppress(Exception):  # nobody is left to be told
                    call.late(value)
