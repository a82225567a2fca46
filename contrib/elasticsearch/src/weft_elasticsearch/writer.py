"""The thread that writes: makes documents of events, and waits for a server that is away.

weft-monitor ──put──▶ [bounded backlog] ──▶ weft-elasticsearch ──_bulk──▶ index
│ full                │ not now: the same ones again, later
└──▶ counted,         └ never: counted, told once, and at the end
told once
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Final

from weft.values.events import Event, LogLine, ResourceSample, TaskMoved, TaskSubmitted, TryEnded
from weft_elasticsearch.documents import document, size_of
from weft_elasticsearch.index import Document, Index, NotNow, Refused, TooLarge

__all__ = ["BYTES", "CHUNK", "PAUSES", "Writer"]

CHUNK: Final = 1000
"""Documents in one request, at most."""
BYTES: Final = 5_000_000
"""About the size of a request, at most, unless one document has more."""
PAUSES: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0)
"""Seconds between tries to write, from the first on; the last one from then on."""

_MANY: Final = (TaskMoved, TaskSubmitted, TryEnded, LogLine, ResourceSample)


class Writer:
    """Writes the events of one run.

    *Life.* ``start``, any number of ``put`` from one thread, ``close``.

    Args:
        index: where to; closed with the writer.
        run: the run's identifier, for each document.
        recorder: begins the names of the documents, and no others.
        tell: gets a level and a sentence for the person who watches.
        backlog: events that may wait; more are left out.
        prepared: whether the index is known to be there.
    """

    def __init__(
        self,
        index: Index,
        tell: Callable[[str, str], None],
        *,
        run: str,
        recorder: str,
        backlog: int,
        prepared: bool,
    ) -> None:
        self._index, self._run, self._recorder, self._tell = index, run, recorder, tell
        self._backlog, self._prepared = backlog, prepared
        self._inbox: SimpleQueue[Sequence[Event] | None] = SimpleQueue()
        # Each counter is changed by one thread alone: what was put and left out by the one that
        # puts, what was taken and missed by the writer.
        self._put = self._left_out = 0
        self._taken = self._missed = self._seq = 0
        self._told_full = self._told_trouble = False
        self._closing = threading.Event()
        self._deadline = 0.0
        self._thread = threading.Thread(target=self._work, name="weft-elasticsearch", daemon=True)

    # -------------------------------------------------------------------------------- other threads

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def put(self, events: Sequence[Event]) -> None:
        """Have events written; returns at once."""
        if self._put - self._taken + len(events) > self._backlog:
            # Few are not about one task, and much hangs on them.
            kept = [event for event in events if not isinstance(event, _MANY)]
            self._left_out += len(events) - len(kept)
            events = kept
            if not self._told_full:
                self._told_full = True
                self._tell(
                    "warning",
                    f"The index {self._index.place} is behind by {self._backlog} events; what "
                    "comes now is left out until it has caught up. The run goes on.",
                )
        if events:
            self._put += len(events)
            self._inbox.put(events)

    def close(self, timeout: float) -> None:
        """Write what waits, and end, within about ``timeout`` seconds; what is left is counted."""
        self._deadline = time.monotonic() + timeout
        self._closing.set()
        self._inbox.put(None)
        self._thread.join(timeout + _PATIENCE)
        if self._thread.is_alive():
            self._tell(
                "warning",
                f"The index {self._index.place} did not answer in time; the thread "
                f"{self._thread.name} still waits for it.",
            )
        else:
            self._index.close()
        if missed := self._left_out + self._missed + (self._put - self._taken):
            self._tell("warning", f"{missed} events could not be written to {self._index.place}.")

    # ------------------------------------------------------------------- thread weft-elasticsearch

    def _work(self) -> None:
        over = False
        while not over:
            events, over = self._next()
            for chunk in _chunks(self._documents(events)):
                self._missed += self._unwritten(chunk)
            self._taken += len(events)

    def _next(self) -> tuple[list[Event], bool]:
        """The events that wait, as many as fit into a request, and whether that is the end."""
        events: list[Event] = []
        batch = self._inbox.get()
        while batch is not None:
            events += batch
            if len(events) >= CHUNK:
                return events, False
            try:
                batch = self._inbox.get_nowait()
            except Empty:
                return events, False
        return events, True

    def _documents(self, events: Sequence[Event]) -> Iterator[Document]:
        for event in events:
            self._seq += 1
            try:
                made = document(event)
            except Exception as error:  # noqa: BLE001 - events hold what plugins put in them
                self._missed += 1
                self._complain(f"{type(error).__name__}: {error}")
                continue
            name = f"{self._recorder}-{self._seq}"
            yield name, {**made, "run": self._run, "recorder": self._recorder, "seq": self._seq}

    def _unwritten(self, documents: Sequence[Document]) -> int:
        """Write documents, however often it takes; returns how many are not written."""
        refused, tries = 0, 0
        while documents:
            if self._too_late():
                break
            try:
                if not self._prepared:
                    self._index.prepare()
                    self._prepared = True
                answer = self._index.add(documents, self._left())
            except NotNow as error:
                self._complain(str(error))
            except TooLarge as error:
                if len(documents) > 1:
                    half = len(documents) // 2
                    return (
                        refused
                        + self._unwritten(documents[:half])
                        + self._unwritten(documents[half:])
                    )
                self._complain(str(error))
                break
            except Exception as error:  # noqa: BLE001 - what no later try can mend is left out
                self._complain(_said(error))
                break
            else:
                refused += answer.refused
                documents = answer.later
                if answer.why:
                    self._complain(answer.why)
            if documents:
                self._pause(tries)
                tries += 1
        return refused + len(documents)

    def _pause(self, tries: int) -> None:
        # The end does not wait for what may take minutes, but a server that was busy soon is not.
        if self._closing.wait(PAUSES[min(tries, len(PAUSES) - 1)]):
            time.sleep(PAUSES[0])

    def _left(self) -> float:
        """Seconds that a request may take; without an end in sight, as many as it likes."""
        if not self._closing.is_set():
            return float("inf")
        return max(0.01, self._deadline - time.monotonic())

    def _too_late(self) -> bool:
        """Whether the time to end is over."""
        return self._closing.is_set() and time.monotonic() >= self._deadline

    def _complain(self, why: str) -> None:
        if not self._told_trouble:
            self._told_trouble = True
            self._tell(
                "warning",
                f"Not all can be written to the index {self._index.place}: {why} The run goes on, "
                "and so do attempts to write.",
            )


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, Refused) else f"{type(error).__name__}: {error}"


def _chunks(documents: Iterator[Document]) -> Iterator[Sequence[Document]]:
    """The documents in parts that a request takes."""
    chunk: list[Document] = []
    size = 0
    for one in documents:
        more = size_of(one[1])
        if chunk and (len(chunk) >= CHUNK or size + more > BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(one)
        size += more
    if chunk:
        yield chunk


_PATIENCE: Final = 0.5
"""Seconds that a writer has to end after its time is over."""
