"""Moves files between object stores or SFTP servers and the places of tasks.

in    facts ─▶ the part that is there, or none ─▶ pieces ─▶ facts again ─▶ MD5 ─▶ rename
out   open what was made ─▶ pieces ─▶ facts: the size, and the MD5 where there is one

``plan`` and ``move`` come from any thread; several at once share the connections of a store.
Many in one call are moved by threads of that call.
"""

import contextlib
import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from weft.data.made import open_made
from weft.data.names import name_for_url
from weft.data.urls import masked
from weft.errors import StagingError
from weft.interfaces.stager import Place, Stager, StagerContext, Transfer, Way
from weft.values.files import File
from weft_fsspec.addresses import Address, BadAddress, parsed
from weft_fsspec.parts import WORTH_KEEPING, Part, opened
from weft_fsspec.settings import Fsspec
from weft_fsspec.stores import Facts, Store, Stores
from weft_fsspec.trouble import Changed, Wrong, at_home, explained

__all__ = ["FsspecStager", "build"]

_BLOCK = 1024 * 1024


def build(settings: Fsspec) -> "FsspecStager":
    """The stager with these settings."""
    return FsspecStager(settings)


class FsspecStager(Stager):
    """Moves files of the schemes that the manifest names."""

    def __init__(self, settings: Fsspec) -> None:
        self._settings = settings
        self._stores = Stores(settings)

    def start(self, context: StagerContext) -> None:
        """Connects to nothing yet."""
        self._context = context

    def plan(self, way: Way, file: File, place: Place) -> Transfer:
        """A name in the folder that no other URL has."""
        placed = file.placed(Path(place.folder, name_for_url(file.url)).absolute())
        return Transfer(way=way, file=file, placed=placed, place=place)

    def move(self, transfer: Transfer) -> None:
        """Bring it or send it."""
        address = self._address(transfer.file, transfer.way)
        try:
            if transfer.way is Way.IN:
                self._bring(transfer, address)
            else:
                self._send(transfer, address)
        except StagingError:
            raise
        except Exception as error:
            raise _staging_error(transfer.file, transfer.way, address, error) from error

    def move_all(self, transfers: Sequence[Transfer]) -> Sequence[Exception | None]:
        """As many at once as the settings allow."""
        if not transfers:
            return []
        most = min(self._settings.concurrency, len(transfers))
        with ThreadPoolExecutor(most, thread_name_prefix="weft-fsspec") as pool:
            return list(pool.map(self._tried, transfers))

    def validator(self, file: File) -> str | None:
        """The entity tag, the generation, or the time and the size, as the store has it."""
        address = self._address(file, Way.IN)
        try:
            return self._stores.of(address).facts(address).version or None
        except Exception as error:
            raise _staging_error(file, Way.IN, address, error) from error

    def close(self) -> None:
        """End all connections."""
        self._stores.close()

    # -----------------------------------------------------------------------------------------

    def _tried(self, transfer: Transfer) -> Exception | None:
        try:
            self.move(transfer)
        except Exception as error:  # noqa: BLE001 - it is handed on, and the others are moved
            return error
        return None

    def _address(self, file: File, way: Way) -> Address:
        try:
            return parsed(file.url)
        except BadAddress as error:
            raise StagingError(masked(file.url), way, str(error), error.todo) from None

    def _bring(self, transfer: Transfer, address: Address) -> None:
        store = self._stores.of(address)
        facts = store.facts(address)
        final = transfer.placed.as_path()
        keep = self._settings.resume and bool(facts.version) and facts.size >= WORTH_KEEPING
        version = f"{transfer.file.url}\0{facts.version}\0{facts.size}" if keep else ""
        with contextlib.ExitStack() as open_ones:
            with at_home(final):
                final.parent.mkdir(parents=True, exist_ok=True)
                part = open_ones.enter_context(opened(final, version))
            try:
                self._fill(transfer, address, facts, part)
            except BaseException as error:
                if not _is_worth_keeping(error, address):
                    part.path.unlink(missing_ok=True)
                raise

    def _fill(self, transfer: Transfer, address: Address, facts: Facts, part: Part) -> None:
        """Bring what is missing of a part, see that it is right, and give it its name."""
        store, final = self._stores.of(address), transfer.placed.as_path()
        digest = hashlib.md5(usedforsecurity=False)
        with at_home(part.path):
            if part.size > facts.size:
                part.cut(0)
            for piece in part.pieces(_BLOCK):
                digest.update(piece)
        self._context.progress(transfer, part.size, facts.size)
        for piece in store.pieces(address, part.size, facts.size):
            digest.update(piece)
            with at_home(part.path):
                part.add(piece)
            if part.size < facts.size:
                self._context.progress(transfer, part.size, facts.size)
        if part.size < facts.size:
            raise EOFError(f"Only {part.size} of {facts.size} bytes came.")
        if store.facts(address) != facts or part.size != facts.size:
            raise Changed("It changed while it was brought.")
        if self._settings.verify and facts.md5 and digest.hexdigest() != facts.md5:
            raise Changed(
                f"Its MD5 sum is {digest.hexdigest()}, and that of the store is {facts.md5}."
            )
        self._context.progress(transfer, part.size, facts.size)
        with at_home(final):
            part.finish(final, sync=self._settings.sync)

    def _send(self, transfer: Transfer, address: Address) -> None:
        with open_made(transfer) as source:
            size = os.fstat(source.fileno()).st_size
            reader = _Reader(source, size, f"{transfer.placed.local_path}")
            store = self._stores.of(address)
            store.send(
                address, reader, size, lambda done: self._context.progress(transfer, done, size)
            )
        if self._settings.verify:
            self._look(store, address, size, reader.md5)

    def _look(self, store: Store, address: Address, size: int, md5: str) -> None:
        """See that what is there is what was sent."""
        try:
            there = store.facts(address)
        except PermissionError as error:
            raise Wrong(
                f"It was sent, and this user may not look at what is there ({error}).",
                "Give the right to read it, or set verify=False of the stager 'fsspec'.",
            ) from error
        if there.size != size:
            raise Changed(f"{size} bytes were sent, and {there.size} are there.")
        if there.md5 and there.md5 != md5:
            raise Changed(
                f"The MD5 sum of what was sent is {md5}, and that of what is there is {there.md5}."
            )


