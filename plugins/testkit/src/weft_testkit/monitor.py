"""The kit for monitors: what it is told is on record when it is closed, whatever it is told.

Each event that the kit tells carries a mark of its own in one of its texts, by which it is found
again in the record.
"""

import contextlib
import os
import re
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, get_args

import attrs
import pytest
from typeguard import suppress_type_checks

from weft.errors import WeftError
from weft.interfaces.monitor import Interest, Monitor
from weft.testing import FakeContext
from weft.values.blocks import BlockId, BlockState
from weft.values.events import (
    BEGUN,
    DONE,
    BlockChanged,
    Event,
    ExecutorStarted,
    ExecutorStopped,
    FileMoving,
    LogLine,
    ManagerChanged,
    Notice,
    ResourceSample,
    Row,
    RunEnded,
    RunStarted,
    TaskDetails,
    TaskMoved,
    TaskSubmitted,
    TryEnded,
    made,
)
from weft.values.jobs import JobId
from weft.values.plugin import Kind, Level
from weft.values.settings import Settings
from weft.values.states import TaskState
from weft.values.task import TaskId
from weft_testkit.base import Conformance
from weft_testkit.bounded import Caller
from weft_testkit.leftovers import Look
from weft_testkit.limits import no_file_beyond
from weft_testkit.rules import rule

__all__ = ["MonitorConformance", "Recorded", "all_events", "all_rows"]

Recorded = Callable[[Path], Sequence[str]]
"""Gives what a closed monitor has on record in its folder: a text for each event, oldest first."""

_CLASSES: Final = frozenset(get_args(Event))
_MARK: Final = re.compile(r"mark\d{6}")

_AWKWARD: Final = (
    "two\nlines",
    "two\r\nlines, and\rone more",
    "2026-01-01 00:00:00.000 ERROR   forged",
    '\n2026-01-01 00:00:00.000 ERROR   forged\n{"event": "forged"}\n',
    "'quoted' \"twice\" `thrice` \\ %s %d {} ${HOME}",
    "zero \0 bell \a escape \x1b[2J",
    "lone \ud800 half",
    "naïve — 数据 \U0001f9ec",
    "'); DROP TABLE task; --",
    "",
    "l" * 1_000_000,
)
"""Texts that come to harm, or do some, where they are written carelessly."""


_PLACE: Final = "worker 3 (pid 4711) on node1"


class Unheard:
    """An event of a kind that no monitor knows."""

    __slots__ = ("extra", "time")

    def __init__(self) -> None:
        self.time, self.extra = 1.0, "mark999999"


def all_events(first: int = 0) -> list[Event]:
    """One event of every class, and a move into every state, each with a mark of its own.

    They are about a task, and a file, that those of another ``first`` are not about.
    """

    def mark() -> str:
        nonlocal first
        first += 1
        return f"mark{first:06}"

    at = 1_700_000_000.0
    task = TaskId(first + 7)
    return [
        RunStarted(at, "run", "/runs/1", mark(), "0.1"),
        ExecutorStarted(at + 1, mark(), "threads"),
        *(BlockChanged(at + 2, "cpu", BlockId(mark()), JobId("1"), state) for state in BlockState),
        *(
            ManagerChanged(at + 2.5, "cpu", BlockId("block"), mark(), "node1", state, 17, 4)
            for state in ("working", "draining", "away", "lost", "ended")
        ),
        TaskSubmitted(at + 3, task, mark(), (TaskId(1), TaskId(2))),
        *(
            TaskMoved(at + 4, task, "kit", state, 1, "cpu", mark(), _PLACE, at + 3.5, 0.5)
            for state in TaskState
        ),
        LogLine(at + 4.5, task, 1, "cpu", "WARNING", "a.logger", mark(), 3),
        ResourceSample(at + 4.5, task, 1, mark(), last=True, user=0.5, resident=1 << 40),
        TryEnded(at + 5, task, "kit", 2, "cpu", "error", f"ValueError: {mark()}", 1.5, _PLACE),
        TaskDetails(at + 5.2, task, "kit", 2, "'x'", None, f"ValueError: {mark()}"),
        FileMoving(at + 5.5, f"https://host/{mark()}", "in", "cpu", 10, None),
        *(Notice(at + 6, level, "test", mark()) for level in ("info", "warning", "error")),
        ExecutorStopped(at + 7, mark()),
        RunEnded(at + 8, mark(), 1, 2, 3, 4),
    ]


