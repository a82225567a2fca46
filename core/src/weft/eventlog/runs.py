"""Runs by their logs: which there are in a folder, how each is, and the one that was meant.

Whether a run goes on is told by a lock that its writer holds on the log, and that the system takes
from a process that ends, however it ends.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Literal, Self

from weft.errors import EventLogError
from weft.eventlog.batches import Batch
from weft.eventlog.figures import RunFigures, Timeline, figures_of
from weft.eventlog.format import HEADER_AT_MOST, Splitter, read_header
from weft.eventlog.reader import EventLogReader, events_of
from weft.eventlog.story import RunStory
from weft.eventlog.text import report, where_time_went
from weft.eventlog.writer import NAME
from weft.values.events import RunEnded, RunStarted
from weft.values.message import message
from weft.values.states import TaskState

__all__ = [
    "Ending",
    "Run",
    "RunState",
    "Summary",
    "ending",
    "events_of_run",
    "find_run",
    "folders",
    "held",
    "open_run",
    "summaries",
    "summary",
    "summary_by_ends",
]

_ENDS: Final = 2**18
"""Bytes at the beginning and at the end of a log in which its first and last events are sought."""

RunState = Literal["running", "ended", "broken off", "unknown"]
"""How a run is. ``broken off``: it was killed, or its machine went down. ``unknown``: the file
system knows no locks, and the log does not say that the run has ended."""


@message
class Summary:
    """A run in short.

    Attributes:
        folder: its folder.
        run_id: its id; may be empty if the log is damaged.
        program: the script, for people.
        state: how it is.
        started: when it began, in seconds since the epoch; 0.0 if that is not known.
        seconds: how long it took, or has taken so far.
        done, failed, cancelled, unfinished: how many of its tasks.
        problem: why its log could not be read; empty if it could.
    """

    folder: Path
    run_id: str
    program: str
    state: RunState
    started: float
    seconds: float
    done: int
    failed: int
    cancelled: int
    unfinished: int
    problem: str = ""


class Run:
    """A run whose log is open.

    Args:
        path: its folder, or its log.
        timeline: folded from the same events.
        read: whether to read what is there at once; else :meth:`read` does, piece by piece.

    Attributes:
        folder: its folder.
        story: what its events come to, as far as they have been read.
        timeline: folded from the same events, if one was given.
        state: how it is.

    Use it as a context, or close it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        timeline: Timeline | None = None,
        *,
        read: bool = True,
    ) -> None:
        self._reader = EventLogReader(path)
        self._unread: Iterator[Batch] | None = None
        self._held: bool | None = None
        self.timeline = timeline
        self.folder = self._reader.path.parent.absolute()
        self.story = RunStory()
        self.state: RunState = "unknown"
        if read:
            try:
                self.refresh()
            except BaseException:
                self._reader.close()
                raise

    def refresh(self) -> RunStory:
        """Read what is new. Returns the story."""
        while self.read() is not None:
            pass
        return self.story

    def read(self) -> Batch | None:
        """Read on by a chunk, and fold it into the story.

        A log that is large is read in pieces by those who have other things to do, too.

        Returns:
            The events, as :meth:`weft.eventlog.story.RunStory.take` gives them back; ``None`` when
            nothing more is there now.
        """
        if self._unread is None:
            # First the lock, then the log: what a run writes at its end is there before it lets go.
            self._held = held(self._reader.path)
            self._unread = self._reader.batches(final=self._held is False)
        try:
            batch = next(self._unread, None)
            if batch is None:
                self._unread = None
                self.state = _state(self.story.ended is not None, self._held)
                return None
            if self.timeline is not None:
                self.timeline.fold(batch.events())
            return self.story.take(batch)
        except BaseException:
            self._unread = None
            raise

    @property
    def path(self) -> Path:
        """The log."""
        return self._reader.path

    @property
    def offset(self) -> int:
        """How many bytes of the log have been read."""
        return self._reader.offset

    def same(self, status: os.stat_result) -> bool:
        """Whether a file, by its status, is the one that is read: logs may be replaced."""
        return os.path.samestat(self._reader.status, status)

    @property
    def there(self) -> bool:
        """Whether its log can still be found where it was opened."""
        return self._reader.path.exists()

    @property
    def missing(self) -> int:
        """Chunks of the log that are damaged or not there."""
        return self._reader.missing

    @property
    def skipped(self) -> int:
        """Bytes of the log that could not be read."""
        return self._reader.skipped

    def close(self) -> None:
        """Close the log."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def summary(self) -> Summary:
        """It in short."""
        story = self.story
        return Summary(
            self.folder,
            story.started.run_id if story.started else "",
            story.started.program if story.started else "",
            self.state,
            story.started.time if story.started else story.first,
            story.seconds,
            story.counts[TaskState.DONE],
            story.counts[TaskState.FAILED],
            story.counts[TaskState.CANCELLED],
            story.unfinished,
        )


def open_run(path: str | os.PathLike[str], timeline: Timeline | None = None) -> Run:
    """A run by its folder, or by its log.

    Args:
        path: the folder, or the log.
        timeline: takes in the events, too; ``figures_of`` wants one.

    Raises:
        EventLogError: there is no log, or it cannot be read.
    """
    return Run(path, timeline)


def events_of_run(
    path: str | os.PathLike[str], *, pause: Callable[[], None] | None = None
) -> Iterator[Any]:
    """The events of a run, in their order.

    Args:
        path: its folder, or its log.
        pause: waits a moment for more; called whenever all that there is was given, until the run
            has ended or was broken off. Without it, that is the end.

    Raises:
        EventLogError: there is no log, or it cannot be read.
    """
    ended = False
    with EventLogReader(path) as reader:
        while True:
            writes = held(reader.path)
            for event in reader.new(final=writes is False):
                ended = ended or type(event) is RunEnded
                yield event
            if pause is None or writes is False or (ended and not writes):
                return
            pause()


def held(path: Path) -> bool | None:
    """Whether a writer holds the log; ``None`` if the file system cannot tell."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return True if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
    finally:
        os.close(file)
    return False


