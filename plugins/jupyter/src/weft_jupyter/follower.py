"""Follows the logs of the runs that are watched: one thread for all of them, while there are any.

    add ──▶ [ each run: read what is new ──▶ picture ──▶ show it, if it differs ] ──▶ drop

The thread starts with the first run that is watched, and ends with the last one: because the run
has ended, or was broken off, or nobody shows it any more. A log has nothing to wait on that works
on every file system, so it is looked at twice in a second, and less often where reading takes long.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from weft.errors import EventLogError
from weft.eventlog.runs import Run, open_run
from weft.values.states import FINAL
from weft_jupyter.picture import Edges, Failures, Pace, picture_of

__all__ = ["Follower", "Picture", "follower"]

Picture = dict[str, Any]
Show = Callable[[Picture], None]

_LOG = logging.getLogger("weft.jupyter")
BETWEEN: Final = 0.5
"""Seconds between two looks, at least."""
_SHARE: Final = 10
"""The thread rests this many times as long as its last look took: it is a guest of the kernel."""
_LONGEST: Final = 10.0
_JOIN: Final = 10.0


class _Watched:
    """A run that is watched. Of the thread alone, but for who shows it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shows: dict[Show, Picture | None] = {}
        """Who shows it, and which picture they have."""
        self.picture: Picture | None = None
        self.over = False
        self._run: Run | None = None
        self._events = -1
        self._edges, self._failures, self._pace = Edges(), Failures(), Pace()

    def look(self) -> Picture | None:
        """Read on. Returns a picture if that is another one."""
        try:
            if self._run is None:
                self._run = open_run(self.folder)
            else:
                self._run.refresh()
        except EventLogError as error:
            self.over = True
            return {"program": "run", "folder": str(self.folder), "problem": str(error)[:600]}
        story, state = self._run.story, self._run.state
        self.over = state in ("ended", "broken off")
        if story.events == self._events and not self.over:
            return None
        self._events = story.events
        self._pace.add(story.last, sum(story.counts[one] for one in FINAL))
        return picture_of(
            story,
            state,
            now=time.time(),
            folder=str(self.folder),
            edges=self._edges.fold(story),
            failures=self._failures.fold(story),
            pace=self._pace,
        )

    def close(self) -> None:
        if self._run is not None:
            self._run.close()
            self._run = None


class Follower:
    """The runs that are watched, and the thread that reads their logs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[Path, _Watched] = {}
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()

    def add(self, folder: Path, show: Show) -> None:
        """Have pictures of a run shown, from the thread, until it is over or that is taken back.

        Several that show one run share what is read of it.
        """
        with self._lock:
            watched = self._watched.get(folder)
            if watched is None or watched.over:
                watched = self._watched[folder] = _Watched(folder)
            watched.shows[show] = None
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._follow, name="weft-jupyter", daemon=True
                )
                self._thread.start()
        self._wake.set()

    def drop(self, folder: Path, show: Show) -> None:
        """Show it no more. With the last one, the thread ends, and is joined."""
        with self._lock:
            watched = self._watched.get(folder)
            if watched is None or show not in watched.shows:
                return
            del watched.shows[show]
            if not watched.shows:
                del self._watched[folder]
            ending = None if self._watched else self._thread
        if ending is not None:
            self._wake.set()
            if ending is not threading.current_thread():
                ending.join(_JOIN)

    def close(self) -> None:
        """Follow nothing any more, and join the thread."""
        with self._lock:
            self._watched.clear()
            ending = self._thread
        self._wake.set()
        if ending is not None and ending is not threading.current_thread():
            ending.join(_JOIN)

    def _follow(self) -> None:
        followed: dict[Path, _Watched] = {}
        try:
            while True:
                with self._lock:
                    self._wake.clear()
                    for folder, watched in list(followed.items()):
                        if watched.over or self._watched.get(folder) is not watched:
                            followed.pop(folder).close()
                            if self._watched.get(folder) is watched:
                                del self._watched[folder]
                    followed.update(self._watched)
                    if not followed:
                        self._thread = None  # whoever adds from now on starts another one
                        return
                begun = time.monotonic()
                for watched in followed.values():
                    self._look(watched)
                rest = max(BETWEEN, _SHARE * (time.monotonic() - begun))
                self._wake.wait(min(rest, _LONGEST))
        finally:
            for watched in followed.values():
                watched.close()

    def _look(self, watched: _Watched) -> None:
        try:
            picture = watched.look()
        except Exception as error:  # noqa: BLE001 - a defect: told, and the other runs go on
            _LOG.exception("the run in %s is not followed any more", watched.folder)
            watched.over = True
            picture = {
                "program": "run",
                "folder": str(watched.folder),
                "problem": f"It cannot be shown: {type(error).__name__}: {error}"[:600],
            }
        if picture is not None and picture != watched.picture:
            watched.picture = picture
        known = watched.picture
        if known is None:
            return
        with self._lock:
            shows = [show for show, has in watched.shows.items() if has is not known]
            watched.shows.update(dict.fromkeys(shows, known))
        for show in shows:
            try:
                show(known)
            except Exception:  # noqa: BLE001 - the notebook's side, which may be gone; others go on
                _LOG.warning("a picture of %s could not be shown", watched.folder, exc_info=True)


follower: Final = Follower()
"""The one of this process."""

atexit.register(follower.close)
