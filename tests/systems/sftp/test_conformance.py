"""The kit, with a real OpenSSH server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from weft.values.settings import Settings
from weft_testkit import StagerConformance
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