def _state(ended: bool, writing: bool | None) -> RunState:
    if ended:
        return "ended"
    if writing is None:
        return "unknown"
    return "running" if writing else "broken off"


# -------------------------------------------------------------------------- at the end of a run

_READ_AT_MOST: Final = 30_000_000
"""Bytes of a log that are read for a summary: those of half a million tasks, in some seconds."""


@message
class Ending:
    """What the log of a run tells at its end.

    A summary is a kindness: where the log is missing or very long, a line says what to do.

    Attributes:
        name: of its folder.
        state: how it is.
        figures: of the run; ``None`` if the log is not read.
        problem: why not.
    """

    name: str
    state: RunState
    figures: RunFigures | None
    problem: str = ""

    def report(self) -> list[str]:
        """All that is said of the run."""
        if self.figures is None:
            return [self.problem]
        return report(self.figures, self.name, self.state)

    def times(self) -> list[str]:
        """Where the time went."""
        return [self.problem] if self.figures is None else list(where_time_went(self.figures))


def ending(folder: Path) -> Ending:
    """What the log of the run in a folder tells at its end."""
    try:
        if (folder / NAME).stat().st_size > _READ_AT_MOST:
            long = f"The log of the run is long: 'weft runs report {folder}' says what is in it."
            return Ending(folder.name, "unknown", None, long)
        with open_run(folder, Timeline()) as run:
            assert run.timeline is not None
            return Ending(run.folder.name, run.state, figures_of(run.story, run.timeline))
    except (EventLogError, OSError):
        none = "There is no event log to tell where the time went: see Config(event_log=...)."
        return Ending(folder.name, "unknown", None, none)


# ---------------------------------------------------------------------------------------- of many


