"""The thread that sends: takes events, makes spans of them, and waits for a collector that is away.

weft-monitor ──put──▶ [bounded backlog] ──▶ weft-opentelemetry ──batches──▶ collector
│ full                  │ fails, several times
└──▶ counted,           └──▶ counted,
told once               told once, and at the end
"""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan

from weft.values.events import Event, TaskMoved, TaskSubmitted, TryEnded
from weft_opentelemetry.collector import Collector
from weft_opentelemetry.spans import Spans

__all__ = ["BATCH", "GATHER", "PAUSES", "Sender"]

BATCH: Final = 512
"""Spans that are sent at once, at most."""
GATHER: Final = 1.0
"""Seconds for which spans are gathered before they are sent."""
PAUSES: Final = (0.5, 1.0, 5.0, 15.0, 30.0)
"""Seconds between tries to send a batch; after the try that follows the last one it is given up."""

_MANY: Final = (TaskMoved, TaskSubmitted, TryEnded)


class Sender:
    """Sends the spans of one run.

    *Life.* ``start``, any number of ``put`` from one thread, ``close``.

    Args:
        collector: where to; closed with the sender.
        spans: what makes spans of events.
        tell: gets a level and a sentence for the person who watches.
        backlog: events that may wait; more are left out.
    """

    def __init__(
        self,
        collector: Collector,
        spans: Spans,
        tell: Callable[[str, str], None],
        *,
        backlog: int,
    ) -> None:
        self._collector, self._spans, self._tell = collector, spans, tell
        self._backlog = backlog
        self._inbox: SimpleQueue[Sequence[Event] | None] = SimpleQueue()
        # Each counter is changed by one thread alone: what was put and left out by the one that
        # puts; what was taken, was lost or came to no spans, by the sender.
        self._put = self._left_out = 0
        self._taken = self._lost = self._unreadable = 0
        self._told_full = self._told_trouble = False
        self._closing = threading.Event()
        self._deadline = 0.0
        self._thread = threading.Thread(target=self._work, name="weft-opentelemetry", daemon=True)

    # -------------------------------------------------------------------------------- other threads

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def put(self, events: Sequence[Event]) -> None:
        """Have events told; returns at once."""
        if self._put - self._taken + len(events) > self._backlog:
            # Few are not about one task, and the run's own span hangs on them.
            kept = [event for event in events if not isinstance(event, _MANY)]
            self._left_out += len(events) - len(kept)
            events = kept
            if not self._told_full:
                self._told_full = True
                self._tell(
                    "warning",
                    f"The collector at {self._collector.url} is behind by {self._backlog} events; "
                    "what comes now is left out until it has caught up. The run goes on.",
                )
        if events:
            self._put += len(events)
            self._inbox.put(events)

    def close(self, timeout: float) -> None:
        """Send what waits, and end, within about ``timeout`` seconds; what is left is counted."""
        self._deadline = time.monotonic() + timeout
        self._closing.set()
        self._inbox.put(None)
        self._thread.join(timeout)
        self._collector.close()
        self._thread.join(_PATIENCE)
        if self._thread.is_alive():
            self._tell(
                "warning",
                f"The collector at {self._collector.url} did not answer in time; the thread "
                f"{self._thread.name} still waits for it.",
            )
        left_out = self._left_out + self._unreadable + self._put - self._taken
        said = [f"{self._lost} spans"] if self._lost else []
        said += [f"what {left_out} events come to"] if left_out else []
        if said:
            self._tell(
                "warning",
                f"{' and '.join(said)} could not be sent to {self._collector.url}.",
            )

    # ------------------------------------------------------------------ thread weft-opentelemetry

    def _work(self) -> None:
        waiting: list[ReadableSpan] = []
        due, over = 0.0, False
        while not over:
            events, over = self._next(due if waiting else None)
            if events:
                due = due if waiting else time.monotonic() + GATHER
                waiting += self._made(partial(self._spans.take, events), len(events))
                self._taken += len(events)
            if over:
                waiting += self._made(self._spans.finish, 1)
            if over or len(waiting) >= BATCH or (waiting and time.monotonic() >= due):
                self._send(waiting)
                waiting = []

    def _next(self, due: float | None) -> tuple[Sequence[Event], bool]:
        """The next events, none if a batch is due before, and whether that is the end."""
        try:
            timeout = None if due is None else max(0.0, due - time.monotonic())
            events = self._inbox.get(timeout=timeout)
        except Empty:
            return (), False
        return ((), True) if events is None else (events, False)

    def _made(self, make: Callable[[], list[ReadableSpan]], events: int) -> list[ReadableSpan]:
        try:
            return make()
        except Exception as error:  # noqa: BLE001 - events hold what plugins put in them
            self._unreadable += events
            self._complain(f"{type(error).__name__}: {error}")
            return []

    def _send(self, spans: Sequence[ReadableSpan]) -> None:
        for first in range(0, len(spans), BATCH):
            batch = spans[first : first + BATCH]
            if not self._sent(batch):
                self._lost += len(batch)

    def _sent(self, batch: Sequence[ReadableSpan]) -> bool:
        """Send a batch, however often; says whether it was taken."""
        for pause in (*PAUSES, None):
            if self._too_late():
                return False
            why = self._collector.take(batch)
            if not why:
                return True
            self._complain(why)
            if pause is None:
                return False
            # The end does not wait for what may take minutes, but tries once more.
            if self._closing.wait(pause):
                return not self._too_late() and not self._collector.take(batch)
        return False

    def _too_late(self) -> bool:
        """Whether the time to end is over."""
        return self._closing.is_set() and time.monotonic() >= self._deadline

    def _complain(self, why: str) -> None:
        if not self._told_trouble:
            self._told_trouble = True
            self._tell(
                "warning",
                f"Spans cannot be sent to {self._collector.url}: {why} The run goes on, and so do "
                "attempts to send.",
            )


_PATIENCE: Final = 0.5
"""Seconds that a sender has to end after its collector was closed."""
