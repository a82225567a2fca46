r"""Results on disk: a log that each run writes, and that later runs read.

One thread, ``weft-checkpoint``, owns the file of this run, and makes every call that may wait for
the disk or run a user's pickling code. The kernel posts tickets and goes on; it completes a future
when the ticket of its task comes back, by when the record has been handed to the operating system.

    kernel ──keep(ticket, …)──▶ inbox ──▶ weft-checkpoint: pack, write a batch ──▶ recorded(ids)
                                                             fdatasync every 50 ms

What the user was told is finished is thus in the log even if the process is killed; after a loss of
power at most the last 50 ms are missing. The log never decides a task's fate: a result that cannot
be packed or written is counted, warned of once, and its ticket comes back all the same. A disk that
hangs holds the tickets; ``stalled_for`` tells, and the kernel goes on without them when it has
waited long enough.

**The file.** Numbers are little-endian.

    header   24 bytes   "weft-ckp", version u16, reserved u16, nonce 8 bytes, crc u32
    record   64 bytes   marker "\xf7wR\n", nonce 8 bytes, crc u32, length u64, kind u16,
                        6 bytes reserved, key 32 bytes
             + payload  ``length`` bytes; kind 1: serializer, outputs and value (see ``_payload``)

A crc is zlib's CRC-32: in the header of what precedes it, in a record of all but the marker and
itself. The nonce is drawn anew for each file. Marker and nonce are what a reader looks for behind
damage; since bytes inside a value cannot know the nonce, a value that contains a log is never taken
for one. Records of kinds that are not known are passed over. For one key the last record counts.

**Reading.** ``load`` checks every byte and keeps only where each record lies; values are read when
asked for. Damage never stops it: a torn tail is left out, a damaged record is skipped, and both are
reported. What does stop it is a log that somebody else could have written, because loading a value
can run code.
"""

import contextlib
import os
import pickle
import queue
import re
import stat
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

import attrs

from weft.data.trees import size_of
from weft.errors import CheckpointError
from weft.interfaces.serializer import Buffer, Serializer
from weft.values.files import File
from weft.values.message import message
from weft.values.task import TaskId

__all__ = [
    "FILE_NAME",
    "CheckpointIndex",
    "CheckpointWriter",
    "Damage",
    "Disk",
    "FileReport",
    "LoadReport",
    "Output",
    "Recalled",
    "Ticket",
    "earlier_logs",
    "load",
    "made",
    "open_checkpoint",
    "still_there",
]

FILE_NAME = "checkpoint.weft"
"""The log of a run, in its run folder."""

# ----------------------------------------------------------------------------------------- values


@message
class Output:
    """A local file that a task made, as it was then: its absolute path, and its size in bytes."""

    path: str
    size: int


@message
class Recalled:
    """A value that was found, and the files that belong to it."""

    value: Any
    outputs: tuple[Output, ...] = ()


@message
class Ticket:
    """A result that is to be recorded.

    Attributes:
        id: the task; comes back when the record is written, or cannot be.
        key: of the call, 32 bytes.
        value: what it returned. Nobody may change it until the ticket is back.
        outputs: the files that the task made. Those on this machine have to be there for the value
            to be of use; others cannot be looked after.
    """

    id: TaskId
    key: bytes
    value: Any
    outputs: Sequence[File] = ()


def made(files: Iterable[File]) -> tuple[Output, ...]:
    """Those of the files that are on this machine, as they are now. Asks the file system.

    Raises:
        OSError: one of them is not there.
    """
    local = [Path(file.path).absolute() for file in files if file.scheme == "file"]
    return tuple(Output(str(path), _size_of(path)) for path in local)


def _size_of(path: Path) -> int:
    """The bytes of a file, or of all files in a folder."""
    found = path.stat()
    return size_of(path) if stat.S_ISDIR(found.st_mode) else found.st_size


def still_there(found: Recalled) -> Recalled | None:
    """``found`` if all its files are there with their sizes, else ``None``. Asks the disk."""
    for output in found.outputs:
        try:
            if _size_of(Path(output.path)) != output.size:
                return None
        except (OSError, ValueError):
            return None
    return found


# ----------------------------------------------------------------------------------------- format

_MAGIC = b"weft-ckp"
_VERSION = 1
_HEADER = struct.Struct("<8sHH8s")
_HEADER_SIZE = _HEADER.size + 4
_MARKER = b"\xf7wR\n"
_RECORD = struct.Struct("<4s8sIQH6x32s")
_VALUE = 1
_CHUNK = 1 << 20  # bytes read or written at once


