"""The stager keeps the promises of its interface, with a real daemon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.systems.wires import WiredRemote, wire_to
from weft.interfaces.stager import Transfer, Way
from weft_testkit import StagerConformance
from weft_testkit.bent import BentStager, Broken
from weft_testkit.remote import Remote

if TYPE_CHECKING:
    from tests.systems.rsync.conftest import Daemon

BOUND = 60.0


class TestDaemon(StagerConformance):
    name = "rsync"

    @pytest.fixture
    def patience(self) -> float:
        return BOUND

    @pytest.fixture
    def remote(self, daemon: Daemon, scratch: Path) -> Iterator[Remote]:
        folder = daemon.files / scratch.name
        with wire_to(daemon.port) as wire:
            base = f"rsync://127.0.0.1:{wire.port}/files/{folder.name}/"
            yield WiredRemote(folder, base, wire, server=daemon.process)


class KeepsWhatItHas(BentStager):
    """Broken on purpose: as with --ignore-existing, what is there is good enough."""

    def move(self, transfer: Transfer) -> None:
        if transfer.way is Way.OUT or not transfer.placed.as_path().exists():
            super().move(transfer)


class TestKeepsWhatItHas(Broken, TestDaemon):
    killed_by = "S106"
    Bent = KeepsWhatItHas
