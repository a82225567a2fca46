"""The kit runs through the step: a component of the former major is held to today's promises.

The interface of monitors leaves its first major here, for the length of a test; the log monitor, as
it is, is then one of the former major.
"""

from __future__ import annotations

import datetime as dt
import sys
import types
from collections.abc import Collection, Sequence
from typing import Any, ClassVar

import pytest

from weft import compat, interfaces
from weft.interfaces.context import Context
from weft.interfaces.monitor import VERSION as FORMER
from weft.interfaces.monitor import Interest
from weft.interfaces.monitor import Monitor as Former
from weft.values.events import Event
from weft.values.plugin import Kind
from weft.values.settings import Settings
from weft_testkit import MonitorConformance
from weft_testkit.monitor import Recorded


class Monitor(Former):
    """The second major: says how many events it was told of."""

    counted = 0


class FromFirst(Monitor):
    """What the step makes of a monitor of the first major."""

    def __init__(self, former: Former) -> None:
        self._former = former

    def start(self, context: Context) -> None:
        self._former.start(context)

    def interests(self) -> Collection[Interest] | None:
        return self._former.interests()

    def handle(self, events: Sequence[Event]) -> None:
        self.counted += len(events)
        self._former.handle(events)

    def close(self) -> None:
        self._former.close()


class Lossy(FromFirst):
    """A step that is wrong: of each batch it hands over the first alone."""

    def handle(self, events: Sequence[Event]) -> None:
        super().handle(events[:1])


def speaking(adapter: type[FromFirst], monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("weft_next_monitor")
    module.__dict__.update(VERSION="2.0", Monitor=Monitor, adapter=adapter)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(interfaces.MODULES, "monitor", module.__name__)
    step = compat.Step(
        kind=Kind.MONITOR,
        to="2.0",
        adapter="weft_next_monitor:adapter",
        last=FORMER,
        former="weft.interfaces.monitor:Monitor",
        until=dt.date(2031, 5, 1),
    )
    monkeypatch.setattr(compat, "STEPS", (step,))


class Adapted(MonitorConformance):
    name = "log"
    adapter: ClassVar[type[FromFirst]]

    @pytest.fixture(autouse=True)
    def next_major(self, monkeypatch: pytest.MonkeyPatch) -> None:
        speaking(self.adapter, monkeypatch)

    @pytest.fixture
    def settings(self, next_major: None) -> Settings:
        return self.registry().settings("monitor", "log", level="debug", json=True)

    @pytest.fixture
    def recorded(self) -> Recorded | None:
        return lambda folder: (folder / "weft.jsonl").read_text(encoding="utf-8").splitlines()

    def open(self, settings: Settings) -> Any:
        made = super().open(settings)
        assert type(made) is self.adapter
        return made


class TestThroughItsStep(Adapted):
    adapter = FromFirst


class TestThroughAStepThatLosesEvents(Adapted):
    adapter = Lossy
    killed_by = "N104"
