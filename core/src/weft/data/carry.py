"""Carries files through an executor's own channel, where nothing else reaches its site.

    client                                              site, as tasks named weft.carry
    put    small ones, many in a message ─────────────▶ take_in: written as part, renamed
           a large one in pieces, some under way ─────▶ write, write, …; settle: checked, renamed
    get    ◀──────────────────────── hand_out: small ones at once, of others how they are
           written as part, checked, renamed ◀──────── read, read, …; digest

A folder goes as one file: wrapped, carried like any other, and unwrapped.

A piece is a task: one that is lost with its worker is made again by itself, and no more than a
bounded number of bytes is under way, whatever the size of the file.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import tempfile
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs

from weft.data.errand import Facts, facts_of, kept_inside
from weft.data.trees import marked, packed, unpacked
from weft.errors import StagingError, TaskLost, WeftError
from weft.interfaces.stager import Way
from weft.values.message import message

__all__ = [
    "Carrier",
    "Destination",
    "Load",
    "Parcel",
    "Trouble",
    "Whole",
    "digest",
    "discard",
    "hand_out",
    "read",
    "settle",
    "take_in",
    "unwrap",
    "wrap",
    "write",
]

PIECE: Final = 4 * 1024 * 1024
"""Bytes of one message."""

SMALL: Final = 1024 * 1024
"""Bytes up to which a file goes together with others."""

_MANY: Final = 500
"""Files of one message."""

_FEW: Final = 50
"""Files that are asked for in one message; each comes along if it is no larger than its share."""

_TRIES: Final = 3
"""How often a piece is made."""

_PASSES: Final = frozenset(
    {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EINTR, errno.EBUSY}
)
"""Refusals of a file system that may be over soon; a full disk is not among them."""


# -------------------------------------------------------------------------------------- at the site


@message
class Parcel:
    """A small file, whole.

    Attributes:
        path: where it is at the site.
        data: its content; ``None`` where it is too large to come along.
        mode: its permissions.
        facts: how it is at the site; ``None`` on the way there.
        changed: the time of its last change at the client, in nanoseconds.
        folder: whether it is a folder, of which no more is said here.
    """

    path: str
    data: bytes | None
    mode: int
    facts: Facts | None = None
    changed: int = 0
    folder: bool = False


@message
class Trouble:
    """Why a file could not be written or read there.

    Attributes:
        reason: as the system said it, and where.
        again: whether another try may help.
    """

    reason: str
    again: bool = False


class Changed(OSError):
    """A file is another one than it was."""


def take_in(folder: str, parcels: Sequence[Parcel]) -> list[Facts | Trouble]:
    """Write small files, each whole or not at all."""
    return [_tried(_take_one, folder, parcel) for parcel in parcels]


def _take_one(folder: str, parcel: Parcel) -> Facts:
    assert parcel.data is not None
    target = Path(parcel.path)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept_inside(parcel.path, (folder,), parcel.path, Way.IN)
    part = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with os.fdopen(_new(part), "wb") as writing:
            writing.write(parcel.data)
        return _named(part, target, parcel.mode, parcel.changed)
    finally:
        part.unlink(missing_ok=True)


def write(folder: str, part: str, offset: int, data: bytes) -> None:
    """Write a piece of a file that has no name yet."""
    path = Path(part)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept_inside(part, (folder,), part, Way.IN)
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    try:
        view = memoryview(data)
        while view:
            done = os.pwrite(descriptor, view, offset)
            view, offset = view[done:], offset + done
    finally:
        # What the file system did not say so far, it says now.
        os.close(descriptor)


@message
class Whole:
    """What a large file is to be when all of its pieces have come.

    Attributes:
        size: bytes.
        checksum: its SHA-256.
        mode: its permissions at the client.
        changed: the time of its last change there, in nanoseconds.
    """

    size: int
    checksum: str
    mode: int
    changed: int


def settle(folder: str, part: str, path: str, whole: Whole) -> Facts:
    """Give a file its name, if all of it has come.

    Raises:
        Changed: it is not what was sent.
        OSError: the file system refused.
    """
    kept_inside(path, (folder,), path, Way.IN)
    found = Path(part).stat().st_size
    if found != whole.size or _digest(part) != whole.checksum:
        raise Changed(errno.EIO, f"{found} bytes of {whole.size} came, or not as they were sent")
    return _named(Path(part), Path(path), whole.mode, whole.changed)


def discard(part: str) -> None:
    """Forget a file that has no name yet."""
    Path(part).unlink(missing_ok=True)


def wrap(folder: str, path: str, archive: str) -> Facts:
    """Make one file of a folder, to be carried.

    Raises:
        OSError: the file system refused, or the folder holds what cannot be carried.
    """
    kept_inside(path, (folder,), path, Way.OUT)
    kept_inside(archive, (folder,), archive, Way.OUT)
    packed(path, archive)
    return facts_of(archive)


def unwrap(folder: str, archive: str, path: str) -> Facts:
    """Make a folder of the file that was carried.

    It is not to be written to, since other tasks read it as well.

    Raises:
        OSError: the file system refused, or this is no folder that was wrapped.
    """
    kept_inside(path, (folder,), path, Way.IN)
    unpacked(archive, path, read_only=True)
    return facts_of(path)


def hand_out(folder: str, paths: Sequence[str], most: int) -> list[Parcel | Trouble]:
    """Files with what is in them, up to ``most`` bytes each; of larger ones only how they are."""
    return [_tried(_hand_one, folder, path, most) for path in paths]


def _hand_one(folder: str, path: str, most: int) -> Parcel:
    kept_inside(path, (folder,), path, Way.OUT)
    if Path(path).is_dir():
        return Parcel(path, None, 0, facts_of(path), folder=True)
    before = facts_of(path)
    data = Path(path).read_bytes() if before.size <= most else None
    _unchanged(path, before)
    return Parcel(path, data, Path(path).stat().st_mode & 0o777, before)


def read(folder: str, path: str, offset: int, size: int, facts: Facts) -> bytes:
    """A piece of a file.

    Raises:
        Changed: it is another one by now.
        OSError: the file system refused.
    """
    kept_inside(path, (folder,), path, Way.OUT)
    with Path(path).open("rb") as reading:
        data = os.pread(reading.fileno(), size, offset)
    _unchanged(path, facts)
    if len(data) != size:
        raise Changed(errno.EIO, f"{len(data)} of {size} bytes could be read at {offset}")
    return data


def digest(folder: str, path: str) -> str:
    """The SHA-256 of a file."""
    kept_inside(path, (folder,), path, Way.OUT)
    return _digest(path)


def _digest(path: str) -> str:
    with Path(path).open("rb") as reading:
        return hashlib.file_digest(reading, "sha256").hexdigest()


def _unchanged(path: str, facts: Facts) -> None:
    now = facts_of(path)
    if (now.size, now.changed) != (facts.size, facts.changed):
        raise Changed(errno.EIO, "it was changed while it was read")


def _new(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    return os.open(path, flags, 0o600)


def _named(part: Path, target: Path, mode: int, changed: int) -> Facts:
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, f"{str(target)!r} is a folder")
    # The owner's rights only, since the folder may be less private than that of the client; and not
    # to be written, since other tasks read it as well.
    part.chmod(mode & 0o500 | 0o400)
    os.utime(part, ns=(changed, changed))
    part.replace(target)
    return facts_of(str(target))


def _tried(do: Callable[..., Any], *args: Any) -> Any:
    try:
        return do(*args)
    except OSError as error:
        return _trouble(error)
    except StagingError as error:
        return Trouble(error.reason, error.again)


def _trouble(error: OSError) -> Trouble:
    said = error.strerror or str(error)
    return Trouble(
        f"{said}." if not error.filename else f"{said}: {error.filename!r}.",
        isinstance(error, Changed) or error.errno in _PASSES,
    )


# ------------------------------------------------------------------------------------ at the client


@attrs.frozen(kw_only=True)
class Load:
    """A file to be carried.

    Attributes:
        url: as the user named it, for messages.
        here: its path at the client.
        there: its path at the site.
        progress: told how far it is; raises ``StagingError`` if nobody waits any more.
    """

    url: str
    here: str
    there: str
    progress: Callable[[int, int], None]


@attrs.frozen(kw_only=True)
class Destination:
    """Where to: a site, by the executor whose channel is used.

    Attributes:
        executor: its label.
        folder: the folder of the site.
        site: what people call it.
    """

    executor: str
    folder: str
    site: str


Run = Callable[[str, Callable[..., Any], tuple[Any, ...]], "Future[Any]"]
"""Has a function called by an executor, by its label."""

Outcome = Facts | Exception


class Carrier:
    """Carries files. From any thread, several at once.

    Args:
        run: has a function called at a site.
        under_way: pieces that may be under way at once, in all.
        scratch: where folders are wrapped at the client; that of the system when left out.
    """

    def __init__(self, run: Run, under_way: int = 16, scratch: Path | None = None) -> None:
        self._run, self._scratch = run, scratch
        self._room = threading.BoundedSemaphore(under_way)

    # --------------------------------------------------------------------------------------- there

    def put(self, to: Destination, loads: Sequence[Load]) -> list[Outcome]:
        """Carry files to a site; how each is there, or why it is not."""
        outcomes: dict[int, Outcome] = {}
        flight = _Flight(self._room)
        for batch in _batches(loads, outcomes):
            parcels = [(number, _packed(loads[number])) for number in batch]
            good = [(number, one) for number, one in parcels if isinstance(one, Parcel)]
            outcomes.update((n, one) for n, one in parcels if isinstance(one, Exception))
            sent = tuple(one for _, one in good)
            if not sent:
                continue

            def arrived(found: Any, good: Sequence[tuple[int, Parcel]] = tuple(good)) -> None:
                for (number, parcel), one in zip(good, _each(found, len(good)), strict=True):
                    outcomes[number] = self._arrived(loads[number], to, parcel, one)

            flight.send(self._asker(to, take_in, (to.folder, sent)), arrived, gather=True)
        flight.land()
        for number, load in enumerate(loads):
            if number not in outcomes:
                put = self._put_folder if Path(load.here).is_dir() else self._put_large
                outcomes[number] = self._guarded(put, to, load, Way.IN)
        return [outcomes[number] for number in range(len(loads))]

    def _arrived(self, load: Load, to: Destination, parcel: Parcel, found: Any) -> Outcome:
        outcome = self._judged(load, to, Way.IN, found)
        if isinstance(outcome, Facts):
            size = len(parcel.data or b"")
            try:
                load.progress(size, size)
            except StagingError as error:
                return error
        return outcome

    def _put_large(self, to: Destination, load: Load) -> Facts:
        target = Path(load.there)
        part = str(target.with_name(f".{uuid.uuid4().hex}.part"))
        checksum = hashlib.sha256()
        flight = _Flight(self._room)
        settled = False
        try:
            with Path(load.here).open("rb") as reading:
                before = os.fstat(reading.fileno())
                size, offset = before.st_size, 0
                while offset < size and (data := reading.read(PIECE)):
                    checksum.update(data)
                    ask = self._asker(to, write, (to.folder, part, offset, data))
                    offset += len(data)
                    flight.send(ask, _reach(load, offset, size))
                flight.land()
                after = os.fstat(reading.fileno())
            if (offset, after.st_mtime_ns, after.st_size) != (size, before.st_mtime_ns, size):
                raise _changed_here(load)
            whole = Whole(size, checksum.hexdigest(), before.st_mode & 0o777, before.st_mtime_ns)
            args = (to.folder, part, load.there, whole)
            facts: Facts = _value(self._ask(to, settle, args))
            settled = True
            return facts
        finally:
            flight.leave()
            if not settled:
                with contextlib.suppress(WeftError):
                    self._ask(to, discard, (part,))

    def _put_folder(self, to: Destination, load: Load) -> Facts:
        there = str(Path(load.there).with_name(f".{uuid.uuid4().hex}.part"))
        if self._scratch is not None:
            self._scratch.mkdir(parents=True, exist_ok=True)
        try:
            with tempfile.TemporaryDirectory(prefix="wrap-", dir=self._scratch) as scratch:
                archive = os.path.join(scratch, "folder")  # noqa: PTH118 - a text is wanted
                before = marked(load.here)
                packed(load.here, archive)
                if marked(load.here) != before:
                    raise _changed_here(load)
                self._put_large(to, attrs.evolve(load, here=archive, there=there))
            ask = self._asker(to, unwrap, (to.folder, there, load.there))
            facts: Facts = _value(ask(), ask)
        finally:
            with contextlib.suppress(WeftError):
                self._ask(to, discard, (there,))
        return facts

    # ---------------------------------------------------------------------------------------- back

    def get(self, at: Destination, loads: Sequence[Load]) -> list[Outcome]:
        """Carry files from a site; how each is there, or why it did not come."""
        outcomes: dict[int, Outcome] = {}
        large: list[tuple[int, Parcel]] = []
        for first in range(0, len(loads), _FEW):
            some = loads[first : first + _FEW]
            try:
                args = (at.folder, tuple(one.there for one in some), PIECE // _FEW)
                found = _value(self._ask(at, hand_out, args))
            except (Exception, CancelledError) as error:  # noqa: BLE001 - the task's, whatever it is
                found = error
            for number, one in enumerate(_each(found, len(some)), first):
                if isinstance(one, Parcel):
                    if one.data is None:
                        large.append((number, one))
                    else:
                        outcomes[number] = self._kept(loads[number], one)
                else:
                    outcomes[number] = self._judged(loads[number], at, Way.OUT, one)
        for number, parcel in large:
            get = partial(self._get_folder if parcel.folder else self._get_large, parcel)
            outcomes[number] = self._guarded(get, at, loads[number], Way.OUT)
        return [outcomes[number] for number in range(len(loads))]

    def _kept(self, load: Load, parcel: Parcel) -> Outcome:
        assert parcel.data is not None
        assert parcel.facts is not None
        try:
            with _written(load.here, parcel.mode) as writing:
                writing.write(parcel.data)
            load.progress(len(parcel.data), len(parcel.data))
        except StagingError as error:
            return error
        except OSError as error:
            return _at_home(load, error)
        return parcel.facts

    def _get_large(self, parcel: Parcel, at: Destination, load: Load) -> Facts:
        facts = parcel.facts
        assert facts is not None
        whole = self._ask(at, digest, (at.folder, load.there))
        checksum = hashlib.sha256()
        flight = _Flight(self._room)
        try:
            with _written(load.here, parcel.mode) as writing:

                def came(data: bytes) -> None:
                    checksum.update(data)
                    writing.write(data)
                    load.progress(writing.tell(), facts.size)

                for offset in range(0, facts.size, PIECE):
                    args = (at.folder, load.there, offset, min(PIECE, facts.size - offset), facts)
                    flight.send(self._asker(at, read, args), came)
                flight.land()
                if _value(whole) != checksum.hexdigest():
                    raise _There(Trouble("What came is not what is there.", again=True))
        finally:
            flight.leave()
        return facts

    def _get_folder(self, parcel: Parcel, at: Destination, load: Load) -> Facts:
        name = f".{uuid.uuid4().hex}.part"
        there, here = str(Path(load.there).with_name(name)), Path(load.here).with_name(name)
        try:
            ask = self._asker(at, wrap, (at.folder, load.there, there))
            wrapped = Parcel(there, None, 0o600, _value(ask(), ask))
            self._get_large(wrapped, at, attrs.evolve(load, here=str(here), there=there))
            unpacked(here, load.here)
        finally:
            here.unlink(missing_ok=True)
            with contextlib.suppress(WeftError):
                self._ask(at, discard, (there,))
        assert parcel.facts is not None
        return parcel.facts

    # ------------------------------------------------------------------------------------ together

    def _ask(
        self, to: Destination, function: Callable[..., Any], args: tuple[Any, ...]
    ) -> Future[Any]:
        return self._run(to.executor, function, args)

    def _asker(
        self, to: Destination, function: Callable[..., Any], args: tuple[Any, ...]
    ) -> Callable[[], Future[Any]]:
        return lambda: self._ask(to, function, args)

    def _guarded(
        self, do: Callable[[Destination, Load], Facts], to: Destination, load: Load, way: Way
    ) -> Outcome:
        try:
            return do(to, load)
        except (Exception, CancelledError) as error:  # noqa: BLE001 - the outcome of this file alone
            return self._judged(load, to, way, error)

    def _judged(self, load: Load, at: Destination, way: Way, found: Any) -> Outcome:
        """What became of a file at the site, or the error that says it."""
        if isinstance(found, Facts):
            return found
        if isinstance(found, StagingError) and found.url == load.url:
            return found
        if isinstance(found, OSError):
            return _at_home(load, found, way)
        if isinstance(found, _There):
            found = found.trouble
        if isinstance(found, Trouble):
            return StagingError(
                load.url,
                way,
                f"{found.reason} That was at {load.there!r} on the site {at.site!r}.",
                "Look at the space and the permissions there.",
                again=found.again,
            )
        return StagingError(
            load.url,
            way,
            f"It could not be carried through the executor {at.executor!r}: "
            f"{type(found).__name__}: {found}",
            again=isinstance(found, TaskLost),
        )


class _There(Exception):
    """What an executor's machine said of one file."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.reason)
        self.trouble = trouble


