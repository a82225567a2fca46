"""The stager keeps the promises of its interface, with a real server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest

from tests.systems.wires import WiredRemote, wire_to
from weft.interfaces.stager import Transfer, Way
from weft.values.settings import Settings
from weft_testkit import StagerConformance
from weft_testkit.bent import BentStager, Broken
from weft_testkit.remote import Remote

if TYPE_CHECKING:
    from tests.systems.ftp.conftest import Server

BOUND = 60.0
_LINES = "FTP has no way to write the end of a line within a name."


class TestFTP(StagerConformance):
    name = "ftp"
    not_supported: ClassVar[Mapping[str, str]] = {"S102": _LINES, "S202": _LINES}

    @pytest.fixture
    def patience(self) -> float:
        return BOUND

    @pytest.fixture
    def settings(self, server: Server) -> Settings:
        return self.registry().settings("stager", "ftp", **server.options())

    @pytest.fixture
    def remote(self, server: Server, scratch: Path) -> Iterator[Remote]:
        folder = server.files / scratch.name
        with wire_to(server.port, ftp=True) as wire:
            base = f"ftp://127.0.0.1:{wire.port}/{folder.name}/"
            yield WiredRemote(folder, base, wire, server=server.process)


class MovesAsText(BentStager):
    """Broken on purpose: as in the other mode of the protocol, ends of lines are written anew."""

    def move(self, transfer: Transfer) -> None:
        super().move(transfer)
        if transfer.way is Way.IN:
            placed = transfer.placed.as_path()
            placed.write_bytes(placed.read_bytes().replace(b"\n", b"\r\n"))


class TestMovesAsText(Broken, TestFTP):
    killed_by = "S101"
    Bent = MovesAsText
