"""The stager keeps the promises of its interface, with a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.systems.ftp.kit import FilesOverFTP
from tests.systems.wires import WiredRemote, wire_to
from weft.interfaces.stager import Transfer, Way
from weft_testkit.bent import BentStager, Broken
from weft_testkit.remote import Remote

if TYPE_CHECKING:
    from tests.systems.ftp.conftest import Server


class TestFTP(FilesOverFTP):
    @pytest.fixture
    def there(self, server: Server) -> Server:
        return server

    @pytest.fixture
    def remote(self, there: Server, scratch: Path) -> Iterator[Remote]:
        folder = there.files / scratch.name
        with wire_to(there.port, ftp=True) as wire:
            base = f"ftp://127.0.0.1:{wire.port}/{folder.name}/"
            yield WiredRemote(folder, base, wire, server=there.process)


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
