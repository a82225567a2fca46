"""What the stager promises of files on a server, whichever one it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import pytest

from weft.values.settings import Settings
from weft_testkit import StagerConformance

if TYPE_CHECKING:
    from tests.systems.ftp.conftest import Server

_LINES = "FTP has no way to write the end of a line within a name."


class FilesOverFTP(StagerConformance):
    """Whoever takes this says which server it is: ``there``, and ``remote``, its files."""

    name = "ftp"
    not_supported: ClassVar[Mapping[str, str]] = {"S102": _LINES, "S202": _LINES}

    @pytest.fixture
    def patience(self) -> float:
        return 60.0

    @pytest.fixture
    def settings(self, there: Server) -> Settings:
        return self.registry().settings("stager", "ftp", **there.options())