_Piece = tuple["Future[Any]", Callable[[], "Future[Any]"], Callable[[Any], None], bool]


class _Flight:
    """Pieces under way, in their order, for one thread."""

    def __init__(self, room: threading.BoundedSemaphore) -> None:
        self._room = room
        self._pieces: deque[_Piece] = deque()

    def send(
        self,
        ask: Callable[[], Future[Any]],
        arrived: Callable[[Any], None],
        *,
        gather: bool = False,
    ) -> None:
        """Have one more on its way, as soon as there is room.

        Args:
            ask: has it made; asked again if it was lost.
            arrived: gets what came of it, in the order of sending.
            gather: whether it also gets errors, rather than this thread by ``send`` and ``land``.
        """
        while not self._room.acquire(blocking=not self._pieces):
            self._first()
        try:
            self._pieces.append((ask(), ask, arrived, gather))
        except BaseException:
            self._room.release()
            raise

    def land(self) -> None:
        """Wait for all of them."""
        while self._pieces:
            self._first()

    def leave(self) -> None:
        """Wait for none of them any more."""
        while self._pieces:
            self._pieces.popleft()[0].cancel()
            self._room.release()

    def _first(self) -> None:
        future, ask, arrived, gather = self._pieces.popleft()
        try:
            try:
                value = _value(future, ask)
            except BaseException as error:
                if not gather:
                    raise
                value = error
            arrived(value)
        finally:
            self._room.release()


