"""The kit for the stager, and its other side: what lies in a store, read without the stager."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote

import pytest

from weft.interfaces.stager import Transfer
from weft.values.files import File
from weft.values.settings import Settings
from weft_proxystore.records import Record, Unreadable, piece_name, record_name
from weft_testkit import StagerConformance
from weft_testkit.elsewhere import run_elsewhere
from weft_testkit.remote import Remote
from weft_testkit.stager import move_there

BASE = "proxystore://run of the kit/"
RUN = "run-1-files"
PIECE = 2**20


class Objects(Protocol):
    """What is in a store, by the names of its objects."""

    def read(self, name: str) -> bytes | None: ...

    def write(self, name: str, data: bytes) -> None: ...

    def remove(self, name: str) -> None: ...

    def names(self) -> Collection[str]: ...


class InFolder:
    """Objects as the connector of folders has them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / RUN

    def read(self, name: str) -> bytes | None:
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / name).write_bytes(data)
        (self._folder / f"{name}.ready").touch()

    def remove(self, name: str) -> None:
        (self._folder / name).unlink()
        (self._folder / f"{name}.ready").unlink()

    def names(self) -> Collection[str]:
        try:
            found = [path.name for path in self._folder.iterdir()]
        except FileNotFoundError:
            return []
        return [one for one in found if one != "weft-run.json" and not one.endswith(".ready")]


class StoreRemote(Remote):
    """The files in a store."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self._number = 0
        self._published: dict[str, bytes] = {}

    def address(self, name: str) -> File:
        return File(BASE + quote(name))

    def publish(self, content: bytes, name: str) -> File:
        file = self.address(name)
        self._published[name] = content
        self._number += 1
        sending = f"{self._number:032x}"
        piece = PIECE if len(content) > PIECE else 0
        record = Record(
            url=file.url,
            id=sending,
            size=len(content),
            piece=piece,
            content=b"" if piece else content,
        )
        for number in range(record.pieces):
            part = content[number * PIECE : (number + 1) * PIECE]
            self.objects.write(piece_name(sending, number), part)
        self.objects.write(record_name(file.url), record.packed())
        return file

    def again(self) -> None:
        """Put there once more what was published and has gone with its run."""
        for name, content in tuple(self._published.items()):
            if self.fetch(self.address(name)) is None:
                self.publish(content, name)

    def fetch(self, file: File) -> bytes | None:
        data = self.objects.read(record_name(file.url))
        if data is None:
            return None
        record = Record.unpacked(data)
        if not record.piece:
            return record.content
        parts = [
            self.objects.read(piece_name(record.id, number)) for number in range(record.pieces)
        ]
        assert None not in parts, "a record whose pieces are not there"
        return b"".join(part for part in parts if part is not None)

    def cutting(self, after: int) -> AbstractContextManager[None]:
        """Hold back the pieces of all files from there on."""
        return self._without({f"-{number}" for number in range(after // PIECE, 100)})

    @contextlib.contextmanager
    def _without(self, ends: set[str]) -> Iterator[None]:
        held = {}
        for name in tuple(self.objects.names()):
            if name.startswith("p-") and name[name.rindex("-") :] in ends:
                held[name] = self.objects.read(name)
                self.objects.remove(name)
        try:
            yield
        finally:
            for name, data in held.items():
                assert data is not None
                self.objects.write(name, data)

    def names(self) -> Collection[str]:
        """Names of files for records, and of objects for what belongs to no record."""
        records, rest = {}, set()
        for name in self.objects.names():
            data = self.objects.read(name) if name.startswith("f-") else None
            try:
                record: Any = Record.unpacked(data) if data is not None else None
            except Unreadable:
                record = None
            if record is None:
                rest.add(name)
            else:
                records[name] = record
        for record in records.values():
            rest -= {piece_name(record.id, number) for number in range(record.pieces)}
        return rest | {unquote(one.url.removeprefix(BASE)) for one in records.values()}


class FilesInAStore(StagerConformance):
    """The kit where files go with the run that sent them."""

    name = "proxystore"

    @pytest.fixture
    def moved_elsewhere(
        self, settings: Settings, remote: StoreRemote, scratch: Path, patience: float
    ) -> Callable[[Transfer], None]:
        """As the kit's, with the files that went when the stager that planned was closed."""
        own = scratch / "own of elsewhere"
        own.mkdir(mode=0o700)

        def move(plan: Transfer) -> None:
            remote.again()
            ended = run_elsewhere(self, move_there, settings, plan, own, seconds=patience + 20)
            assert ended.exit_code == 0, f"in another process it failed:\n{ended.said}"
            assert ended.value == "", f"in another process it raised {ended.value}"

        return move
