"""A monitor that collects what it is told."""

import threading
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from weft.interfaces.context import Context
from weft.interfaces.monitor import Interest, Monitor
from weft.testing.contexts import PATIENCE, NothingHappened
from weft.values.events import Event

__all__ = ["FakeMonitor"]

_E = TypeVar("_E")


class FakeMonitor(Monitor):
    """Keeps every event.

    Args:
        interests: what it says it wants.
        refuses: raised by ``start``, if given.

    Attributes:
        events: what it was told, in order.
        batches: how many events came with each call.
        started, closed: how often it was.
        breaks: while set, raised by ``handle``, which then keeps nothing.
    """

    def __init__(
        self,
        *,
        interests: Collection[Interest] | None = None,
        refuses: BaseException | None = None,
    ) -> None:
        self._interests, self._refuses = interests, refuses
        self._changed = threading.Condition()
        self.events: list[Event] = []
        self.batches: list[int] = []
        self.started = self.closed = 0
        self.breaks: BaseException | None = None

    def start(self, context: Context) -> None:
        """Count it, or raise what the test asked for."""
        self.started += 1
        if self._refuses is not None:
            raise self._refuses

    def interests(self) -> Collection[Interest] | None:
        """As given."""
        return self._interests

    def handle(self, events: Sequence[Event]) -> None:
        """Keep the events, or raise what ``breaks`` holds."""
        if self.breaks is not None:
            raise self.breaks
        with self._changed:
            self.events += events
            self.batches.append(len(events))
            self._changed.notify_all()

    def close(self) -> None:
        """Count it."""
        self.closed += 1

    def wait_until(
        self, happened: Callable[[Sequence[Event]], bool], timeout: float = PATIENCE
    ) -> list[Event]:
        """Wait until ``happened(events)`` is true. Returns the events.

        Raises:
            NothingHappened: it did not become true in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: happened(self.events), timeout):
                raise NothingHappened(f"told within {timeout:g} s: {self.events!r}")
            return list(self.events)

    def wait(self, count: int, timeout: float = PATIENCE) -> list[Event]:
        """Wait until that many events were told in all. Returns all of them.

        Raises:
            NothingHappened: fewer came in time.
        """
        return self.wait_until(lambda events: len(events) >= count, timeout)

    def of(self, kind: type[_E]) -> list[_E]:
        """The events of one class."""
        with self._changed:
            return [event for event in self.events if isinstance(event, kind)]
