"""The stager keeps the promises of its interface, with a real daemon and over a real sshd."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from weft.values.settings import Settings
from weft_testkit import StagerConformance
from weft_testkit.remote import LocalRemote, Remote

if TYPE_CHECKING:
    from tests.systems.rsync.conftest import Daemon, Host

BOUND = 60.0


class TestDaemon(StagerConformance):
    name = "rsync"

    @pytest.fixture
    def patience(self) -> float:
        return BOUND

    @pytest.fixture
    def remote(self, daemon: Daemon, scratch: Path) -> Remote:
        folder = daemon.files / scratch.name
        return LocalRemote(folder, daemon.url(f"{folder.name}/"), server=daemon.process)


@pytest.mark.slow
class TestHost(StagerConformance):
    name = "rsync"

    @pytest.fixture
    def patience(self) -> float:
        return BOUND

    @pytest.fixture
    def settings(self, host: Host) -> Settings:
        return self.registry().settings("stager", "rsync", **host.options())

    @pytest.fixture
    def remote(self, host: Host, scratch: Path) -> Remote:
        there = scratch / "there"

        class Remote(LocalRemote):
            def breaking(self, after: int) -> None:
                """Not of a server that starts everything anew for each connection."""

        return Remote(there, host.url(there) + "/")
