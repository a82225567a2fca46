"""The stager: files of a run are in a store while it goes on, under the names of their URLs.

    a task's machine   OUT ──▶ shelf.put ──▶ the store of the run ──▶ shelf.get ──▶ IN   another's

It is made at each machine that moves a file, from its settings; all open the store of the same run.
The one that planned what is made, which is the script's, removes everything when it is closed.

No thread of its own; every call may come from any thread, several at once.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import uuid
from collections.abc import Iterator

from weft.data.made import open_made
from weft.data.names import name_for_url
from weft.errors import ConfigurationError, StagingError
from weft.interfaces.stager import Place, Stager, StagerContext, Transfer, Way
from weft.values.files import File
from weft_proxystore.errors import StoreAway
from weft_proxystore.records import Record
from weft_proxystore.settings import ProxyStoreFiles
from weft_proxystore.shelf import Changed, Shelf
from weft_proxystore.stores import RunStore
from weft_proxystore.trouble import understood

__all__ = ["ProxyStoreStager", "build"]

_PASSES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EINTR, errno.ESTALE})
"""Errors of this machine's disk that may be gone when it is tried again."""

_GRACE = 30.0
"""Seconds that transfers have to notice that the run has ended."""


def build(settings: ProxyStoreFiles) -> ProxyStoreStager:
    """The factory that the declaration names."""
    return ProxyStoreStager(settings)


class ProxyStoreStager(Stager):
    """Moves files of the scheme ``proxystore`` into the store of the run, and out of it."""

    def __init__(self, settings: ProxyStoreFiles) -> None:
        self._settings = settings
        self._changed = threading.Condition()
        self._opening = threading.Lock()
        self._moving = 0
        self._closed = False
        self._planned: dict[str, None] = {}
        self._context: StagerContext | None = None
        self._store: RunStore | None = None

    def start(self, context: StagerContext) -> None:
        """Open the store, and remove from it what runs of this machine left that are dead.

        A store that is away now is opened by the first transfer, which can be made again.

        Raises:
            ConfigurationError: the connector cannot be made.
        """
        self._context = context
        with contextlib.suppress(StoreAway):
            self._store = self._opened(context)

    def _opened(self, context: StagerContext) -> RunStore:
        # Objects of the serializer may be in the same store, and go by other rules.
        return RunStore(self._settings, f"{context.run_id}-files", mine=True, kept=0)

    def plan(self, way: Way, file: File, place: Place) -> Transfer:
        """A name in the folder of the place.

        Raises:
            StagingError: the URL names no file.
        """
        if not file.url.partition("://")[2]:
            raise StagingError(
                file.url, way, "It names no file.", "Write proxystore:// and any name behind it."
            )
        if way is Way.OUT:
            with self._changed:
                self._planned[file.url] = None
        placed = file.placed(place.folder.absolute() / name_for_url(file.url))
        return Transfer(way=way, file=file, placed=placed, place=place)

    def move(self, transfer: Transfer) -> None:
        """Move one file."""
        with self._at_work(transfer.file.url, transfer.way) as shelf:
            if transfer.way is Way.IN:
                self._bring(shelf, transfer)
            else:
                self._take(shelf, transfer)

    def validator(self, file: File) -> str | None:
        """The number of the sending by which it came into the store.

        Raises:
            StagingError: it is not there, or the store cannot be asked.
        """
        with self._at_work(file.url, Way.IN) as shelf:
            return _known(shelf, file.url).id

    def close(self) -> None:
        """Remove all files of the run, if this is the one that planned what was made.

        Raises:
            StoreAway: that could not be done.
        """
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._moving, _GRACE)
            planned, self._planned = self._planned, {}
            store, self._store = self._store, None
        if store is None:
            if not planned or self._context is None:
                return
            # It was away when this began; machines of tasks may have used it since.
            store = self._opened(self._context)
        shelf = Shelf(store, self._settings.piece_size)
        try:
            # By their names, where what a run left cannot be found by whose it is.
            if self._settings.connector == "endpoint":
                for url in planned:
                    shelf.remove(url)
        finally:
            store.close(keep=not planned)

    # ----------------------------------------------------------------------------------- to and fro

    def _bring(self, shelf: Shelf, transfer: Transfer) -> None:
        record = _known(shelf, transfer.file.url)
        target = transfer.placed.as_path()
        done = 0
        self._tell(transfer, 0, record.size)
        part = target.with_name(f".{uuid.uuid4().hex}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with part.open("xb") as writing:

                def write(data: bytes) -> None:
                    nonlocal done
                    with _local():
                        writing.write(data)
                        writing.flush()
                    done += len(data)
                    self._tell(transfer, done, record.size)

                shelf.get(record, write)
                if self._settings.sync:
                    os.fsync(writing.fileno())
            now = shelf.record(transfer.file.url)
            if now is None or now.id != record.id:
                raise Changed("it was made anew")
            part.replace(target)
        except OSError as error:
            raise _LocalError(error) from error
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)

    def _take(self, shelf: Shelf, transfer: Transfer) -> None:
        with open_made(transfer) as made:
            before = os.fstat(made.fileno())
            size = before.st_size
            shelf.put(transfer.file.url, made, size, lambda done: self._tell(transfer, done, size))
            after = os.fstat(made.fileno())
            if (after.st_size, after.st_mtime_ns) != (size, before.st_mtime_ns):
                raise Changed("it was written to")

    def _tell(self, transfer: Transfer, done: int, total: int) -> None:
        if self._closed:
            raise StagingError(transfer.file.url, transfer.way, "The run has ended.")
        if self._context is not None:
            self._context.progress(transfer, done, total)

    @contextlib.contextmanager
    def _at_work(self, url: str, way: Way) -> Iterator[Shelf]:
        with self._changed:
            if self._closed or self._context is None:
                raise StagingError(url, way, "The run has ended.")
            self._moving += 1
        try:
            with _errors_of(url, way):
                with self._opening:
                    store = self._store = self._store or self._opened(self._context)
                yield Shelf(store, self._settings.piece_size)
        finally:
            with self._changed:
                self._moving -= 1
                self._changed.notify_all()


