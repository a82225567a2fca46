"""A run that is looked at: its log, read piece by piece, and what it has come to."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Literal, TypeVar, cast

from weft.eventlog.runs import Run, RunState, Summary
from weft.eventlog.story import RunStory
from weft_dashboard.annals import Annals

__all__ = ["Book"]

_T = TypeVar("_T")


class Book:
    """A run that is looked at.

    Args:
        folder: the run's.

    Attributes:
        name: what the run is called here: the name of its folder.
        annals: what was told, beside the story.
        whole: whether all that was there when it was last looked has been read.
        state: how the run is; ``gone`` when its folder was removed, or the log replaced.
        changes: counts what could make a page look different.

    Raises:
        EventLogError: there is no log, or it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self._run = Run(folder, read=False)
        self.folder = self._run.folder
        self.annals = Annals(self._run.story)
        self.whole = False
        self.state: RunState | Literal["gone"] = "unknown"
        self.changes = 0
        self._memory: dict[str, tuple[object, object]] = {}

    @property
    def story(self) -> RunStory:
        """What the events come to."""
        return self._run.story

    @property
    def missing(self) -> int:
        """Chunks of the log that are damaged or not there."""
        return self._run.missing

    @property
    def skipped(self) -> int:
        """Bytes of the log that could not be read."""
        return self._run.skipped

    @property
    def share(self) -> float:
        """How much of the log has been read: from 0 to 1."""
        size = self._size()
        return min(1.0, self._run.offset / size) if size else 1.0

    def read(self, seconds: float) -> None:
        """Read on for no longer than about so many seconds, or to the end of what is there."""
        if self.state == "gone":
            return
        size = self._size()
        if size is None or size < self._run.offset:
            self._change(state="gone")
            self.whole = True
            return
        end = monotonic() + seconds
        while True:
            batch = self._run.read()
            if batch is None:
                if not self.whole:
                    self.changes += 1
                self.whole = True
                break
            self.annals.take(batch)
            self.changes += 1
            if monotonic() >= end:
                break
        self._change(state=self._run.state)

    def _change(self, *, state: RunState | Literal["gone"]) -> None:
        if state != self.state:
            self.state = state
            self.changes += 1

    def _size(self) -> int | None:
        """The bytes of the log; ``None`` where it is another file now, or none."""
        try:
            now = self._run.path.stat()
        except OSError:
            return None
        return now.st_size if self._run.same(now) else None

    def remembered(self, name: str, mark: object, made: Callable[[], _T]) -> _T:
        """What a function made, made anew only when something, by which it is marked, changes."""
        kept = self._memory.get(name)
        if kept is None or kept[0] != mark:
            kept = self._memory[name] = mark, made()
        return cast("_T", kept[1])

    def summary(self) -> Summary:
        """The run in short."""
        return self._run.summary()

    def close(self) -> None:
        """Close the log."""
        self._run.close()
