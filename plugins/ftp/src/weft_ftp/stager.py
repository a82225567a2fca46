"""The stager: files go to a name beside their place, and get their own when they are whole.

    in    RETR path ──▶ folder/.HASH.part ──size──▶ folder/name
    out   STOR .HEX.part ──SIZE──▶ RNFR, RNTO path

The hash holds what the server says of the file's time and size. A part that an earlier try has left
is gone on with by REST, unless the file has changed.

No thread of its own; every call may come from any thread, several at once.
"""

import contextlib
import errno
import ftplib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import attrs

from weft.data.made import open_made
from weft.data.names import name_for_url
from weft.data.urls import masked
from weft.errors import StagingError
from weft.interfaces.stager import Place, Stager, StagerContext, Transfer, Way
from weft.values.files import File
from weft_ftp.address import Address, BadAddress, understood
from weft_ftp.line import Facts, Line
from weft_ftp.login import LoginUnknown
from weft_ftp.parts import Short, finish, part_of, size_of
from weft_ftp.pool import Closed, Pool
from weft_ftp.settings import FTP
from weft_ftp.words import code_of
from weft_ftp.words import understood as trouble_of

__all__ = ["FTPStager", "build"]

_NO_RESUME: Final = frozenset({500, 501, 502, 503, 504, 554})
"""Codes by which servers refuse to begin within a file."""

_NO_FOLDER: Final = frozenset({450, 550, 551, 553})
"""Codes by which they refuse to put a file into a folder that is not there."""


def build(settings: FTP) -> "FTPStager":
    """The stager with these settings."""
    return FTPStager(settings)


@attrs.frozen
class _Fetch:
    """A file that is brought: over which connection, from where, into which part."""

    transfer: Transfer
    line: Line
    path: str
    part: Path
    facts: Facts


class FTPStager(Stager):
    """Moves files of FTP servers."""

    def __init__(self, settings: FTP) -> None:
        self._settings = settings
        self._pool = Pool(settings)
        self._context: StagerContext | None = None

    def start(self, context: StagerContext) -> None:
        """Nothing to make ready but the context; connections are made when they are needed."""
        self._context = context

    def plan(self, way: Way, file: File, place: Place) -> Transfer:
        """A name in the folder of the place.

        Raises:
            StagingError: the URL names no file.
        """
        _address(file.url, way)
        placed = file.placed(place.folder.absolute() / name_for_url(file.url))
        return Transfer(way=way, file=file, placed=placed, place=place)

    def move(self, transfer: Transfer) -> None:
        """Move one file."""
        address = _address(transfer.file.url, transfer.way)
        with _errors_of(transfer.file.url, transfer.way, address):
            if transfer.way is Way.IN:
                self._bring(transfer, address)
            else:
                self._tell(transfer, 0)
                with open_made(transfer) as made:
                    self._send(transfer, address, made)

    def validator(self, file: File) -> str | None:
        """The time of its last change and its size, as the server says them; else ``None``.

        Raises:
            StagingError: it is not there, or the server cannot be asked.
        """
        address = _address(file.url, Way.IN)
        with (
            _errors_of(file.url, Way.IN, address),
            self._pool.line(address.server, lambda: None) as line,
        ):
            facts = line.facts(address.path)
            if facts.size is None:
                # Not there, or a server that does not say: the beginning of the file would tell.
                with contextlib.closing(line.fetch(address.path, 0)) as pieces:
                    next(pieces, None)
                # Its answer to that is not waited for.
                line.close()
            return facts.validator

    def close(self) -> None:
        """Transfers that still go on fail at once."""
        self._pool.close()

    # ---------------------------------------------------------------------------------------- bring

    def _bring(self, transfer: Transfer, address: Address) -> None:
        target = transfer.placed.as_path()
        with self._pool.line(address.server, lambda: self._tell(transfer, 0)) as line:
            facts = line.facts(address.path)
            with _local():
                target.parent.mkdir(parents=True, exist_ok=True)
            with part_of(target, facts.validator) as part:
                fetch = _Fetch(transfer, line, address.path, part, facts)
                begin = size_of(part)
                if facts.size is not None and begin > facts.size:
                    begin = 0
                self._tell(transfer, begin, facts.size)
                try:
                    self._fetch(fetch, begin)
                except ftplib.error_perm as error:
                    if not begin or code_of(error) not in _NO_RESUME:
                        raise
                    # A server that cannot begin within a file.
                    self._fetch(fetch, 0)
                # That it came, and is still the file that it was.
                if line.facts(address.path) != facts:
                    raise _Changed
                size = size_of(part)
                if facts.size not in {None, size}:
                    raise Short(f"It sent {size} bytes of a file that it says has {facts.size}")
                with _local():
                    finish(part, target, facts, sync=self._settings.sync)
        self._tell(transfer, size, size)

    def _fetch(self, fetch: _Fetch, begin: int) -> None:
        size = fetch.facts.size
        if begin and begin == size:
            return
        done = begin
        with _local():
            writing = fetch.part.open("r+b" if begin else "wb")
        with writing, contextlib.closing(fetch.line.fetch(fetch.path, begin)) as pieces:
            writing.seek(begin)
            for piece in pieces:
                done += len(piece)
                if size is not None and done > size:
                    raise _Changed
                with _local():
                    writing.write(piece)
                    writing.flush()
                self._tell(fetch.transfer, done, size)

    # ----------------------------------------------------------------------------------------- send

    def _send(self, transfer: Transfer, address: Address, made: BinaryIO) -> None:
        total = os.fstat(made.fileno()).st_size
        folder, slash, _ = address.path.rpartition("/")
        part = f"{folder}{slash}.{uuid.uuid4().hex}.part"
        with self._pool.line(address.server, lambda: self._tell(transfer, 0)) as line:
            try:
                try:
                    sent = line.store(part, made, lambda done: self._tell(transfer, done, total))
                except (ftplib.error_perm, ftplib.error_temp) as error:
                    if not folder or code_of(error) not in _NO_FOLDER or made.tell():
                        raise
                    line.make_folders(address.path)
                    sent = line.store(part, made, lambda done: self._tell(transfer, done, total))
                size = line.facts(part).size
                if size not in {None, sent}:
                    raise StagingError(
                        transfer.file.url,
                        transfer.way,
                        f"{address.server} has {size} bytes of a file of {sent}.",
                        "There may be no space there.",
                        again=True,
                    )
                line.rename(part, address.path)
            except BaseException as error:
                self._sweep(address, part, line, error)
                raise

    def _sweep(self, address: Address, part: str, line: Line, error: BaseException) -> None:
        """Have the part deleted over there, by whichever connection still works."""
        gone = (ftplib.Error, EOFError, OSError)
        if isinstance(error, ftplib.error_perm | ftplib.error_temp):
            try:
                line.delete(part)
            except ftplib.error_perm:
                return  # there is none
            except gone:
                pass
            else:
                return
        line.close()
        # What is left when the server cannot be reached any more is a part with a name of its own.
        with contextlib.suppress(*gone, LoginUnknown):
            other = self._pool.another(address.server)
            try:
                other.delete(part)
            finally:
                other.bid_farewell()

    # --------------------------------------------------------------------------------------- either

    def _tell(self, transfer: Transfer, done: int, total: int | None = None) -> None:
        if self._context is not None:
            self._context.progress(transfer, done, total)


