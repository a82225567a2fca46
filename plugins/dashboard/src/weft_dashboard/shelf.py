"""The runs of a folder: which there are, how each is, and the books of those that are looked at."""

from pathlib import Path
from time import monotonic
from typing import Final

from weft.errors import EventLogError
from weft.eventlog.runs import Summary, summary_by_ends
from weft.eventlog.writer import NAME
from weft_dashboard.book import Book

__all__ = ["Shelf"]

_OPEN: Final = 8
"""Books that are kept open though nobody looks at them: those that were used last."""

_Mark = tuple[int, int, int]
"""What changes with a file: which one it is, its size, and when it was written."""


class Shelf:
    """The runs of a folder.

    Args:
        folder: a folder of runs, or the folder of one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._books: dict[str, Book] = {}
        self._known: dict[str, tuple[_Mark, Summary]] = {}

    @property
    def single(self) -> bool:
        """Whether the folder is that of one run."""
        return (self.folder / NAME).exists()

    def folders(self) -> dict[str, Path]:
        """The folders of the runs by their names, the latest first."""
        if self.single:
            return {self.folder.name: self.folder}
        try:
            found = [one for one in self.folder.iterdir() if one.name.isdecimal()]
        except OSError:
            return {}
        found.sort(key=lambda one: (-int(one.name), one.name))
        return {one.name: one for one in found if (one / NAME).exists()}

    def book(self, name: str) -> Book:
        """The book of a run, opened if it is not.

        Raises:
            KeyError: there is no such run.
            EventLogError: its log cannot be read.
        """
        book = self._books.pop(name, None)
        if book is not None and book.state == "gone" and name in self.folders():
            book.close()  # another run has taken its place
            book = None
        if book is None:
            book = Book(self.folders()[name])
        self._books[name] = book
        return book

    def put_back(self, used: set[str]) -> None:
        """Close the books of which there are too many, and that nobody uses."""
        idle = [name for name in self._books if name not in used]
        for name in idle[: max(0, len(idle) - _OPEN)]:
            self._books.pop(name).close()

    def summaries(self, seconds: float) -> dict[str, tuple[Summary, bool]]:
        """Each run in short, the latest first, and whether all of its log has been read.

        Of a run that has ended, the two ends of its log are enough, once; others are read on.

        Args:
            seconds: for which to read on, in all; the rest is for the next time.
        """
        end = monotonic() + seconds
        folders = self.folders()
        found: dict[str, tuple[Summary, bool]] = {}
        for name, folder in folders.items():
            mark = _mark(folder / NAME)
            if mark is None:
                continue
            known = self._known.get(name)
            if known is not None and known[0] == mark and known[1].state in ("ended", "broken off"):
                found[name] = known[1], True
                continue
            try:
                short, whole = self._looked_at(name, folder, end)
            except (EventLogError, OSError, KeyError) as error:
                short, whole = _unreadable(folder, error), True
            if whole:
                self._known[name] = mark, short
            found[name] = short, whole
        for name in self._known.keys() - folders.keys():
            del self._known[name]
        return found

    def _looked_at(self, name: str, folder: Path, end: float) -> tuple[Summary, bool]:
        left = end - monotonic()
        if name not in self._books:
            if left <= 0:
                return _unreadable(folder, ""), False
            short = summary_by_ends(folder)
            if short is not None:
                return short, True
        book = self.book(name)
        book.read(max(0.0, left))
        return book.summary(), book.whole

    def close(self) -> None:
        """Close all books."""
        for book in self._books.values():
            book.close()
        self._books.clear()


def _mark(path: Path) -> _Mark | None:
    try:
        now = path.stat()
    except OSError:
        return None
    return now.st_ino, now.st_size, now.st_mtime_ns


def _unreadable(folder: Path, error: Exception | str) -> Summary:
    problem = str(error.reason) if isinstance(error, EventLogError) else str(error)
    return Summary(folder, "", "", "unknown", 0.0, 0.0, 0, 0, 0, 0, problem)
