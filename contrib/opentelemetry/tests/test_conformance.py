"""The monitor keeps the promises of its interface, with a collector on loopback.

What it sends are spans and no record of events, so the rules about a record are skipped; that the
spans are right is proven in test_spans.py and test_sending.py.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

import pytest

from weft.interfaces.context import Context
from weft.testing import FakeContext
from weft.values.events import Event
from weft.values.settings import Settings
from weft_testkit import MonitorConformance
from weft_testkit.bent import BentMonitor, Broken

if TYPE_CHECKING:
    from contrib.opentelemetry.tests.conftest import Receiver

_KNOWN: Final = frozenset(get_args(Event))


class TestCollector(MonitorConformance):
    name = "opentelemetry"

    @pytest.fixture
    def settings(self, receiver: Receiver) -> Settings:
        return self.registry().settings(
            "monitor", "opentelemetry", endpoint=receiver.url, timeout=60.0, closing=60.0
        )

    @pytest.fixture
    def hindered(
        self, settings: Settings, scratch: Path
    ) -> Iterator[tuple[Settings, FakeContext] | None]:
        """A port that nobody else gets, and at which nobody listens."""
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{bound.getsockname()[1]}"
            unusable = self.registry().settings(
                "monitor", "opentelemetry", endpoint=url, timeout=0.2
            )
            yield unusable, FakeContext(scratch)


# ------------------------------------------------------------------------ broken on purpose


class TestStartsAnyway(Broken, TestCollector):
    killed_by = "N003"

    class Bent(BentMonitor):
        def start(self, context: Context) -> None:
            try:
                super().start(context)
            except Exception:  # noqa: BLE001 - that is what is bent
                return


class TestRaisesOfUnknownKinds(Broken, TestCollector):
    killed_by = "N102"

    class Bent(BentMonitor):
        def handle(self, events: Sequence[Event]) -> None:
            for event in events:
                if type(event) not in _KNOWN:
                    raise TypeError(event)
            super().handle(events)