def _value(future: Future[Any], ask: Callable[[], Future[Any]] | None = None) -> Any:
    """What a task came back with, which is asked for again while that may help."""
    left = _TRIES if ask is not None else 1
    while True:
        left -= 1
        try:
            return future.result()
        except OSError as error:
            trouble = _trouble(error)
            if not left or not trouble.again:
                raise _There(trouble) from error
        except StagingError as error:
            raise _There(Trouble(error.reason, error.again)) from error
        except TaskLost:
            if not left:
                raise
        assert ask is not None
        future = ask()


def _reach(load: Load, done: int, size: int) -> Callable[[Any], None]:
    return lambda _: load.progress(done, size)


def _each(found: Any, count: int) -> Sequence[Any]:
    """What was said of each of several, if one thing was said of all."""
    return [found] * count if isinstance(found, BaseException) else found


def _batches(loads: Sequence[Load], outcomes: dict[int, Outcome]) -> Iterator[list[int]]:
    """The small ones by their numbers, as many as go into one message."""
    batch: list[int] = []
    held = 0
    for number, load in enumerate(loads):
        try:
            found = Path(load.here).stat()
        except OSError as error:
            outcomes[number] = _at_home(load, error, Way.IN)
            continue
        if found.st_size > SMALL or stat.S_ISDIR(found.st_mode):
            continue
        if batch and (held + found.st_size > PIECE or len(batch) == _MANY):
            yield batch
            batch, held = [], 0
        batch.append(number)
        held += found.st_size
    if batch:
        yield batch


