"""The monitor keeps the promises of its interface: with a port, and with a textfile.

It keeps numbers and no record of events, so the rules about a record are skipped; that the numbers
are right is proven in test_metrics.py.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Final, get_args

import pytest

from weft.interfaces.context import Context
from weft.interfaces.monitor import Monitor
from weft.testing import FakeContext
from weft.values.events import Event
from weft.values.settings import Settings
from weft_testkit import MonitorConformance
from weft_testkit.bent import BentMonitor, Broken

_KNOWN: Final = frozenset(get_args(Event))


class TestPort(MonitorConformance):
    name = "prometheus"

    @pytest.fixture
    def settings(self) -> Settings:
        return self.registry().settings("monitor", "prometheus", port=0)

    @pytest.fixture
    def hindered(self, scratch: Path) -> Iterator[tuple[Settings, FakeContext] | None]:
        """A port that somebody has."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            settings = self.registry().settings("monitor", "prometheus", port=port)
            yield settings, FakeContext(scratch)


class TestTextfile(MonitorConformance):
    name = "prometheus"

    @pytest.fixture
    def settings(self) -> Settings:
        return self.registry().settings(
            "monitor", "prometheus", textfile="weft.prom", interval=0.05
        )


# ------------------------------------------------------------------------ broken on purpose


class TestStartsAnyway(Broken, TestPort):
    killed_by = "N003"

    class Bent(BentMonitor):
        def start(self, context: Context) -> None:
            try:
                super().start(context)
            except Exception:  # noqa: BLE001 - that is what is bent
                return


class TestRaisesOfUnknownKinds(Broken, TestPort):
    killed_by = "N102"

    class Bent(BentMonitor):
        def handle(self, events: Sequence[Event]) -> None:
            for event in events:
                if type(event) not in _KNOWN:
                    raise TypeError(event)
            super().handle(events)


class TestStaysOpen(Broken, TestPort):
    killed_by = "N305"

    class Bent(BentMonitor):
        left: ClassVar[list[Monitor]] = []

        def close(self) -> None:
            self.left.append(self.sound)

    @pytest.fixture(autouse=True)
    def nothing_is_left_for_others(self) -> Iterator[None]:
        yield
        while self.Bent.left:
            self.Bent.left.pop().close()