def _header(nonce: bytes) -> bytes:
    head = _HEADER.pack(_MAGIC, _VERSION, 0, nonce)
    return head + zlib.crc32(head).to_bytes(4, "little")


def _record(nonce: bytes, key: bytes, payload: Sequence[Buffer]) -> bytes:
    """The 64 bytes before the payload."""
    length = sum(memoryview(part).nbytes for part in payload)
    head = _RECORD.pack(_MARKER, nonce, 0, length, _VALUE, key)
    crc = _crc_of_head(head)
    for part in payload:
        crc = zlib.crc32(part, crc)
    return head[:12] + crc.to_bytes(4, "little") + head[16:]


def _crc(head: bytes, payload: Buffer) -> int:
    return zlib.crc32(payload, _crc_of_head(head))


def _crc_of_head(head: bytes) -> int:
    return zlib.crc32(head[16:], zlib.crc32(head[4:12]))


def _payload(serializer: str, outputs: Sequence[Output], buffers: Sequence[Buffer]) -> list[Buffer]:
    """What a record of kind 1 holds.

    The serializer's id (length u8, ascii), the outputs (count u32; each a path with length u32, and
    the size u64), the buffers (count u32, sizes u64, then their bytes).
    """
    name = serializer.encode("ascii")
    head = [len(name).to_bytes(1, "little"), name, len(outputs).to_bytes(4, "little")]
    for output in outputs:
        path = os.fsencode(output.path)
        head += [len(path).to_bytes(4, "little"), path, output.size.to_bytes(8, "little")]
    head.append(len(buffers).to_bytes(4, "little"))
    # What a serializer leaves where it was need not be contiguous bytes.
    flat = [buffer if type(buffer) is bytes else memoryview(buffer).cast("B") for buffer in buffers]
    head += [len(buffer).to_bytes(8, "little") for buffer in flat]
    return [b"".join(head), *flat]


def _unpayload(payload: bytearray) -> tuple[str, tuple[Output, ...], list[memoryview]]:
    """The opposite of ``_payload``. Its crc has been checked, so it is what was written."""
    view = memoryview(payload)
    at = 0

    def take(size: int) -> memoryview:
        nonlocal at
        at += size
        return view[at - size : at]

    def number(size: int) -> int:
        return int.from_bytes(take(size), "little")

    name = bytes(take(number(1))).decode("ascii")
    outputs = []
    for _ in range(number(4)):
        path = os.fsdecode(bytes(take(number(4))))
        outputs.append(Output(path, number(8)))
    sizes = [number(8) for _ in range(number(4))]
    return name, tuple(outputs), [take(size) for size in sizes]


# ---------------------------------------------------------------------------------------- writing


class Disk(Protocol):
    """The calls that a writer makes to a file: ``os``, or in tests something that fails."""

    def pwrite(self, fd: int, data: Buffer, offset: int, /) -> int:
        """As ``os.pwrite``."""

    def ftruncate(self, fd: int, length: int, /) -> None:
        """As ``os.ftruncate``."""

    def fdatasync(self, fd: int, /) -> None:
        """As ``os.fdatasync``."""


class _SystemDisk:
    pwrite = staticmethod(os.pwrite)
    ftruncate = staticmethod(os.ftruncate)
    fdatasync = staticmethod(getattr(os, "fdatasync", os.fsync))  # macOS has no fdatasync


@attrs.frozen(kw_only=True)
class Written:
    """What became of the results given to a writer.

    Attributes:
        records: written.
        size: bytes in the log.
        unstorable: could not be packed.
        failed: could not be written.
        refused: not taken, because the inbox was full, the disk hung, or the writer was closed.
        unfinished: taken, and neither written nor given up when the writer was closed.
        syncs: how often the disk was asked to make it last.
    """

    records: int
    size: int
    unstorable: int
    failed: int
    refused: int
    unfinished: int
    syncs: int


_CLOSE = Ticket(-1, b"", None)

_Packed = list[Buffer]
"""One record, in pieces that are bytes or flat views of bytes."""


