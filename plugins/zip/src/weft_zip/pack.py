"""An archive that is written: members packed each for itself, and then joined to what was there.

    pack   what a task made ──deflate──▶ an archive of one member, in a file without a name
    merge  old archive ─┐
           packed ──────┼─bytes──▶ .HASH.part ──rename──▶ archive
           packed ──────┘

Packing takes the time and needs no lock. Merging copies bytes, where the file system can do it by
sharing them, and nobody sees less than a whole archive. What a killed process leaves is one part,
which the next one removes; a file without a name is gone with its process.
"""

import contextlib
import errno
import os
import stat
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final, Self, cast

import attrs

from weft.data.urls import part_for
from weft_zip.archive import PIECE, Archive, opened
from weft_zip.directory import Directory, Entry, clashes, directory_of, ending, placed, without
from weft_zip.settings import Zip
from weft_zip.trouble import Trouble

__all__ = ["Packed", "Shelf", "merge", "pack", "part_of"]

_FIRST, _LAST = (1980, 1, 1, 0, 0, 0), (2107, 12, 31, 23, 59, 58)
"""The times that the format knows."""

_METHODS: Final = {"stored": zipfile.ZIP_STORED, "deflated": zipfile.ZIP_DEFLATED}
_NO_SHARING: Final = frozenset(
    {errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.ETXTBSY}
)
_STEP: Final = 64 * 2**20
"""Bytes of an archive that are copied before anybody is asked whether to go on."""


@attrs.frozen(eq=False)
class Packed:
    """A member, ready to be joined to an archive.

    Attributes:
        file: where it is, with others; it has no name.
        entry: of the member, where it is in that file.
        size: its bytes, with the header.
    """

    file: BinaryIO
    entry: Entry
    size: int


def part_of(path: Path) -> Path:
    """The name under which an archive is written before it is put in its place."""
    return path.with_name(part_for(path.name, "zip"))


def pack(
    made: BinaryIO, member: str, into: BinaryIO, settings: Zip, heard: Callable[[int, int], None]
) -> Packed:
    """Pack a file.

    Args:
        made: the file, at its beginning.
        member: the name that it gets.
        into: it is appended to that file, or not at all.
        settings: how it is packed.
        heard: told the bytes so far, and all of them; what it raises ends the work.

    Raises:
        Trouble: it changed meanwhile.
        OSError: it cannot be read or written.
    """
    before = os.fstat(made.fileno())
    info = zipfile.ZipInfo(member, _time_of(before))
    info.compress_type = _METHODS[settings.compression]
    info.create_system = 3
    info.external_attr = (stat.S_IFREG | stat.S_IMODE(before.st_mode) & 0o777) << 16
    info.file_size = before.st_size  # by this zipfile knows whether it needs fields for large files
    begin = end = into.seek(0, os.SEEK_END)
    try:
        _pack(made, info, into, heard)
        _must_have_stayed(made, before)
        with zipfile.ZipFile(into) as alone:
            directory = directory_of(alone, into)
        end = directory.begin
    finally:
        into.truncate(end)
    return Packed(into, directory.entries[0], end - begin)


def _pack(
    made: BinaryIO,
    info: zipfile.ZipInfo,
    into: BinaryIO,
    heard: Callable[[int, int], None],
) -> None:
    done, size = 0, info.file_size
    heard(done, size)
    with (
        zipfile.ZipFile(into, "w") as archive,
        archive.open(info, "w") as packing,
    ):
        while piece := made.read(min(PIECE, size - done)):
            packing.write(piece)
            done += len(piece)
            heard(done, size)


def _must_have_stayed(made: BinaryIO, before: os.stat_result) -> None:
    after = os.fstat(made.fileno())
    read = made.tell()
    if (read, after.st_size, after.st_mtime_ns) != (
        before.st_size,
        before.st_size,
        before.st_mtime_ns,
    ):
        raise Trouble(
            "What the task made was changed while it was packed.",
            "Let nothing write it when the task has ended.",
            again=True,
        )


def _time_of(facts: os.stat_result) -> tuple[int, int, int, int, int, int]:
    """The time of its last change, by the clock on the wall, as the format has it."""
    at = time.localtime(facts.st_mtime)
    when = (at.tm_year, at.tm_mon, at.tm_mday, at.tm_hour, at.tm_min, min(at.tm_sec, 59))
    return min(max(when, _FIRST), _LAST)


