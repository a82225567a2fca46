"""The monitor keeps the promises of its interface, with a server on loopback."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest

from weft.interfaces.context import Context
from weft.testing import FakeContext
from weft.values.events import Event, Notice, TaskSubmitted
from weft.values.settings import Settings
from weft_testkit import MonitorConformance
from weft_testkit.bent import BentMonitor, Broken
from weft_testkit.monitor import Recorded

if TYPE_CHECKING:
    from contrib.elasticsearch.tests.conftest import Server


class TestServer(MonitorConformance):
    name = "elasticsearch"

    @pytest.fixture
    def settings(self, server: Server) -> Settings:
        return self.registry().settings(
            "monitor", "elasticsearch", server=server.url, timeout=60.0, closing=60.0
        )

    @pytest.fixture
    def recorded(self, server: Server) -> Recorded | None:
        def read(folder: Path) -> Sequence[str]:
            """The documents of one monitor, by what it has left in its folder."""
            found_by = json.loads((folder / "documents.json").read_text())
            mine = [
                one
                for one in server.documents(found_by["index"])
                if one["recorder"] == found_by["recorder"]
            ]
            return [repr(one) for one in sorted(mine, key=lambda one: int(one["seq"]))]

        return read

    @pytest.fixture
    def hindered(
        self, settings: Settings, scratch: Path
    ) -> Iterator[tuple[Settings, FakeContext] | None]:
        """A port that nobody else gets, and at which nobody listens."""
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{bound.getsockname()[1]}"
            unusable = self.registry().settings("monitor", "elasticsearch", server=url)
            yield unusable, FakeContext(scratch)


# ------------------------------------------------------------------------ broken on purpose


class Variant(Broken, TestServer):
    """A kit over a monitor that is bent."""


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


class TestStartsAnyway(Variant):
    killed_by = "N003"

    class Bent(BentMonitor):
        def start(self, context: Context) -> None:
            try:
                super().start(context)
            except Exception:  # noqa: BLE001 - that is what is bent
                return