class CheckpointWriter:
    """Writes the log of one run. The file must not exist; it is made, readable by its owner alone.

    ``keep`` and ``close`` are for one thread at a time; ``stalled_for`` and ``counts`` for any.

    Args:
        path: of the log; its folder exists.
        serializers: tried in this order for each value; the name of the one used goes into the
        record. recorded: called in the writer's thread with tasks whose tickets are done with,
            written or not. It must return soon and must not raise.
        warn: called in either thread with a text for people, once for each kind of trouble.
        clock: seconds that only go up.
        sync_every: seconds between two calls of fdatasync, at least, while there is something to
        sync. most_waiting: tickets in the inbox at most; beyond that none is taken.
        patience: seconds without any progress after which none is taken, until there is some.
        disk: makes the calls to the file.

    Raises:
        CheckpointError: the file cannot be made, or is there already.
    """

    def __init__(
        self,
        path: Path,
        *,
        serializers: Sequence[Serializer],
        recorded: Callable[[Sequence[TaskId]], None],
        warn: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        sync_every: float = 0.05,
        most_waiting: int = 100_000,
        patience: float = 30.0,
        disk: Disk | None = None,
    ) -> None:
        self.path = path
        self._serializers, self._recorded, self._warn = tuple(serializers), recorded, warn
        self._clock, self._sync_every = clock, sync_every
        self._most_waiting, self._patience = most_waiting, patience
        self._disk: Disk = disk or _SystemDisk()
        self._inbox: queue.SimpleQueue[Ticket] = queue.SimpleQueue()
        # Written by the caller's thread alone.
        self._taken = self._refused = 0
        self._closed = False
        # Written by the writer's thread alone.
        self._done = self._records = self._unstorable = self._failed = self._syncs = 0
        self._busy_since: float | None = None
        self._dirty_since: float | None = None
        self._ended = False
        self._said: set[str] = set()
        self._nonce = os.urandom(8)
        self._fd = self._create()
        self._end = _HEADER_SIZE
        self._thread = threading.Thread(target=self._run, name="weft-checkpoint", daemon=True)
        self._thread.start()

    # For the kernel.

    def keep(self, ticket: TaskId, key: bytes, value: Any, outputs: Sequence[File] = ()) -> None:
        """Write a result, without waiting. The ticket comes back when it is written, or cannot be.

        It comes back at once, from within this call, if too many wait, if the disk hangs, or if the
        writer is closed. It may come back late, or never, if the disk begins to hang now: whoever
        waits for it has to give up some time.

        Args:
            ticket: the task; what comes back.
            key: of the call, 32 bytes.
            value: what it returned. Nobody may change it until the ticket is back.
            outputs: see ``Ticket``.
        """
        if (
            self._closed
            or self._ended
            or self._taken - self._done >= self._most_waiting
            or self.stalled_for() > self._patience
        ):
            self._refused += 1
            if not self._closed:
                self._say("refused", self._refusal())
            self._recorded((ticket,))
            return
        self._taken += 1
        self._inbox.put(Ticket(ticket, key, value, outputs))

    def stalled_for(self) -> float:
        """Seconds since the writer last got on with its work; 0 while it has none."""
        since = self._busy_since
        return 0.0 if since is None else max(0.0, self._clock() - since)

    @property
    def waiting(self) -> int:
        """How many tickets have been taken and are not back."""
        return self._taken - self._done

    def counts(self) -> Written:
        """How things stand."""
        return Written(
            records=self._records,
            size=self._end,
            unstorable=self._unstorable,
            failed=self._failed,
            refused=self._refused,
            unfinished=self.waiting,
            syncs=self._syncs,
        )

    def close(self, timeout: float = 10.0) -> Written:
        """Write what has been taken, make it last, end the thread. May be called again.

        Args:
            timeout: seconds to wait at most; a disk that hangs longer is left behind.
        """
        if not self._closed:
            self._closed = True
            self._inbox.put(_CLOSE)
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._say(
                "hung",
                f"The checkpoint {str(self.path)!r} could not be closed in {timeout:g} s; the disk "
                f"does not answer. {self.waiting} results may be missing in it, and will be "
                "computed again.",
            )
        return self.counts()

    # In the writer's thread.

    def _run(self) -> None:
        try:
            while self._turn():
                pass
            self._sync()
        finally:
            self._ended = True
            self._busy_since = None
            with contextlib.suppress(OSError):
                os.close(self._fd)

    def _turn(self) -> bool:
        """One batch, or one sync. Returns False when it was the last."""
        try:
            batch = [self._inbox.get(timeout=self._until_sync())]
        except queue.Empty:
            self._sync()
            return True
        self._progress()
        with contextlib.suppress(queue.Empty):
            while len(batch) < 256:
                batch.append(self._inbox.get_nowait())
        last = batch[-1] is _CLOSE
        for tickets, records in self._packed(batch[:-1] if last else batch):
            self._append(records)
            self._report(tickets)
            if self._until_sync() == 0:
                self._sync()
        self._busy_since = None
        return not last

    def _progress(self) -> None:
        self._busy_since = self._clock()

    def _until_sync(self) -> float | None:
        """Seconds until a sync is due; ``None`` if there is nothing to sync."""
        if self._dirty_since is None:
            return None
        return max(0.0, self._dirty_since + self._sync_every - self._clock())

    def _packed(self, batch: Sequence[Ticket]) -> Iterator[tuple[list[Ticket], list[_Packed]]]:
        """Small results together, large ones by themselves, so that neither waits for the other."""
        tickets: list[Ticket] = []
        records: list[_Packed] = []
        size = 0
        for ticket in batch:
            packed = self._pack(ticket)
            self._progress()
            more = sum(map(len, packed)) if packed else 0
            if records and size + more > _CHUNK:
                yield tickets, records
                tickets, records, size = [], [], 0
            tickets.append(ticket)
            if packed:
                records.append(packed)
                size += more
        yield tickets, records

    def _pack(self, ticket: Ticket) -> _Packed:
        """The record of a result; empty if it cannot be stored."""
        reasons = []
        for serializer in self._serializers:
            try:
                buffers = serializer.pack(ticket.value)
                payload = _payload(serializer.id, made(ticket.outputs), buffers)
                return [_record(self._nonce, ticket.key, payload), *payload]
            except BaseException as trouble:  # noqa: BLE001 - a user's __reduce__ runs here
                reasons.append(f"{serializer.id}: {_told(trouble)}")
        self._unstorable += 1
        self._say(
            "unstorable",
            f"A result of type {type(ticket.value).__qualname__!r} (task {ticket.id}) cannot be "
            "stored in the checkpoint; the task is finished all the same, and will run again after "
            f"a restart. Why: {'; '.join(reasons)}. "
            "Do: return something that can be pickled. Further ones are counted.",
        )
        return []

    def _append(self, records: Sequence[_Packed]) -> None:
        """Write records at the end; all of them, or none that a reader would take for one."""
        if not records:
            return
        try:
            self._write_at(self._end, [part for record in records for part in record])
        except Exception as trouble:  # noqa: BLE001 - whatever it is, tickets must come back
            self._failed += len(records)
            self._say("failed", self._failure(trouble))
            # If this fails too, the next record is written over the torn one; a reader finds it.
            with contextlib.suppress(OSError):
                self._disk.ftruncate(self._fd, self._end)
            return
        self._records += len(records)
        if self._dirty_since is None:
            self._dirty_since = self._clock()

    def _write_at(self, offset: int, parts: Sequence[Buffer]) -> None:
        small: list[Buffer] = []
        for part in parts:
            if len(part) < _CHUNK:
                small.append(part)
                continue
            offset = self._write_out(offset, b"".join(small))
            offset = self._write_out(offset, part)
            small = []
        self._end = self._write_out(offset, b"".join(small))

    def _write_out(self, offset: int, data: Buffer) -> int:
        view = memoryview(data)
        while view:
            written = self._disk.pwrite(self._fd, view[: 16 * _CHUNK], offset)
            self._progress()
            offset += written
            view = view[written:]
        return offset

    def _sync(self) -> None:
        if self._dirty_since is None:
            return
        self._dirty_since = None
        self._progress()
        try:
            self._disk.fdatasync(self._fd)
            self._syncs += 1
            if not os.fstat(self._fd).st_nlink:
                self._say(
                    "deleted",
                    f"The checkpoint {str(self.path)!r} was deleted while the run goes on. "
                    "Results of this run will not be found by the next one.",
                )
        except Exception as trouble:  # noqa: BLE001 - this thread has to live for the others
            self._say("failed", self._failure(trouble))
        self._busy_since = None

    def _report(self, tickets: Sequence[Ticket]) -> None:
        if not tickets:
            return
        self._done += len(tickets)
        try:
            self._recorded([ticket.id for ticket in tickets])
        except BaseException as trouble:  # noqa: BLE001 - the thread has to live for the others
            self._say(
                "report", f"The kernel could not be told of written results: {_told(trouble)}"
            )

    # Texts.

    def _say(self, kind: str, text: str) -> None:
        if kind in self._said:
            return
        self._said.add(kind)
        with contextlib.suppress(Exception):  # telling is no reason to lose a result
            self._warn(text)

    def _failure(self, trouble: BaseException) -> str:
        return (
            f"Results cannot be written to the checkpoint {str(self.path)!r}; tasks go on, and "
            f"those missing there will run again after a restart. Why: {_told(trouble)}. "
            "Do: free space on that disk; writing goes on by itself. Further failures are counted."
        )

    def _refusal(self) -> str:
        return (
            f"The checkpoint {str(self.path)!r} does not keep up; results are passed by, and will "
            f"be computed again after a restart. Why: {self.waiting} results wait, and nothing was "
            f"written for {self.stalled_for():.0f} s. "
            "Do: put run_dir on a faster disk. Further ones are counted."
        )

    def _create(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = -1
        try:
            fd = os.open(self.path, flags, 0o600)
            os.fchmod(fd, 0o600)  # whatever the umask takes away
            self._write_start(fd)
            _sync_folder(self.path.parent)
        except OSError as trouble:
            if fd >= 0:
                os.close(fd)
            raise CheckpointError(
                str(self.path),
                f"It cannot be written: {_told(trouble)}.",
                "Give Config(run_dir=...) a folder that you own, with space on its disk.",
            ) from trouble
        return fd

    def _write_start(self, fd: int) -> None:
        header = _header(self._nonce)
        if self._disk.pwrite(fd, header, 0) != len(header):
            raise OSError("the disk took only a part of 24 bytes")
        self._disk.fdatasync(fd)


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file last."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _told(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - a user's exception
        text = ""
    name = type(error).__name__
    return f"{name}: {text.splitlines()[0][:300]}" if text else name


# ---------------------------------------------------------------------------------------- reading


@attrs.frozen(kw_only=True)
class Damage:
    """Bytes of a log that are no whole record.

    Attributes:
        offset: the first of them.
        length: how many, up to the next whole record or the end of the file.
        torn: whether they are the end of the file, as after a crash.
    """

    offset: int
    length: int
    torn: bool


@attrs.frozen(kw_only=True)
class FileReport:
    """What was found in one log.

    Attributes:
        path: of the log.
        records: whole ones.
        damage: what is not, in the order of the file; at most 100 places are listed.
        damaged: how many places there are.
        problem: why nothing was taken from it, or an empty string.
    """

    path: str
    records: int = 0
    damage: tuple[Damage, ...] = ()
    damaged: int = 0
    problem: str = ""


@attrs.frozen
class LoadReport:
    """What was found in all logs."""

    files: tuple[FileReport, ...] = ()

    @property
    def records(self) -> int:
        """Whole records, those that later ones replace included."""
        return sum(file.records for file in self.files)

    @property
    def damaged(self) -> int:
        """Places that are damaged or torn off."""
        return sum(file.damaged for file in self.files)

    def lines(self) -> list[str]:
        """Every trouble as a line for people; empty if all is well."""
        told = []
        for file in self.files:
            if file.problem:
                told.append(f"{file.path}: {file.problem}")
            for damage in file.damage:
                kind = "the end is not whole" if damage.torn else "damaged, skipped"
                told.append(
                    f"{file.path}: {kind}: {damage.length} bytes from byte {damage.offset} on"
                )
            if file.damaged > len(file.damage):
                told.append(f"{file.path}: {file.damaged - len(file.damage)} more damaged places")
        return told


class CheckpointIndex:
    """Which results are on disk, and where. Values are read when asked for, from any thread.

    A value that turns out not to be of use (its record was damaged since, its class has moved, its
    files are gone) is counted, forgotten, and from then on not known.
    """

    def __init__(
        self,
        places: Mapping[bytes, tuple[int, int, int]],
        files: Sequence["_Log"],
        serializers: Sequence[Serializer],
        report: LoadReport,
        warn: Callable[[str], None],
    ) -> None:
        self._places = dict(places)
        self._files = tuple(files)
        self._serializers = {serializer.id: serializer for serializer in serializers}
        self._lock = threading.Lock()  # guards the counter, for an increment
        self._counts: Counter[str] = Counter()
        self._warn = warn
        self.report = report

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    def read(self, key: bytes) -> Recalled | None:
        """The value, read and unpacked now; ``None`` if it cannot be had. Never raises."""
        place = self._places.get(key)
        if place is None:
            return None
        try:
            found = self._fetch(key, *place)
        except _Unusable as trouble:
            self._forget(key, trouble.kind, str(trouble))
            return None
        if still_there(found) is None:
            self._forget(
                key, "outputs", "Files that belong to a stored result are gone or changed."
            )
            return None
        with self._lock:
            self._counts["read"] += 1
        return found

    def counts(self) -> Mapping[str, int]:
        """How many values were ``read``, and how many were of no use, by reason.

        The reasons are ``damaged``, ``unloadable`` and ``outputs``.
        """
        with self._lock:
            return dict(self._counts)

    def _forget(self, key: bytes, kind: str, text: str) -> None:
        self._places.pop(key, None)
        with self._lock:
            self._counts[kind] += 1
            first = self._counts[kind] == 1
        if first:
            with contextlib.suppress(Exception):  # telling is no reason to lose a task
                self._warn(f"{text} The task runs again. Further ones are counted.")

    def _fetch(self, key: bytes, number: int, offset: int, length: int) -> Recalled:
        log = self._files[number]
        where = f"the record at byte {offset} of {log.path}"
        try:
            head, payload = _read_again(log, offset, length)
        except (OSError, CheckpointError) as trouble:
            raise _Unusable("damaged", f"Cannot read {where}: {_told(trouble)}") from trouble
        if not _whole(head, key, _crc(head, payload)):
            raise _Unusable("damaged", f"Something changed {where} since it was checked.")
        name, outputs, buffers = _unpayload(payload)
        serializer = self._serializers.get(name)
        if serializer is None:
            raise _Unusable(
                "unloadable", f"No serializer {name!r} is configured, which wrote {where}."
            )
        try:
            return Recalled(serializer.unpack(buffers), outputs)
        except BaseException as trouble:  # a pickle runs a user's code
            raise _Unusable("unloadable", f"Cannot load {where}: {_told(trouble)}") from trouble


class _Unusable(Exception):
    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def _whole(head: bytes, key: bytes, crc: int) -> bool:
    if len(head) != _RECORD.size:
        return False
    _, _, stored, _, _, found = _RECORD.unpack(head)
    return bool(stored == crc and found == key)


@attrs.frozen
class _Log:
    """A log that was found to be the user's own, and which file that was."""

    path: str
    device: int
    inode: int


def earlier_logs(run_dir: Path, *, current: Path | None = None) -> list[Path]:
    """The logs of all runs in ``run_dir``, the oldest first, without that of ``current``.

    Run folders are ordered as people count: ``9`` before ``10``. Links to folders are passed over,
    so that a ``latest`` beside the real ones does no harm.
    """
    root = Path(os.path.realpath(run_dir))
    found = []
    try:
        with os.scandir(root) as entries:
            folders = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    except OSError as trouble:
        raise CheckpointError(
            str(root),
            f"The run folder cannot be listed: {_told(trouble)}.",
            "Mend its permissions.",
        ) from trouble
    for name in sorted(folders, key=_as_people_count):
        log = root / name / FILE_NAME
        if (current is None or name != current.name) and os.path.lexists(log):
            found.append(log)
    return found


def _as_people_count(name: str) -> tuple[list[tuple[int, str]], str]:
    pieces = re.findall(r"\d+|\D+", name)
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in pieces], name


