"""The thread that reads logs and makes views: what it owns, no other thread touches.

Others post to its inbox. It reads a log on for a short while at a time, so that a large one holds
up nobody, and looks at growing logs some times in a second, but only while somebody watches: a file
system tells of no growth that happens on another machine.
"""

import queue
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any, Final

import attrs

from weft.errors import EventLogError
from weft_dashboard.book import Book
from weft_dashboard.changes import patch
from weft_dashboard.shelf import Shelf
from weft_dashboard.views import shown
from weft_dashboard.views.runs import runs

__all__ = ["Key", "Trouble", "Update", "Watcher"]

_SLICE: Final = 0.05
"""Seconds for which a log is read at a time."""
_PERIOD: Final = 0.25
"""Seconds between two looks at a log that is watched, and so between two updates of a view."""
_LIST_PERIOD: Final = 1.0
_READING_PERIOD: Final = 0.5
_PART: Final = 0.2
"""The part of the time that making one view may take: one that takes long is made less often."""
_ANSWERED: Final = 120.0


@attrs.frozen
class Key:
    """What is watched: a view of a run with what was asked for, or the list of runs.

    Attributes:
        run: the name of the run; empty for the list.
        view: the name of the view.
        asked: what was asked for, as pairs in order.
    """

    run: str
    view: str
    asked: tuple[tuple[str, str], ...] = ()


@attrs.frozen
class Trouble:
    """Why there is no view.

    Attributes:
        status: as in HTTP.
        text: one or two sentences.
    """

    status: int
    text: str


@attrs.frozen
class Update:
    """A view that has changed.

    Attributes:
        data: all of it now; nobody changes it.
        patch: what is new, as a JSON merge patch; ``None`` for the first one.
    """

    data: Mapping[str, Any]
    patch: Mapping[str, Any] | None


Tell = Callable[[Update | Trouble], None]


@attrs.define
class _Watched:
    key: Key
    tell: Tell
    once: bool
    data: dict[str, Any] | None = None
    book: Book | None = None
    changes: int = -1
    due: float = 0.0
    until: float = 0.0


class Watcher:
    """Reads the logs of a folder of runs, for those who watch.

    Args:
        folder: a folder of runs, or the folder of one.
    """

    def __init__(self, folder: Path) -> None:
        self._shelf = Shelf(folder)
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._watched: dict[int, _Watched] = {}
        self._thread = threading.Thread(target=self._run, name="weft-dashboard", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread, and close the logs."""
        self._inbox.put(None)
        self._thread.join(30)

    def watch(self, number: int, key: Key, tell: Tell) -> None:
        """Tell of a view, at once and whenever it changes.

        Args:
            number: by which it is named in :meth:`leave`.
            key: which one.
            tell: called on the watcher's thread; after a trouble, no more.
        """
        self._inbox.put(lambda: self._add(number, _Watched(key, tell, once=False)))

    def ask(self, number: int, key: Key, tell: Tell) -> None:
        """Tell of a view once: when all that is in the log now has been read."""
        until = monotonic() + _ANSWERED
        self._inbox.put(lambda: self._add(number, _Watched(key, tell, once=True, until=until)))

    def leave(self, number: int) -> None:
        """Tell of a view no more."""
        self._inbox.put(lambda: self._remove(number))

    # ------------------------------------------------------------------------------- on the thread

    def _add(self, number: int, one: _Watched) -> None:
        self._watched[number] = one

    def _remove(self, number: int) -> None:
        self._watched.pop(number, None)

    def _run(self) -> None:
        try:
            while self._messages(self._pause()):
                self._turn()
        finally:
            self._shelf.close()

    def _pause(self) -> float | None:
        """Seconds until something is due; ``None`` if nothing is until there is a message."""
        if not self._watched:
            return None
        return max(0.0, min(one.due for one in self._watched.values()) - monotonic())

    def _messages(self, pause: float | None) -> bool:
        """Deal with the messages that are there. Returns whether to go on."""
        try:
            message = self._inbox.get(timeout=pause)
            while True:
                if message is None:
                    return False
                message()
                message = self._inbox.get_nowait()
        except queue.Empty:
            return True

    def _turn(self) -> None:
        """Read what is watched and due, and tell of what has changed."""
        now = monotonic()
        due = [(number, one) for number, one in self._watched.items() if one.due <= now]
        read: dict[str, Book | Trouble] = {}
        for number, one in due:
            try:
                self._look(number, one, read)
            except Exception as error:  # noqa: BLE001 - a view that fails must not end the others
                traceback.print_exception(error)
                what = f"{type(error).__name__}: {error}"
                self._end(number, one, Trouble(500, f"This page could not be made: {what}"))
        self._shelf.put_back({one.key.run for one in self._watched.values() if one.key.run})

    def _look(self, number: int, one: _Watched, read: dict[str, Book | Trouble]) -> None:
        begun = monotonic()
        if not one.key.run:
            found = self._shelf.summaries(_SLICE)
            whole = all(read for _short, read in found.values())
            one.due = begun + (_LIST_PERIOD if whole else _READING_PERIOD / 2)
            self._tell(number, one, runs(str(self._shelf.folder), found), whole)
            return
        book = self._read(one.key.run, read)
        if isinstance(book, Trouble):
            self._end(number, one, book)
            return
        now = monotonic()
        one.due = now + _PERIOD if book.whole else now
        same = book is one.book and book.changes == one.changes
        if same or (not book.whole and not self._shown_half(one, now)):
            self._give_up(number, one, now)
            return
        one.book, one.changes = book, book.changes
        try:
            data = shown(book, one.key.view, dict(one.key.asked))
        except ValueError as error:
            self._end(number, one, Trouble(404, str(error)))
            return
        self._tell(number, one, data, book.whole)
        if book.whole:
            one.due = max(one.due, now + (monotonic() - now) / _PART)

    def _shown_half(self, one: _Watched, now: float) -> bool:
        """Whether it is time to show what there is of a run whose log is being read."""
        if one.once or now < one.until:
            return False
        one.until = now + _READING_PERIOD
        return True

    def _give_up(self, number: int, one: _Watched, now: float) -> None:
        if one.once and now > one.until:
            self._end(number, one, Trouble(503, "The log is still being read. Ask again later."))

    def _read(self, name: str, read: dict[str, Book | Trouble]) -> Book | Trouble:
        """The book of a run, read on once in a turn."""
        if name not in read:
            try:
                book = self._shelf.book(name)
                book.read(_SLICE)
                read[name] = book
            except KeyError:
                read[name] = Trouble(404, f"There is no run {name!r} in {self._shelf.folder}.")
            except EventLogError as error:
                read[name] = Trouble(404, f"{error.what} {error.why}")
            except OSError as error:
                read[name] = Trouble(503, f"The log of {name!r} cannot be read: {error}.")
        return read[name]

    def _tell(self, number: int, one: _Watched, data: dict[str, Any], whole: bool) -> None:
        if one.once:
            if whole:
                self._end(number, one, Update(data, None))
            return
        before, one.data = one.data, data
        if before is None:
            one.tell(Update(data, None))
            return
        new = patch(before, data)
        if new:
            one.tell(Update(data, new))

    def _end(self, number: int, one: _Watched, last: Update | Trouble) -> None:
        self._watched.pop(number, None)
        one.tell(last)
