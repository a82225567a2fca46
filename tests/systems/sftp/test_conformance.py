"""The kit, with a real OpenSSH server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.systems.sftp.conftest import Shelf, Site
from weft.values.settings import Settings
from weft_testkit import StagerConformance
from weft_testkit.remote import Remote


class TestSftp(StagerConformance):
    name = "fsspec"

    @pytest.fixture
    def remote(self, sftp: Site, scratch: Path) -> Remote:
        return Shelf(scratch / "there", sftp)

    @pytest.fixture
    def settings(self, sftp: Site) -> Settings:
        return self.registry().settings(
            "stager", "fsspec", options={"sftp": sftp.options()}, piece=5 * 1024 * 1024
        )

    @pytest.fixture
    def large(self) -> int:
        return 12 * 1024 * 1024  # several pieces
