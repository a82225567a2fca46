"""The stager keeps the same promises with a server that wants TLS.

Apart from ``test_conformance``, which is run under several interpreters.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest

from weft.values.settings import Settings
from weft_testkit import StagerConformance
from weft_testkit.remote import LocalRemote, Remote

if TYPE_CHECKING:
    from tests.systems.ftp.conftest import Server

BOUND = 60.0
_LINES = "FTP has no way to write the end of a line within a name."


@pytest.mark.slow
class TestFTPS(StagerConformance):
    name = "ftp"
    not_supported: ClassVar[Mapping[str, str]] = {"S102": _LINES, "S202": _LINES}

    @pytest.fixture
    def patience(self) -> float:
        return BOUND

    @pytest.fixture
    def settings(self, secured: Server) -> Settings:
        return self.registry().settings("stager", "ftp", **secured.options())

    @pytest.fixture
    def remote(self, secured: Server, scratch: Path) -> Remote:
        folder = secured.files / scratch.name
        return LocalRemote(folder, secured.url(f"{folder.name}/"), server=secured.process)