class _Reader:
    """Reads what a task made, and sees that it stays as it is."""

    def __init__(self, source: BinaryIO, size: int, name: str) -> None:
        self._source, self._size, self._name = source, size, name
        self._done = 0
        self._digest = hashlib.md5(usedforsecurity=False)

    @property
    def md5(self) -> str:
        return self._digest.hexdigest()

    def read(self, size: int) -> bytes:
        """The next bytes.

        Raises:
            Wrong: it has more or fewer than it had at first, or cannot be read.
        """
        try:
            piece = self._source.read(size)
        except OSError as error:
            raise Wrong(f"{self._name!r} cannot be read: {error.strerror or error}.") from error
        self._done += len(piece)
        if self._done > self._size or (not piece and self._done != self._size):
            raise Wrong(
                f"{self._name!r} changed while it was sent.",
                "Have the task wait for all that writes it before the task itself ends.",
            )
        self._digest.update(piece)
        return piece


def _is_worth_keeping(error: BaseException, address: Address) -> bool:
    """Whether what has come is right as far as it goes, and may be gone on with."""
    if not isinstance(error, Exception) or isinstance(error, StagingError | Changed):
        return False
    return explained(error, address.protocol).again


def _staging_error(file: File, way: Way, address: Address, error: Exception) -> StagingError:
    what = explained(error, address.protocol)
    return StagingError(file.url, way, what.why, what.todo, again=what.again)
