"""The stager keeps the promises of its interface."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Collection
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from weft.interfaces.stager import Transfer, Way
from weft.values.files import File
from weft.values.settings import Settings
from weft_testkit import StagerConformance
from weft_testkit.bent import BentStager, Broken
from weft_testkit.limits import no_file_beyond
from weft_testkit.remote import Remote

BOUND = 60.0


class ArchiveRemote(Remote):
    """An archive, written and read by zipfile alone."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        self._archive = folder / "an archive.zip"
        self._base = f"zip://{quote(str(self._archive))}/"

    def address(self, name: str) -> File:
        return File(self._base + quote(name))

    def publish(self, content: bytes, name: str) -> File:
        members = {**self._members(), name: content}
        with zipfile.ZipFile(self._archive, "w") as archive:
            for one, its in members.items():
                archive.writestr(one, its)
        return self.address(name)

    def fetch(self, file: File) -> bytes | None:
        return self._members().get(unquote(file.url.removeprefix(self._base)))

    def names(self) -> Collection[str]:
        beside = [p.name for p in self._archive.parent.iterdir() if p != self._archive]
        return [*beside, *self._members()]

    def forbid(self, file: File) -> bool:
        # Even who may do everything cannot open a link that leads to itself.
        self._archive.unlink()
        self._archive.symlink_to(self._archive.name)
        return True

    def breaking(self, after: int) -> AbstractContextManager[None]:
        return no_file_beyond(after)

    def _members(self) -> dict[str, bytes]:
        if self._archive.is_symlink() or not self._archive.exists():
            return {}
        with zipfile.ZipFile(self._archive) as archive:
            assert len(set(archive.namelist())) == len(archive.namelist())
            return {name: archive.read(name) for name in archive.namelist()}


class TestZip(StagerConformance):
    name = "zip"

    @pytest.fixture
    def patience(self) -> float:
        return BOUND

    @pytest.fixture
    def settings(self) -> Settings:
        # What is packed would be too small for disks that the rules make full.
        return self.registry().settings("stager", "zip", compression="stored")

    @pytest.fixture
    def remote(self, scratch: Path) -> Remote:
        return ArchiveRemote(scratch / "there")


class ForgetsTheLastBytes(BentStager):
    """Broken on purpose: what the unpacker still holds at the end is not asked for."""

    def move(self, transfer: Transfer) -> None:
        super().move(transfer)
        placed = transfer.placed.as_path()
        if transfer.way is Way.IN and (size := placed.stat().st_size):
            os.truncate(placed, size - 1)


class TestForgetsTheLastBytes(Broken, TestZip):
    killed_by = "S101"
    Bent = ForgetsTheLastBytes