class Shelf:
    """A file without a name on the file system of an archive, made when it is needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def file(self) -> BinaryIO:
        """The file."""
        if self._file is None:
            self._file = _nameless(self._folder)
        return self._file

    def handed_on(self) -> BinaryIO:
        """The file, which is now closed by who gets it."""
        file, self._file = self.file(), None
        return file


def _nameless(folder: Path) -> BinaryIO:
    with contextlib.ExitStack() as undo:
        file = undo.enter_context(tempfile.TemporaryFile(dir=folder, prefix=".", suffix=".part"))
        undo.pop_all()
    return cast("BinaryIO", file)


def merge(
    path: Path, members: Sequence[Packed], *, sync: bool, beat: Callable[[], None]
) -> Mapping[str, Trouble]:
    """Join members to an archive, in place of those of their names; who calls it holds its lock.

    Args:
        path: the archive, links resolved; it is made if it is not there.
        members: of one name, the last counts.
        sync: whether it is on the disk when this returns.
        beat: called now and then; what it raises ends the work.

    Returns:
        By the names of those that were left out, why.

    Raises:
        Trouble: what is there is no archive that can be written anew, or it was changed meanwhile.
        OSError: it cannot be written.
    """
    part = part_of(path)
    part.unlink(missing_ok=True)
    newest = {one.entry.name: one for one in members}
    try:
        with _old(path) as old:
            directory = Directory() if old is None else directory_of(old.zip, old.file)
            refused = _refused(directory, newest)
            if len(refused) == len(newest):
                return refused
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            # As long as it is written, one that replaces another is opened to nobody else.
            mode = 0o666 if old is None else 0o600
            with os.fdopen(os.open(part, flags, mode), "wb") as out:
                joined = [one for name, one in newest.items() if name not in refused]
                _write(out, old, directory, joined, beat)
                if old is not None:
                    _take_after(out.fileno(), old.facts)
                if sync:
                    os.fsync(out.fileno())
            _must_be_as_it_was(path, old)
            part.replace(path)
        if sync:
            _sync(path.parent)
        return refused
    finally:
        part.unlink(missing_ok=True)


def _refused(directory: Directory, names: Collection[str]) -> dict[str, Trouble]:
    there = (entry.name for entry in directory.entries)
    return {
        name: Trouble(
            f"The archive has a member {other!r}, and one of the two would have to be a folder and "
            "a file.",
            "Give one of them another name, or write them into archives of their own.",
        )
        for name, other in clashes(there, names).items()
    }


@contextlib.contextmanager
def _old(path: Path) -> Iterator[Archive | None]:
    with contextlib.ExitStack() as stack:
        try:
            old = stack.enter_context(opened(path))
        except FileNotFoundError:
            old = None
        yield old


def _write(
    out: BinaryIO,
    old: Archive | None,
    directory: Directory,
    members: Sequence[Packed],
    beat: Callable[[], None],
) -> None:
    layout = without(directory, {one.entry.name for one in members})
    if old is not None:
        for begin, end in layout.spans:
            _copy(old.file, begin, end, out, beat)
    records = [entry.record for entry in layout.entries]
    for one in members:
        records.append(placed(one.entry.record, out.tell() - directory.shift))
        _copy(one.file, one.entry.start, one.entry.start + one.size, out, beat)
    begin = out.tell()
    whole = b"".join(records)
    out.write(whole)
    out.write(ending(len(records), len(whole), begin, directory.shift, directory.comment))
    out.flush()


def _copy(source: BinaryIO, begin: int, end: int, out: BinaryIO, beat: Callable[[], None]) -> None:
    """Append a part of a file to another; both stand behind it then."""
    while begin < end:
        beat()
        out.flush()
        count = min(end - begin, _STEP)
        copied = _shared(source, begin, count, out)
        if not copied:
            source.seek(begin)
            out.writelines(_pieces(source, count))
            copied = count
        begin += copied
        out.seek(0, os.SEEK_END)


def _shared(source: BinaryIO, begin: int, count: int, out: BinaryIO) -> int:
    """Have the system copy, which may share the bytes. Returns how many; 0 where it cannot."""
    if sys.platform != "linux":
        return 0
    try:
        return os.copy_file_range(source.fileno(), out.fileno(), count, begin)
    except OSError as error:
        if error.errno in _NO_SHARING:
            return 0
        raise


def _pieces(source: BinaryIO, count: int) -> Iterator[bytes]:
    while count:
        piece = source.read(min(count, PIECE))
        if not piece:
            raise Trouble("The archive was cut short while it was read.", again=True)
        count -= len(piece)
        yield piece


def _take_after(file: int, facts: os.stat_result) -> None:
    """Give a file the owner, the group and the mode of the one that it replaces."""
    mine = os.fstat(file)
    if (mine.st_uid, mine.st_gid) != (facts.st_uid, facts.st_gid):
        with contextlib.suppress(PermissionError):  # then it is of who writes it
            os.fchown(file, facts.st_uid, facts.st_gid)
    os.fchmod(file, stat.S_IMODE(facts.st_mode))


def _must_be_as_it_was(path: Path, old: Archive | None) -> None:
    try:
        now = path.stat()
    except FileNotFoundError:
        same = old is None
    else:
        same = old is not None and os.path.samestat(now, old.facts)
    if not same:
        raise Trouble(
            f"{str(path)!r} was replaced or removed by a program that does not take turns.",
            "Let nothing else write the archive while tasks do.",
            again=True,
        )
    if old is not None:
        old.must_be_unchanged()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
