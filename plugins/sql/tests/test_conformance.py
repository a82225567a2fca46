"""The monitor keeps the promises of its interface, with a file of SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from sqlalchemy import Connection, Text, create_engine, select

from weft.interfaces.context import Context
from weft.testing import FakeContext
from weft.values.events import DONE, Event, Notice, TaskSubmitted
from weft.values.settings import Settings
from weft_sql.schema import TABLES
from weft_testkit import MonitorConformance
from weft_testkit.bent import BentMonitor, Broken
from weft_testkit.monitor import Recorded


def on_record(connection: Connection, folder: Path) -> Sequence[str]:
    """All that one monitor wrote, by its folder, in the order in which it was told."""
    run = TABLES["run"].c
    number = connection.execute(select(run.run).where(run.recorder == str(folder))).scalar_one()
    found: list[tuple[int, str]] = []
    for name, table in TABLES.items():
        if "seq" not in table.c or name == "task":  # a task is told of by its moves
            continue
        texts = [column for column in table.c if isinstance(column.type, Text)]
        query = select(table.c.seq, *texts).where(table.c.run == number, table.c.seq.is_not(None))
        found += [(seq, repr(said)) for seq, *said in connection.execute(query)]
    task, state = TABLES["task"].c, TABLES["state"].c
    called = select(state.seq, task.app).where(
        state.run == number, task.run == number, task.task == state.task, state.attempt == 0
    )
    of_calls = {seq: str(app) for seq, app in connection.execute(called)}
    return [f"{text} {of_calls.get(seq, '')}" for seq, text in sorted(found)]


def in_file(folder: Path) -> Sequence[str]:
    """What is in the file that lies where run folders are."""
    engine = create_engine(f"sqlite:///{folder.parent.parent / 'weft.db'}")
    with engine.connect() as connection:
        told = on_record(connection, folder)
    engine.dispose()
    return told


class TestFile(MonitorConformance):
    name = "sql"

    @pytest.fixture
    def folder(self, scratch: Path) -> Path:
        """As in a run: the folder of a monitor, in that of a run, beside others."""
        folder = scratch / "runs" / "0001" / "monitor-0-sql"
        folder.mkdir(mode=0o700, parents=True)
        return folder

    @pytest.fixture
    def recorded(self) -> Recorded | None:
        return in_file

    @pytest.fixture
    def hindered(self, settings: Settings, scratch: Path) -> tuple[Settings, FakeContext] | None:
        (scratch / "a file").write_text("not a folder")
        unusable = self.registry().settings(
            "monitor", "sql", database=str(scratch / "a file" / "weft.db")
        )
        return unusable, FakeContext(scratch / "runs" / "0001" / "monitor-0-sql")


class TestFileWithoutLog(TestFile):
    """As on a network file system."""

    @pytest.fixture
    def settings(self) -> Settings:
        return self.registry().settings("monitor", "sql", journal="delete")


# ------------------------------------------------------------------------ broken on purpose


class Variant(Broken, TestFile):
    """A kit over a monitor that is bent."""


def _is_done(told: Any) -> bool:
    return isinstance(told, tuple) and told[0] == DONE


class TestForgetsNotices(Variant):
    killed_by = "N104"

    class Bent(BentMonitor):
        def handle(self, events: Sequence[Event]) -> None:
            super().handle([event for event in events if not isinstance(event, Notice)])


class TestForgetsCalls(Variant):
    killed_by = "N201"

    class Bent(BentMonitor):
        def handle(self, events: Sequence[Event]) -> None:
            super().handle([event for event in events if not isinstance(event, TaskSubmitted)])


class TestSortsByTime(Variant):
    killed_by = "N202"

    class Bent(BentMonitor):
        kept: ClassVar[list[Event]] = []

        def start(self, context: Context) -> None:
            self.kept.clear()
            super().start(context)

        def handle(self, events: Sequence[Event]) -> None:
            self.kept.extend(events)

        def close(self) -> None:
            self.sound.handle(sorted(self.kept, key=lambda event: event.time))
            self.kept.clear()
            super().close()


class TestForgetsRowsOfWhatIsDone(Variant):
    killed_by = "N205"

    class Bent(BentMonitor):
        def handle(self, events: Sequence[Any]) -> None:
            super().handle([event for event in events if not _is_done(event)])


class TestStartsAnyway(Variant):
    killed_by = "N003"

    class Bent(BentMonitor):
        def start(self, context: Context) -> None:
            if context.folder.is_dir():
                super().start(context)