def _packed(load: Load) -> Parcel | Exception:
    try:
        with Path(load.here).open("rb") as reading:
            before = os.fstat(reading.fileno())
            data = reading.read(PIECE + 1)
            after = os.fstat(reading.fileno())
    except OSError as error:
        return _at_home(load, error, Way.IN)
    if (len(data), after.st_mtime_ns) != (after.st_size, before.st_mtime_ns):
        return _changed_here(load)
    return Parcel(load.there, data, before.st_mode & 0o777, None, before.st_mtime_ns)


@contextlib.contextmanager
def _written(here: str, mode: int) -> Iterator[Any]:
    """A file of the client that has its name when it is whole."""
    target = Path(here)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with os.fdopen(_new(part), "wb") as writing:
            yield writing
        part.chmod(mode & 0o777)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _at_home(load: Load, error: OSError, way: Way = Way.OUT) -> StagingError:
    said = error.strerror or str(error)
    if error.filename and os.fspath(error.filename) != load.here:
        said += f": {os.fspath(error.filename)!r}"
    did = "read" if way is Way.IN else "written"
    return StagingError(
        load.url,
        way,
        f"{load.here!r} could not be {did} on the machine of the script: {said}.",
        "Look at the path, and at the space and the permissions there.",
        again=error.errno in _PASSES,
    )


def _changed_here(load: Load) -> StagingError:
    return StagingError(
        load.url, Way.IN, f"{load.here!r} was changed while it was read.", again=True
    )