class _LocalError(Exception):
    """An error of this machine's disk and not of the store; its argument is the error."""


@contextlib.contextmanager
def _local() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _LocalError(error) from error


def _known(shelf: Shelf, url: str) -> Record:
    record = shelf.record(url)
    if record is None:
        raise StagingError(
            url,
            Way.IN,
            f"There is no such file in the store {shelf.named} in this run.",
            "It is there from the end of the task that has it among its outputs until the run "
            "ends: pass that File, or the future of it, and look whether the name is the same.",
        )
    return record


@contextlib.contextmanager
def _errors_of(url: str, way: Way) -> Iterator[None]:
    """Errors of the store and of the disk as those of staging."""
    try:
        yield
    except StoreAway as error:
        trouble = understood(error.__cause__)
        why = f"The store {error.store} could not {error.doing}: {error.reason}"
        raise StagingError(url, way, why, trouble.todo, again=trouble.again) from error
    except ConfigurationError as error:
        raise StagingError(url, way, str(error)) from error
    except Changed as error:
        raise StagingError(
            url,
            way,
            f"While it was {'brought' if way is Way.IN else 'sent'}: {error}.",
            "Have one task make a file, and those that need it wait for its future.",
            again=True,
        ) from error
    except _LocalError as error:
        raise _of_this_machine(url, way, error.args[0]) from error


def _of_this_machine(url: str, way: Way, error: OSError) -> StagingError:
    where = f"{error.filename!r}: " if error.filename else ""
    did = "written" if way is Way.IN else "read"
    return StagingError(
        url,
        way,
        f"It cannot be {did} here: {where}{error.strerror or error}.",
        "Look at the space and the permissions there.",
        again=error.errno in _PASSES,
    )
