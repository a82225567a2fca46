"""Calls that come back: a component that blocks for ever fails a rule, and never hangs the tests.

Interfaces promise that some calls come from one thread, and that some never block. A
:class:`Caller` keeps the first promise on the component's behalf and holds it to the second: it
owns one thread, makes every call there, and waits no longer than it is told to.
"""

import queue
import threading
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

import pytest

__all__ = ["PATIENCE", "Caller"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

PATIENCE: Final = 10.0
"""Seconds that a wait takes at most unless a kit's ``patience`` says otherwise."""

_Done = tuple[bool, Any]


class Caller:
    """Calls a component from one thread of its own, and gives up a call that does not come back.

    A call that was given up goes on in its thread; the next one gets a new thread, so that
    ``close`` is still tried. Threads are daemons: what never returns cannot keep the tests from
    ending.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._asked: queue.SimpleQueue[Callable[[], None] | None] | None = None
        self._threads: list[threading.Thread] = []

    def call(self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call, wait at most for the patience of this caller, return what it returns.

        Raises:
            BaseException: whatever the function raises.
            pytest.fail.Exception: it did not come back.
        """
        return self.within(self._patience, function, *args, **kwargs)

    def within(
        self, seconds: float, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """As ``call``, but wait for that many seconds."""
        done: queue.SimpleQueue[_Done] = queue.SimpleQueue()

        def run() -> None:
            try:
                done.put((True, function(*args, **kwargs)))
            except BaseException as trouble:  # noqa: BLE001 - it is raised where it was asked for
                done.put((False, trouble))

        self._thread().put(run)
        try:
            good, value = done.get(timeout=seconds)
        except queue.Empty:
            self._asked = None  # that thread is lost; the next call gets another
            name = getattr(function, "__qualname__", repr(function))
            pytest.fail(f"{name} did not come back within {seconds:g} s", pytrace=False)
        if not good:
            raise value
        result: _T = value
        return result

    def close(self) -> None:
        """End the threads that can be ended."""
        if self._asked is not None:
            self._asked.put(None)
            self._threads[-1].join(self._patience)
            self._asked = None

    @property
    def threads(self) -> tuple[threading.Thread, ...]:
        """The threads of this caller, which a search for what a component left has to leave out."""
        return tuple(self._threads)

    def _thread(self) -> "queue.SimpleQueue[Callable[[], None] | None]":
        if self._asked is None:
            asked = self._asked = queue.SimpleQueue()
            thread = threading.Thread(
                target=_serve, args=(asked,), name="weft-testkit-caller", daemon=True
            )
            thread.start()
            self._threads.append(thread)
        return self._asked


def _serve(asked: "queue.SimpleQueue[Callable[[], None] | None]") -> None:
    while (call := asked.get()) is not None:
        call()
