"""The kit for monitors passes sound ones; each rule kills the variant that breaks it, first."""

import json
import os
import threading
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from weft.errors import WeftError
from weft.interfaces.context import Context
from weft.interfaces.monitor import Interest, Monitor
from weft.testing import FakeContext, FakeMonitor
from weft.values.events import Event, Notice, Row, TaskMoved, made
from weft.values.settings import Settings
from weft.values.states import TaskState
from weft_testkit import MonitorConformance
from weft_testkit.bent import BentMonitor, Broken
from weft_testkit.monitor import Recorded


def lines_of(folder: Path) -> Sequence[str]:
    """The records of ``weft.log``; lines that go on with one are indented."""
    records: list[str] = []
    for line in (folder / "weft.log").read_text(encoding="utf-8").split("\n")[:-1]:
        if line.startswith("    "):
            records[-1] += f"\n{line}"
        else:
            records.append(line)
    return records


class TestLog(MonitorConformance):
    name = "log"

    @pytest.fixture
    def recorded(self) -> Recorded | None:
        return lines_of


class TestLogOfAll(TestLog):
    @pytest.fixture
    def settings(self) -> Settings:
        return self.registry().settings("monitor", "log", level="debug", json=True)


class TestLogAsJson(TestLogOfAll):
    @pytest.fixture
    def recorded(self) -> Recorded | None:
        return lambda folder: [
            json.dumps(json.loads(line))
            for line in (folder / "weft.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
        ]


class Keeps(Monitor):
    """Keeps a line for each event, and takes rows."""

    path = Path()

    def start(self, context: Context) -> None:
        self.path = context.folder / "kept"
        try:
            self.path.touch(0o600)
        except OSError as error:
            raise WeftError(f"{self.path} cannot be written.", why=str(error)) from error

    def takes_rows(self) -> bool:
        return True

    def handle(self, events: Sequence[Event | Row]) -> None:
        lines = [f"{event!r}\n" for told in events for event in made(told)]
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(lines)

    def close(self) -> None: ...


class TestKeeps(MonitorConformance):
    name = "log"

    @pytest.fixture
    def recorded(self) -> Recorded | None:
        return lambda folder: (folder / "kept").read_text(encoding="utf-8").splitlines()

    def open(self, settings: Settings) -> Any:
        return Keeps()


class TestFake(MonitorConformance):
    """One that records nothing, of which a kit can see less."""

    name = "log"

    @pytest.fixture
    def hindered(self) -> tuple[Settings, FakeContext] | None:
        return None

    def open(self, settings: Settings) -> Any:
        return FakeMonitor(interests=[Notice, TaskState.FAILED])


# ------------------------------------------------------------------------ broken on purpose


class Variant(Broken, TestLogOfAll):
    """A kit over a monitor that is bent."""


class TestClosesOnce(Variant):
    killed_by = "N001"

    class Bent(BentMonitor):
        closed = False

        def close(self) -> None:
            assert not self.closed
            self.closed = True
            super().close()


class TestNeverStarts(Variant):
    killed_by = "N001"

    @pytest.fixture
    def patience(self) -> float:
        return 0.2

    class Bent(BentMonitor):
        def start(self, context: Context) -> None:
            threading.Event().wait(2)


class TestWantsByName(Variant):
    killed_by = "N002"

    class Bent(BentMonitor):
        def interests(self) -> Any:
            return ["TaskMoved"]


class TestChangesItsMind(Variant):
    killed_by = "N002"

    class Bent(BentMonitor):
        asked = 0

        def interests(self) -> Collection[Interest] | None:
            self.asked += 1
            return [Notice] if self.asked % 2 else [TaskMoved]


class TestStartsAllTheSame(Variant):
    killed_by = "N003"

    class Bent(BentMonitor):
        def start(self, context: Context) -> None:
            if context.folder.is_dir():
                super().start(context)


class TestRaisesWhatItLikes(Variant):
    killed_by = "N003"

    class Bent(BentMonitor):
        def start(self, context: Context) -> None:
            try:
                super().start(context)
            except WeftError as error:
                raise NotADirectoryError(str(error)) from error


class TestLeavesAFileWhenItCannotStart(Variant):
    killed_by = "N004"

    class Bent(BentMonitor):
        def start(self, context: Context) -> None:
            opened = os.open(os.devnull, os.O_RDONLY)
            super().start(context)
            os.close(opened)

    @pytest.fixture
    def patience(self) -> float:
        return 8.0


class TestKnowsNoFailures(Variant):
    killed_by = "N101"

    class Bent(BentMonitor):
        def handle(self, events: Sequence[Event]) -> None:
            for event in events:
                assert not isinstance(event, TaskMoved) or event.state is not TaskState.FAILED
            super().handle(events)


class TestTakesAFewAtOnce(Variant):
    killed_by = "N101"

    class Bent(BentMonitor):
        def handle(self, events: Sequence[Event]) -> None:
            assert len(events) < 512
            super().handle(events)


class TestKnowsThemAll(Variant):
    killed_by = "N102"

    class Bent(BentMonitor):
        def handle(self, events: Sequence[Event]) -> None:
            for event in events:
                if not isinstance(event, Event):
                    raise TypeError(f"what is a {type(event).__name__}?")
            super().handle(events)


class TestShortensTexts(Variant):
    killed_by = "N103"

    class Bent(BentMonitor):
        def handle(self, events: Sequence[Event]) -> None:
            super().handle(events)
            for event in events:
                if isinstance(event, Notice):
                    event.text = "told"  # type: ignore[misc] # that is what is wrong with it


class TestWantsCleanTexts(Variant):
    killed_by = "N104"

    class Bent(BentMonitor):
        def handle(self, events: Sequence[Event]) -> None:
            for event in events:
                str(getattr(event, "text", "")).encode()
            super().handle(events)


class TestWritesTextsAsTheyAre(Variant):
    killed_by = "N104"

    class Bent(BentMonitor):
        folder = Path()

        def start(self, context: Context) -> None:
            self.folder = context.folder
            super().start(context)

        def handle(self, events: Sequence[Event]) -> None:
            super().handle(events)
            with (self.folder / "weft.log").open("a") as log:
                log.writelines(
                    f"{event.text}\n"
                    for event in events
                    if isinstance(event, Notice) and event.text.endswith("two\nlines")
                )


class TestKnowsOneThread(Variant):
    killed_by = "N105"

    class Bent(BentMonitor):
        def start(self, context: Context) -> None:
            self.mine = threading.get_ident()
            super().start(context)

        def handle(self, events: Sequence[Event]) -> None:
            assert threading.get_ident() == self.mine
            super().handle(events)


class Gathers(BentMonitor):
    """Writes what it was told when it is closed, or what it makes of it."""

    def __init__(self, sound: Monitor) -> None:
        super().__init__(sound)
        self.gathered: list[Event] = []

    def handle(self, events: Sequence[Event]) -> None:
        self.gathered += events

    def close(self) -> None:
        if self.gathered:
            super().handle(self.made_of(self.gathered))
            self.gathered = []
        super().close()

    def made_of(self, events: list[Event]) -> list[Event]:
        raise NotImplementedError


class TestForgetsTheLast(Variant):
    killed_by = "N201"

    class Bent(Gathers):
        def made_of(self, events: list[Event]) -> list[Event]:
            return events[:-1] if len(events) > 100 else events


class TestSaysThingsTwice(Variant):
    killed_by = "N201"

    class Bent(Gathers):
        def made_of(self, events: list[Event]) -> list[Event]:
            return [*events, events[0]] if len(events) > 100 else events


class TestSortsByTime(Variant):
    killed_by = "N202"

    class Bent(Gathers):
        def made_of(self, events: list[Event]) -> list[Event]:
            return sorted(events, key=lambda event: event.time)


class TestDropsOfMany(Variant):
    killed_by = "N203"

    class Bent(BentMonitor):
        def handle(self, events: Sequence[Event]) -> None:
            super().handle(events[:10_000])


class TestKeepsOneRecord(Variant):
    killed_by = "N204"
    latest: ClassVar[list[Monitor]] = []

    class Bent(BentMonitor):
        def start(self, context: Context) -> None:
            super().start(context)
            TestKeepsOneRecord.latest[:] = [self.sound]

        def handle(self, events: Sequence[Event]) -> None:
            TestKeepsOneRecord.latest[0].handle(events)


class TestForgetsRows(Broken, TestKeeps):
    killed_by = "N205"

    class Bent(BentMonitor):
        def handle(self, events: Sequence[Event | Row]) -> None:
            super().handle([told for told in events if not isinstance(told, tuple)])


class Minds(BentMonitor):
    """Notices when the disk is full."""

    folder = Path()

    def start(self, context: Context) -> None:
        self.folder = context.folder
        super().start(context)

    def full(self) -> bool:
        try:
            (self.folder / "weft.log.probe").write_bytes(b"x")
        except OSError:
            return True
        finally:
            (self.folder / "weft.log.probe").unlink(missing_ok=True)
        return False


class TestWaitsForSpace(Variant):
    killed_by = "N301"

    class Bent(Minds):
        def handle(self, events: Sequence[Event]) -> None:
            if self.full():
                threading.Event().wait(6)
            super().handle(events)


class TestGivesUpForGood(Variant):
    killed_by = "N302"

    class Bent(Minds):
        gone = False

        def handle(self, events: Sequence[Event]) -> None:
            self.gone = self.gone or self.full()
            if not self.gone:
                super().handle(events)


class TestOpensToAll(Variant):
    killed_by = "N303"

    class Bent(Minds):
        def close(self) -> None:
            super().close()
            for file in self.folder.glob("weft.log"):
                file.chmod(0o644)


class TestWritesHere(Variant):
    killed_by = "N304"

    class Bent(BentMonitor):
        def handle(self, events: Sequence[Event]) -> None:
            super().handle(events)
            Path("weft.out").touch()

        def close(self) -> None:
            super().close()
            if not list(Path.cwd().glob("pyproject.toml")):
                return
            Path("weft.out").unlink(missing_ok=True)  # where the tests themselves were started


class TestLeavesAThread(Variant):
    killed_by = "N305"

    class Bent(BentMonitor):
        def handle(self, events: Sequence[Event]) -> None:
            super().handle(events)
            end = threading.Event()
            threading.Thread(target=end.wait, args=(8,), name="left", daemon=True).start()