class _Changed(Exception):
    """The file is not the one that it was when it was begun."""


class _LocalError(Exception):
    """An error of this machine and not of the other side; the cause is the error."""


@contextlib.contextmanager
def _errors_of(url: str, way: Way, address: Address) -> Iterator[None]:
    """Errors of connections as those of staging."""
    server = str(address.server)
    try:
        yield
    except StagingError:
        raise
    except _Changed as error:
        why = "The file changed while it was brought."
        todo = "Have it written under another name, and renamed when it is whole."
        raise StagingError(url, way, why, todo, again=True) from error
    except Short as error:
        raise StagingError(url, way, f"{server}: {error}.", again=True) from None
    except Closed:
        raise StagingError(url, way, "The run has ended.") from None
    except LoginUnknown as error:
        raise StagingError(url, way, error.why, error.todo) from error
    except _LocalError as error:
        raise _of_this_machine(url, way, error.__cause__) from error.__cause__
    except UnicodeError as error:
        why = f"Its path cannot be written in the encoding of the server: {error}."
        raise StagingError(url, way, why, "The option encoding says which it is.") from error
    except (ftplib.Error, EOFError, OSError, ValueError) as error:
        trouble = trouble_of(error, server)
        raise StagingError(url, way, trouble.why, trouble.todo, again=trouble.again) from error


@contextlib.contextmanager
def _local() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _LocalError from error


def _of_this_machine(url: str, way: Way, error: BaseException | None) -> StagingError:
    assert isinstance(error, OSError)
    where = f"{error.filename!r}: " if error.filename else ""
    return StagingError(
        url,
        way,
        f"It cannot be written here: {where}{error.strerror or error}.",
        "Look at the space and the permissions there.",
        again=error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EINTR, errno.ESTALE},
    )


def _address(url: str, way: Way) -> Address:
    try:
        return understood(url)
    except BadAddress as error:
        raise StagingError(masked(url), way, error.why, error.todo) from None