def all_rows(first: int = 0) -> list[Row]:
    """Rows of every short form, and of classes of events, about tasks of one number and more."""
    at, apps = 1_700_000_000.0, [f"app{number}" for number in range(first, first + 8)]
    begun: list[Row] = [
        (BEGUN, at + number, TaskId(first + number), app, "cpu") for number, app in enumerate(apps)
    ]
    return [
        *begun,
        (TaskSubmitted, at + 8, TaskId(first + 8), "needs", (TaskId(first), TaskId(first + 1))),
        (DONE, at + 9, TaskId(first), apps[0], 1, _PLACE, at + 8, 0.5),
        (DONE, at + 9, TaskId(first + 1), apps[1], 1, "", 0.0, None),
        (TaskMoved, at + 9, TaskId(first + 8), "needs", TaskState.LAUNCHED, 1, "gpu"),
        (TryEnded, at + 10, TaskId(first + 2), apps[2], 1, "cpu", "lost", "why", 0.0, _PLACE),
        (TaskMoved, at + 11, TaskId(first + 2), apps[2], TaskState.LAUNCHED, 2, "gpu"),
        (DONE, at + 12, TaskId(first + 2), apps[2], 2, _PLACE, at + 11, 0.5),
        (TaskMoved, at + 12, TaskId(first + 3), apps[3], TaskState.STAGING_OUT, 1),
        (DONE, at + 13, TaskId(first + 3), apps[3], 1, _PLACE, at + 11, 0.5),
        (TaskMoved, at + 13, TaskId(first + 4), apps[4], TaskState.FAILED, 1, "", "why", _PLACE),
        (DONE, at + 14, TaskId(first + 8), "needs", 1, _PLACE, at + 13, 0.5),
    ]


def _notices(texts: Sequence[str], first: int = 0) -> list[Event]:
    """Notices of these texts, each of which a mark stands before."""
    return [
        Notice(1_700_000_000.0 + n, "error", "test", f"mark{first + n:06} {text}")
        for n, text in enumerate(texts)
    ]


def _marks(texts: Sequence[str]) -> list[str]:
    return [mark for text in texts for mark in _MARK.findall(text)]


def _marks_of(events: Sequence[Event]) -> list[str]:
    return _marks([repr(event) for event in events])


@attrs.frozen
class Told:
    """A monitor that has started, and what came of it."""

    monitor: Monitor
    context: FakeContext
    caller: Caller

    def wanted(self, events: Sequence[Event]) -> list[Event]:
        """Those of the events that a session would tell it."""
        interests = self.caller.well(self.monitor.interests)
        if interests is None:
            return list(events)
        wants = frozenset(interests)
        return [
            event
            for event in events
            if type(event) in wants or (isinstance(event, TaskMoved) and event.state in wants)
        ]

    def tell(self, events: Sequence[Event]) -> list[Event]:
        """Tell it what it wants of the events, in one batch. Returns that."""
        wanted = self.wanted(events)
        if wanted:
            self.caller.well(self.monitor.handle, list(wanted))
        return wanted


