"""Calls that come back: a component that blocks for ever fails a rule, and never hangs the tests.

Interfaces promise that some calls come from one thread, and that some never block. A
:class:`Caller` keeps the first promise on the component's behalf and holds it to the second: it
owns one thread, makes every call there, and waits no longer than it is told to.
"""

import queue
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Final, Generic, ParamSpec, TypeVar, cast

import pytest

__all__ = ["PATIENCE", "Caller", "Going", "all_at_once", "settled"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

PATIENCE: Final = 10.0
"""Seconds that a wait takes at most unless a kit's ``patience`` says otherwise."""


class Going(Generic[_T]):
    """A call that may not have come back yet."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._back = threading.Event()
        self._value: _T | None = None
        self._trouble: BaseException | None = None

    def run(self, call: Callable[[], _T]) -> None:
        """Make the call, in the thread that is to make it."""
        try:
            self._value = call()
        except BaseException as trouble:  # noqa: BLE001 - it is raised where it was asked for
            self._trouble = trouble
        self._back.set()

    def is_back(self, seconds: float) -> bool:
        """Wait for it to come back, for so long at most. Returns whether it did."""
        return self._back.wait(seconds)

    def result(self, seconds: float, allowed: float | None = None) -> _T:
        """Wait for it to come back, and return what it returned.

        Args:
            seconds: how long to wait.
            allowed: what to say that it was given, where that is something else.

        Raises:
            BaseException: whatever it raised.
            pytest.fail.Exception: it did not come back.
        """
        if not self._back.wait(seconds):
            given = seconds if allowed is None else allowed
            pytest.fail(f"{self._name} did not come back within {given:g} s", pytrace=False)
        if self._trouble is not None:
            raise self._trouble
        return cast("_T", self._value)


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
        going = self.begin(function, *args, **kwargs)
        if not going.is_back(seconds):
            self._asked = None  # that thread is lost; the next call gets another
        return going.result(seconds=0.0, allowed=seconds)

    def begin(
        self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> "Going[_T]":
        """Call, and do not wait. What is called after that waits for its turn."""
        going: Going[_T] = Going(getattr(function, "__qualname__", repr(function)))
        self._thread().put(lambda: going.run(lambda: function(*args, **kwargs)))
        return going

    def well(self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """As ``call``, for a call that must not raise: then the rule fails that makes it.

        Raises:
            pytest.fail.Exception: it raised, or did not come back.
        """
        try:
            return self.call(function, *args, **kwargs)
        except Exception as trouble:  # noqa: BLE001 - whatever it is, it was not to be raised
            name = getattr(function, "__qualname__", repr(function))
            lines = traceback.format_exception(trouble)
            pytest.fail(f"{name} raised {trouble!r}\n{''.join(lines)}", pytrace=False)

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


def all_at_once(name: str, calls: Sequence[Callable[[], object]], patience: float) -> None:
    """Make each call in a thread of its own, all of them begun together.

    Raises:
        pytest.fail.Exception: one of them raised, or did not come back.
    """
    together = threading.Barrier(len(calls))
    ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def make(call: Callable[[], object]) -> None:
        try:
            together.wait(patience)
            call()
        except BaseException as trouble:  # noqa: BLE001 - it is raised where it was asked for
            ended.put(trouble)
        else:
            ended.put(None)

    # Daemons: one that never comes back cannot keep the tests from ending.
    threads = [
        threading.Thread(target=make, args=(call,), name=name, daemon=True) for call in calls
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        try:
            trouble = ended.get(timeout=patience)
        except queue.Empty:
            pytest.fail(f"of {len(calls)} at once, some did not come back in {patience:g} s")
        assert trouble is None, f"one of {len(calls)} at once raised {trouble!r}"
    for thread in threads:
        thread.join(patience)


def settled(holds: Callable[[], bool], seconds: float) -> bool:
    """Whether something comes to hold within so many seconds; for what nobody tells of.

    Such as a server that has to notice that a connection has ended.
    """
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
