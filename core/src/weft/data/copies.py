"""Where copies of files are, as far as this run knows: what need not be moved again."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import attrs

from weft.data.errand import Facts
from weft.data.routes import Copy

__all__ = ["Copies", "Known"]

_MOST: Final = 200_000
"""Files that are remembered; those that nobody asked for the longest are forgotten first."""


@attrs.frozen
class Known:
    """A copy at a site, and how it was when it was put there."""

    copy: Copy
    facts: Facts


class _Entry:
    __slots__ = ("held", "slots", "validator")

    def __init__(self) -> None:
        self.validator: str | None = None
        self.held: dict[str, Known] = {}
        self.slots: dict[str, int] = {}


class Copies:
    """What is remembered of each file. From any thread.

    A copy counts for as long as the file says of itself what it said when the copy was made: its
    *validator*, ``None`` for files of which only this run knows.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def at(self, url: str, validator: str | None) -> Mapping[str, Known]:
        """The copies of a file that count, by their site."""
        with self._lock:
            entry = self._entries.get(url)
            if entry is None or entry.validator != validator:
                return {}
            self._entries.move_to_end(url)
            return dict(entry.held)

    def made(self, url: str, copy: Copy, facts: Facts, validator: str | None = None) -> None:
        """The file has new content, of which there is this copy alone."""
        assert copy.site is not None
        with self._lock:
            entry = self._entry(url)
            entry.validator, entry.held = validator, {copy.site: Known(copy, facts)}

    def added(self, url: str, copy: Copy, facts: Facts, validator: str | None) -> None:
        """There is one more copy of a file that says ``validator`` of itself.

        Of a file that says nothing of itself, only if it was made by this run.
        """
        assert copy.site is not None
        with self._lock:
            entry = self._entry(url)
            if validator is None and not entry.held:
                return
            if entry.validator != validator:
                entry.validator, entry.held = validator, {}
            entry.held[copy.site] = Known(copy, facts)

    def forget(self, url: str) -> None:
        """The file has new content, of which no copy is at a site."""
        with self._lock:
            self._entries.pop(url, None)

    def came_home(self, url: str, copy: Copy, validator: str | None) -> None:
        """What a site made is at the client as well, where it says ``validator`` of itself."""
        with self._lock:
            entry = self._entries.get(url)
            known = entry.held.get(copy.site or "") if entry is not None else None
            if entry is not None and known is not None and known.copy == copy:
                entry.validator = validator

    def slot(self, url: str, validator: str | None) -> int:
        """A number for each content that a file had in this run, from 0."""
        with self._lock:
            slots = self._entry(url).slots
            return slots.setdefault(validator or "", len(slots))

    def _entry(self, url: str) -> _Entry:
        entry = self._entries.get(url)
        if entry is None:
            entry = self._entries[url] = _Entry()
            if len(self._entries) > _MOST:
                self._entries.popitem(last=False)
        self._entries.move_to_end(url)
        return entry