def load(
    files: Iterable[Path],
    *,
    serializers: Sequence[Serializer],
    run_dir: Path | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> CheckpointIndex:
    """Read logs, in the order of their age. Every byte is checked; no value is loaded.

    Args:
        files: the logs. For one key the last record of the last log counts.
        serializers: those that may be used to load values.
        run_dir: every folder from here down to a log must be the user's own; else only the log's
            folder.
        warn: told of the first value of each kind that turns out to be of no use when it is read,
            from the thread that reads it. What is damaged now is in the index's ``report``.

    Raises:
        CheckpointError: a log, or a folder on the way to it, could have been written by somebody
            else. Nothing is loaded then.
    """
    places: dict[bytes, tuple[int, int, int]] = {}
    logs: list[_Log] = []
    reports = []
    for path in files:
        try:
            log, fd = _trusted(path, run_dir)
        except FileNotFoundError:
            reports.append(FileReport(path=str(path), problem="it is gone"))
            continue
        with os.fdopen(fd, "rb", buffering=_CHUNK) as file:
            try:
                report = _scan(file, log, places, len(logs))
            except OSError as trouble:
                # What was read before is whole; records are checked again when their values are
                # read.
                report = FileReport(
                    path=log.path, problem=f"it cannot be read to its end: {_told(trouble)}"
                )
        logs.append(log)
        reports.append(report)
    return CheckpointIndex(places, logs, serializers, LoadReport(tuple(reports)), warn)


def _trusted(path: Path, run_dir: Path | None) -> tuple[_Log, int]:
    """The log, opened for reading, if nobody but the user could have written it."""
    top = Path(os.path.realpath(run_dir)) if run_dir is not None else path.parent
    folder = path.parent
    chain = [folder]
    while folder != top and top in folder.parents:
        folder = folder.parent
        chain.append(folder)
    try:
        for folder in reversed(chain):
            _check(folder, os.lstat(folder), stat.S_ISDIR)
        # What a link points to may change between two looks, so the file that is open counts. This
        # look is for a clear text.
        _check(path, os.lstat(path), stat.S_ISREG)
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as trouble:
        raise CheckpointError(
            str(path), f"It cannot be opened: {_told(trouble)}.", f"Run: chmod u+rw '{path}'"
        ) from trouble
    try:
        found = os.fstat(fd)
        _check(path, found, stat.S_ISREG)
    except BaseException:
        os.close(fd)
        raise
    return _Log(str(path), found.st_dev, found.st_ino), fd


def _check(path: Path, found: os.stat_result, is_kind: Callable[[int], bool]) -> None:
    kind = "folder" if is_kind is stat.S_ISDIR else "file"
    why_so = "Loading a stored result can run code, so it must be yours alone."
    if stat.S_ISLNK(found.st_mode):
        raise CheckpointError(
            str(path),
            f"It is a symbolic link. {why_so}",
            "Remove the link, or name the folder it points to in Config(run_dir=...).",
        )
    if not is_kind(found.st_mode):
        raise CheckpointError(
            str(path), f"It is not a {kind}.", "Remove it, or use another run_dir."
        )
    if found.st_uid != os.geteuid():
        raise CheckpointError(
            str(path),
            f"The {kind} belongs to user {found.st_uid}, and you are user {os.geteuid()}. {why_so}",
            "If you trust what it holds, copy it as your own; else remove it, or use another "
            "run_dir.",
        )
    if found.st_mode & 0o022:
        raise CheckpointError(
            str(path),
            f"Others can write this {kind} (its mode is {stat.S_IMODE(found.st_mode):o}). {why_so}",
            f"If nobody has meddled with it, run: chmod go-w '{path}'",
        )


def _read_again(log: _Log, offset: int, length: int) -> tuple[bytes, bytearray]:
    """A record of a log, if that is still the file that was checked."""
    again, fd = _trusted(Path(log.path), None)
    try:
        if again != log:
            raise OSError("it is another file now")
        head = os.pread(fd, _RECORD.size, offset)
        # Memory that may be written to, so that arrays made from it may be, too.
        payload = bytearray(length)
        view, at = memoryview(payload), 0
        while at < length:
            count = os.preadv(fd, [view[at : at + 16 * _CHUNK]], offset + _RECORD.size + at)
            if not count:
                raise OSError("it is shorter now")
            at += count
    finally:
        os.close(fd)
    return head, payload


def _scan(
    file: BinaryIO, log: _Log, places: dict[bytes, tuple[int, int, int]], number: int
) -> FileReport:
    """Enter every whole record of a log into ``places``."""
    size = os.fstat(file.fileno()).st_size
    version, nonce = _read_header(file)
    if version is not None and version > _VERSION:
        return FileReport(
            path=log.path,
            problem=f"a newer weft wrote it (format {version}, this reads {_VERSION}); not used",
        )
    records = 0
    damage: list[Damage] = []
    damaged = 0

    def skipped(start: int, end: int, torn: bool) -> None:
        nonlocal damaged
        damaged += 1
        if len(damage) < 100:
            damage.append(Damage(offset=start, length=end - start, torn=torn))

    at = _HEADER_SIZE if nonce is not None else 0
    bad_from: int | None = None
    while at < size:
        found = _read_record(file, at, size, nonce)
        if found is None:
            bad_from = at if bad_from is None else bad_from
            at = _next_marker(file, at + 1, size, nonce)
            continue
        if bad_from is not None:
            skipped(bad_from, at, torn=False)
            bad_from = None
        key, length, kind, nonce = found
        records += 1
        if kind == _VALUE:
            places[key] = (number, at, length)
        at += _RECORD.size + length
    if bad_from is not None:
        skipped(bad_from, size, torn=True)
    problem = ""
    if nonce is None and size:
        problem = (
            "it is no checkpoint of weft, or damaged from end to end; nothing is taken from it"
        )
    return FileReport(
        path=log.path, records=records, damage=tuple(damage), damaged=damaged, problem=problem
    )


def _read_header(file: BinaryIO) -> tuple[int | None, bytes | None]:
    """Version and nonce, or ``None`` for both if the header is not whole."""
    head = file.read(_HEADER_SIZE)
    if len(head) < _HEADER_SIZE or zlib.crc32(head[:-4]) != int.from_bytes(head[-4:], "little"):
        return None, None
    magic, version, _, nonce = _HEADER.unpack(head[:-4])
    return (version, nonce) if magic == _MAGIC else (None, None)


def _read_record(
    file: BinaryIO, at: int, size: int, nonce: bytes | None
) -> tuple[bytes, int, int, bytes] | None:
    """Key, length of payload, kind and nonce of the record at ``at``, if there is a whole one."""
    file.seek(at)
    head = file.read(_RECORD.size)
    if len(head) < _RECORD.size:
        return None
    marker, own, stored, length, kind, key = _RECORD.unpack(head)
    if marker != _MARKER or (nonce is not None and own != nonce):
        return None
    if length > size - at - _RECORD.size:
        return None
    crc = _crc_of_head(head)
    left = length
    while left:
        chunk = file.read(min(left, _CHUNK))
        if not chunk:
            return None
        crc = zlib.crc32(chunk, crc)
        left -= len(chunk)
    return (key, length, kind, own) if crc == stored else None


def _next_marker(file: BinaryIO, at: int, size: int, nonce: bytes | None) -> int:
    """Where the next record may begin, at ``at`` or later; ``size`` if nowhere."""
    wanted = _MARKER + (nonce or b"")
    file.seek(at)
    tail = b""
    while chunk := file.read(_CHUNK):
        block = tail + chunk
        found = block.find(wanted)
        if found >= 0:
            return at - len(tail) + found
        at += len(chunk)
        tail = block[-(len(wanted) - 1) :]
    return size


# ---------------------------------------------------------------------------------------- both


class _Pickle(Serializer):
    """What results are written with first: small, quick, and readable by every Python since 3.8."""

    id = "pickle5"

    def pack(self, value: Any) -> Sequence[Buffer]:
        return (pickle.dumps(value, protocol=5),)

    def unpack(self, buffers: Sequence[Buffer]) -> Any:
        return pickle.loads(buffers[0])


class _Dill(Serializer):
    """For what pickle refuses: functions and classes of the main script, lambdas."""

    id = "dill"

    def pack(self, value: Any) -> Sequence[Buffer]:
        import dill

        return (dill.dumps(value, protocol=5),)

    def unpack(self, buffers: Sequence[Buffer]) -> Any:
        import dill

        return dill.loads(buffers[0])


def open_checkpoint(
    run_dir: Path,
    run_folder: Path,
    *,
    serializer: Serializer | None,
    recorded: Callable[[Sequence[TaskId]], None],
    notice: Callable[[Literal["info", "warning"], str], None],
) -> tuple[CheckpointIndex, CheckpointWriter]:
    """What earlier runs in ``run_dir`` have left, and the log of this one.

    Args:
        run_dir: holds the folders of all runs.
        run_folder: that of this run.
        serializer: the only one to be used; pickle, then dill, when ``None``. With one that only
            carries data, loading a log cannot run code.
        recorded: see ``CheckpointWriter``.
        notice: told what people should know, from several threads.

    Raises:
        CheckpointError: an earlier log cannot be trusted, or that of this run cannot be written.
    """
    serializers = (_Pickle(), _Dill()) if serializer is None else (serializer,)

    def warn(text: str) -> None:
        notice("warning", text)

    logs = earlier_logs(run_dir, current=run_folder)
    index = load(logs, serializers=serializers, run_dir=run_dir, warn=warn)
    for line in index.report.lines():
        warn(line)
    if logs:
        notice("info", f"{len(index)} results of {len(logs)} earlier runs are known.")
    path = run_folder / FILE_NAME
    writer = CheckpointWriter(path, serializers=serializers, recorded=recorded, warn=warn)
    return index, writer