class MonitorConformance(Conformance):
    """Proves that a monitor keeps the promises of ``weft.interfaces.monitor``.

    Override ``recorded``, so that what it wrote can be looked at; without it the rules about the
    record are skipped. Override ``hindered`` where something else than an unusable folder keeps it
    from recording anything, such as an address at which nobody listens.
    """

    kind: ClassVar[Kind] = Kind.MONITOR

    @pytest.fixture
    def recorded(self) -> Recorded | None:
        """Reads the record in the folder of a closed monitor; ``None`` if that cannot be done."""
        return None

    @pytest.fixture
    def hindered(self, settings: Settings, scratch: Path) -> tuple[Settings, FakeContext] | None:
        """Settings and a context by which it cannot record anything; ``None`` if it always can."""
        (scratch / "no folder").write_text("a file")
        return settings, FakeContext(scratch / "no folder")

    @pytest.fixture
    def folder(self, scratch: Path) -> Path:
        """The monitor's folder."""
        folder = scratch / "own"
        folder.mkdir(mode=0o700)
        return folder

    @contextlib.contextmanager
    def _started(self, settings: Settings, caller: Caller, folder: Path) -> Iterator[Told]:
        monitor: Monitor = caller.well(self.open, settings)
        context = FakeContext(folder)
        try:
            caller.well(monitor.start, context)
            yield Told(monitor, context, caller)
        finally:
            caller.well(monitor.close)

    def _read(self, recorded: Recorded | None, folder: Path) -> Sequence[str]:
        if recorded is None:
            pytest.skip("this kit cannot read the record; override the fixture 'recorded'")
        return recorded(folder)

    # ---------------------------------------------------------------------------------------- life

    @rule("N001", "It starts, and is closed twice.")
    def test_life(self, settings: Settings, caller: Caller, folder: Path) -> None:
        with self._started(settings, caller, folder) as told:
            caller.well(told.monitor.close)

    @rule("N002", "What it wants to be told are classes of events and states, always the same.")
    def test_interests(self, settings: Settings, caller: Caller, folder: Path) -> None:
        with self._started(settings, caller, folder) as told:
            interests = caller.well(told.monitor.interests)
            if interests is None:
                return
            assert isinstance(interests, Collection), f"its interests are {interests!r}"
            known: frozenset[Interest] = frozenset({*_CLASSES, *TaskState})
            for interest in interests:
                assert interest in known, f"there is no event {interest!r}"
            again = caller.well(told.monitor.interests)
            assert again is not None
            assert set(again) == set(interests), "asked twice, it says two things"

    @rule("N003", "If it cannot record anything, its start raises a WeftError.")
    def test_cannot_record(
        self, hindered: tuple[Settings, FakeContext] | None, caller: Caller
    ) -> None:
        if hindered is None:
            pytest.skip("nothing keeps it from recording")
        settings, context = hindered
        monitor: Monitor = caller.well(self.open, settings)
        with pytest.raises(Exception) as raised:
            caller.call(monitor.start, context)
        caller.well(monitor.close)
        error = raised.value
        assert isinstance(error, WeftError), f"it raised {error!r} and no WeftError"
        assert str(error).strip(), "the error does not say what is wrong"

    @rule("N004", "What could not start leaves nothing behind when it is closed.")
    def test_failed_start(
        self,
        settings: Settings,
        hindered: tuple[Settings, FakeContext] | None,
        caller: Caller,
        folder: Path,
        patience: float,
    ) -> None:
        if hindered is None:
            pytest.skip("nothing keeps it from recording")
        with self._started(settings, caller, folder):  # what it loads, it loads now
            pass
        unusable, context = hindered
        before = Look.now(caller.threads)
        monitor: Monitor = caller.well(self.open, unusable)
        with contextlib.suppress(WeftError):
            caller.call(monitor.start, context)
        caller.well(monitor.close)
        left = before.left(caller.threads, patience)
        assert not left, f"it left {', '.join(left)}"

    # --------------------------------------------------------------------------------- being told

    @rule("N101", "It takes every event that there is, alone and in batches.")
    def test_all_events(self, settings: Settings, caller: Caller, folder: Path) -> None:
        with self._started(settings, caller, folder) as told:
            for event in all_events():
                told.tell([event])
            told.tell(all_events())
            told.tell(all_events() * 50)

    @rule("N102", "It ignores events of kinds that it does not know.")
    def test_unknown_events(self, settings: Settings, caller: Caller, folder: Path) -> None:
        unknown: Any = Unheard()
        # By its type it is no event at all, so nothing that hands it on is checked.
        with suppress_type_checks(), self._started(settings, caller, folder) as told:
            wanted = told.wanted(all_events())
            caller.well(told.monitor.handle, [unknown])
            caller.well(told.monitor.handle, [unknown, *wanted, unknown, *wanted])

    @rule("N103", "It leaves the events as they are.")
    def test_changes_nothing(self, settings: Settings, caller: Caller, folder: Path) -> None:
        events = all_events()
        before = [repr(event) for event in events]
        with self._started(settings, caller, folder) as told:
            told.tell(events)
            told.tell(events)
        assert [repr(event) for event in events] == before, "it changed an event"

    @rule("N104", "It takes any text, and no text passes for another event.")
    def test_awkward_texts(
        self, settings: Settings, caller: Caller, folder: Path, recorded: Recorded | None
    ) -> None:
        with self._started(settings, caller, folder) as told:
            wanted = told.tell(_notices(_AWKWARD))
        if recorded is not None:
            texts = recorded(folder)
            assert len(texts) == len(wanted), f"{len(texts)} are on record of {len(wanted)}"
            assert _marks(texts) == _marks_of(wanted), "others are on record"

    @rule("N105", "It is started in one thread, and told and closed in another.")
    def test_other_thread(
        self, settings: Settings, caller: Caller, folder: Path, patience: float
    ) -> None:
        monitor: Monitor = caller.well(self.open, settings)
        caller.well(monitor.start, FakeContext(folder))
        other = Caller(patience)
        try:
            Told(monitor, FakeContext(folder), other).tell(all_events())
            other.well(monitor.close)
        finally:
            other.close()

    # ---------------------------------------------------------------------------------- the record

    @rule("N201", "When it is closed, all that it was told is on record, once.")
    def test_records_all(
        self, settings: Settings, caller: Caller, folder: Path, recorded: Recorded | None
    ) -> None:
        with self._started(settings, caller, folder) as told:
            wanted = [event for n in range(20) for event in told.tell(all_events(100 * n))]
        there = _marks(self._read(recorded, folder))
        missing = set(_marks_of(wanted)) - set(there)
        assert not missing, f"{len(missing)} of {len(wanted)} are missing, such as {min(missing)}"
        assert len(there) == len(set(there)), "some are on record twice"
        assert set(there) == set(_marks_of(wanted)), "it has on record what it was not told"

    @rule("N202", "They are on record in the order in which they were told.")
    def test_records_in_order(
        self, settings: Settings, caller: Caller, folder: Path, recorded: Recorded | None
    ) -> None:
        with self._started(settings, caller, folder) as told:
            wanted = [event for n in (3, 1, 2) for event in told.tell(all_events(100 * n))]
        assert _marks(self._read(recorded, folder)) == _marks_of(wanted), "the order is another"

    @rule("N203", "Of many in one batch, too, none is lost.")
    def test_records_many(
        self, settings: Settings, caller: Caller, folder: Path, recorded: Recorded | None
    ) -> None:
        with self._started(settings, caller, folder) as told:
            wanted = told.tell(_notices(["of many"] * 20_000))
        there = _marks(self._read(recorded, folder))
        assert there == _marks_of(wanted), f"{len(there)} are on record of {len(wanted)}"

    @rule("N204", "Two of them at once, as of two sessions, keep apart.")
    def test_two_at_once(
        self, settings: Settings, caller: Caller, folder: Path, recorded: Recorded | None
    ) -> None:
        folders = [folder / "one", folder / "two"]
        for one in folders:
            one.mkdir(mode=0o700)
        with (
            self._started(settings, caller, folders[0]) as first,
            self._started(settings, caller, folders[1]) as second,
        ):
            wanted = [first.tell(all_events()), second.tell(all_events(500))]
        for one, mine in zip(folders, wanted, strict=True):
            there = _marks(self._read(recorded, one))
            assert there == _marks_of(mine), "one has on record what the other was told"

    @rule("N205", "Of a row it has on record what it has of the events that the row stands for.")
    def test_records_rows(
        self, settings: Settings, caller: Caller, folder: Path, recorded: Recorded | None
    ) -> None:
        folders = [folder / "rows", folder / "events"]
        for one in folders:
            one.mkdir(mode=0o700)
        rows = all_rows()
        with self._started(settings, caller, folders[0]) as told:
            if caller.well(told.monitor.interests) is not None or not caller.well(
                told.monitor.takes_rows
            ):
                pytest.skip("it takes events alone")
            # By its type it takes events; that it takes rows, it has just said.
            handle: Any = told.monitor.handle
            with suppress_type_checks():
                for number in range(len(rows)):
                    caller.well(handle, rows[number : number + 1])
                caller.well(handle, all_rows(100))
        with self._started(settings, caller, folders[1]) as told:
            told.tell([event for row in (*rows, *all_rows(100)) for event in made(row)])
        of_rows, of_events = (self._read(recorded, one) for one in folders)
        assert list(of_rows) == list(of_events), "it has something else on record"

    # -------------------------------------------------------------------------------------- faults

    @rule("N301", "On a full disk it comes back, and can be closed.", level=Level.SUPPORTED)
    def test_full_disk(self, settings: Settings, caller: Caller, folder: Path) -> None:
        with self._started(settings, caller, folder) as told:
            wanted = told.wanted(all_events())
            with no_file_beyond(0):
                for _ in range(3):
                    # What it raises is counted by who called it, and harms nothing.
                    with contextlib.suppress(Exception):
                        caller.call(told.monitor.handle, list(wanted))

    @rule("N302", "When a disk has space again, it records what comes then.", level=Level.SUPPORTED)
    def test_recovers(
        self, settings: Settings, caller: Caller, folder: Path, recorded: Recorded | None
    ) -> None:
        with self._started(settings, caller, folder) as told:
            before = told.tell(all_events())
            with no_file_beyond(0), contextlib.suppress(Exception):
                caller.call(told.monitor.handle, told.wanted(all_events(500)))
            after = told.tell(all_events(1000))
        there = set(_marks(self._read(recorded, folder)))
        assert set(_marks_of(before)) <= there, "what was on record before is lost"
        assert set(_marks_of(after)) <= there, "what came afterwards is not on record"

    @rule("N303", "Its files are for their owner alone.", level=Level.SUPPORTED)
    def test_keeps_to_itself(self, settings: Settings, caller: Caller, folder: Path) -> None:
        before = os.umask(0)
        try:
            with self._started(settings, caller, folder) as told:
                told.tell(all_events())
        finally:
            os.umask(before)
        for path in folder.rglob("*"):
            mode = stat.S_IMODE(path.lstat().st_mode)
            assert not mode & 0o077, f"the mode of {path.name!r} is {mode:o}"

    @rule("N304", "It writes nothing into the folder in which the script was started.")
    def test_leaves_the_folder_alone(
        self,
        settings: Settings,
        caller: Caller,
        folder: Path,
        scratch: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        here = scratch / "here"
        here.mkdir()
        monkeypatch.chdir(here)
        with self._started(settings, caller, folder) as told:
            told.tell(all_events())
        assert not list(here.iterdir()), f"it wrote {next(here.iterdir()).name!r} there"

    @rule("N305", "Closed, it leaves no thread, no process and no open file.")
    def test_leaves_nothing(
        self, settings: Settings, caller: Caller, folder: Path, patience: float
    ) -> None:
        with self._started(settings, caller, folder) as told:  # what it loads, it loads now
            told.tell(all_events())
        before = Look.now(caller.threads)
        with self._started(settings, caller, folder) as told:
            told.tell(all_events())
        left = before.left(caller.threads, patience)
        assert not left, f"it left {', '.join(left)}"
