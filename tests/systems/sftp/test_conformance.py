"""The kit, with a real OpenSSH server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from weft.interfaces.stager import Transfer, Way
from weft.values.settings import Settings
from weft_testkit import StagerConformance
from weft_testkit.bent import BentStager, Broken
from weft_testkit.remote import Remote

if TYPE_CHECKING:
    from tests.systems.sftp.conftest import Shelf, Site

BOUND = 60.0


class TestSftp(StagerConformance):
    name = "fsspec"

    @pytest.fixture
    def patience(self) -> float:
        return BOUND

    @pytest.fixture
    def remote(self, shelf: Shelf) -> Remote:
        return shelf

    @pytest.fixture
    def settings(self, sftp: Site) -> Settings:
        return self.registry().settings(
            "stager", "fsspec", options={"sftp": sftp.options()}, piece=5 * 1024 * 1024
        )

    @pytest.fixture
    def large(self) -> int:
        return 12 * 1024 * 1024  # several pieces


class KeepsWhatItHas(BentStager):
    """Broken on purpose: as with a cache of the library, a file is what it was at first."""

    def move(self, transfer: Transfer) -> None:
        if transfer.way is Way.OUT or not transfer.placed.as_path().exists():
            super().move(transfer)


class TestKeepsWhatItHas(Broken, TestSftp):
    killed_by = "S106"
    Bent = KeepsWhatItHas