def summary(folder: Path) -> Summary:
    """The run in a folder in short. Of one that has ended, the ends of its log are enough.

    Raises:
        EventLogError: there is no log, or it cannot be read.
    """
    short = summary_by_ends(folder)
    if short is None:
        with open_run(folder) as run:
            return run.summary()
    return short


def summary_by_ends(folder: Path) -> Summary | None:
    """The run in a folder in short, if the two ends of its log say that it has ended.

    Raises:
        EventLogError: there is no log, or it cannot be read.
    """
    with EventLogReader(folder) as reader:
        path = reader.path
    first, last = _ends(path)
    if first is None or last is None:
        return None
    return Summary(
        path.parent.absolute(),
        first.run_id,
        first.program,
        "ended",
        first.time,
        max(0.0, last.time - first.time),
        last.done,
        last.failed,
        last.cancelled,
        0,
    )


def _ends(path: Path) -> tuple[RunStarted | None, RunEnded | None]:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        head = file.read(_ENDS)
        file.seek(max(0, size - _ENDS))
        tail = file.read(_ENDS)
    if read_header(head[:HEADER_AT_MOST]) is None:
        return None, None
    started = next((one for one in _found(head) if type(one) is RunStarted), None)
    ended = None
    for event in _found(tail):
        if type(event) is RunEnded:
            ended = event
    return started, ended


def _found(data: bytes) -> Iterator[Any]:
    splitter = Splitter()
    yield from events_of(splitter.feed(data))


def summaries(run_dir: Path) -> list[Summary]:
    """The runs in a folder of runs, the latest first.

    A log that cannot be read is among them, with its problem. Folders without one are left out.
    """
    found = []
    for folder in folders(run_dir):
        try:
            found.append(summary(folder))
        except EventLogError as error:
            found.append(
                Summary(
                    folder.absolute(), "", "", "unknown", 0.0, 0.0, 0, 0, 0, 0, str(error.reason)
                )
            )
    return found


def folders(run_dir: Path) -> list[Path]:
    """The folders in a folder of runs that have an event log, the latest first."""
    try:
        numbered = [one for one in run_dir.iterdir() if one.name.isdigit()]
    except OSError:
        return []
    ordered = sorted(numbered, key=lambda one: -int(one.name))
    return [one for one in ordered if (one / NAME).exists()]


def find_run(name: str, run_dir: Path) -> Path:
    """The folder of the run that somebody means.

    Args:
        name: a folder or a log; the name of a folder in ``run_dir``, of which zeros at the
            beginning may be left out; the beginning of a run's id; or ``latest``.
        run_dir: where run folders are.

    Raises:
        EventLogError: there is none, or several.
    """
    path = Path(name)
    if path.is_file() or (path / NAME).exists():
        return path
    there = folders(run_dir)
    if name == "latest" and there:
        return there[0]
    for folder in there:
        if folder.name == name or (name.isdigit() and int(folder.name) == int(name)):
            return folder
    by_id = [(folder, its) for folder in there if name and (its := _id(folder)).startswith(name)]
    if len(by_id) == 1:
        return by_id[0][0]
    if by_id:
        ids = ", ".join(f"{its[:12]} in {folder.name}" for folder, its in by_id[:5])
        raise EventLogError(
            name,
            f"{len(by_id)} runs have an id that begins so: {ids}.",
            "Give more of the id, or the name of the folder.",
        )
    if path.is_dir():
        raise EventLogError(
            name,
            f"There is no {NAME} in this folder.",
            "The run was made with Config(event_log=False), or this is no run's folder; "
            f"'weft runs list' shows those in {run_dir}.",
        )
    number = f"{len(there)} in {run_dir}" if there else f"there are none in {run_dir}"
    raise EventLogError(
        name,
        f"It is no folder, no name of a run, and no beginning of a run's id ({number}).",
        "See 'weft runs list'; where your runs are elsewhere, give --run-dir.",
    )


def _id(folder: Path) -> str:
    try:
        with EventLogReader(folder) as reader:
            about = reader.header.about if reader.header else {}
    except EventLogError:
        return ""
    return str(about.get("run", ""))
