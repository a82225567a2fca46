"""The directory of a zip archive, kept as bytes: what is not understood is handed on as it is.

prefix | header data | header data | … | directory: record record … | [zip64 end] end comment
         ▲ start       ▲ start           ▲ begin

A record holds the start of its entry, counted from the end of the prefix (``shift``), which
programs that unpack themselves have. zipfile reads the archive; it cannot take an entry out, and
writes names that are not in UTF-8 otherwise than they were, so records are written here.

The format: APPNOTE.TXT of PKWARE, sections 4.3 (records) and 4.5.3 (zip64).
"""

import struct
import zipfile
from collections.abc import Collection, Iterable, Iterator
from typing import BinaryIO, Final

import attrs

from weft_zip.trouble import Trouble

__all__ = [
    "Directory",
    "Entry",
    "Layout",
    "clashes",
    "directory_of",
    "ending",
    "placed",
    "without",
]

_RECORD: Final = struct.Struct("<4s6H3L5H2L")
_LOCAL: Final = 30
"""Bytes of a header, without its name."""
_END64: Final = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64: Final = struct.Struct("<4sLQL")
_END: Final = struct.Struct("<4s4H2LH")
_SHORT: Final = 0xFFFF
_LONG: Final = 0xFFFFFFFF
"""In place of a number that is in the zip64 field instead."""
_ZIP64: Final = 1
_NEEDS_ZIP64: Final = 45
"""4.5: the version of the format that a reader must know."""


@attrs.frozen
class Entry:
    """An entry of an archive.

    Attributes:
        name: as zipfile reads it, zero bytes included.
        start: where its header begins, from the start of the file.
        packed: bytes of its data.
        record: its record in the directory.
    """

    name: str
    start: int
    packed: int
    record: bytes


@attrs.frozen
class Directory:
    """What an archive holds.

    Attributes:
        entries: in the order of their records.
        begin: where the directory begins, from the start of the file.
        shift: what is added to the numbers in records to count from the start of the file.
        comment: of the archive.
    """

    entries: tuple[Entry, ...] = ()
    begin: int = 0
    shift: int = 0
    comment: bytes = b""


@attrs.frozen
class Layout:
    """How an archive is written anew.

    Attributes:
        spans: the parts of the old file that stay, each from and to.
        entries: those that stay, where they will be.
    """

    spans: tuple[tuple[int, int], ...]
    entries: tuple[Entry, ...]


def directory_of(archive: zipfile.ZipFile, file: BinaryIO) -> Directory:
    """The directory of an archive that zipfile has understood.

    Args:
        archive: opened for reading.
        file: the file of it.

    Raises:
        Trouble: the records are not where zipfile has read them.
    """
    file.seek(archive.start_dir)
    data = file.read()
    entries: list[Entry] = []
    at = 0
    for info in archive.infolist():
        fixed = data[at : at + _RECORD.size]
        if len(fixed) < _RECORD.size or not fixed.startswith(b"PK\1\2"):
            raise Trouble("The directory of the archive is damaged.", "Make the archive anew.")
        fields = _RECORD.unpack(fixed)
        size = _RECORD.size + sum(fields[10:13])
        record = data[at : at + size]
        entries.append(Entry(info.orig_filename, info.header_offset, info.compress_size, record))
        at += size
    shift = entries[0].start - _offset_in(entries[0].record) if entries else 0
    return Directory(tuple(entries), archive.start_dir, shift, archive.comment)


def clashes(there: Iterable[str], new: Iterable[str]) -> dict[str, str]:
    """New members that cannot be unpacked beside another, as ``a/b`` beside a file ``a``.

    Args:
        there: the names of an archive; those of folders end with a slash.
        new: the names of members to be joined to it, none of them twice.

    Returns:
        For each that is not to be joined, the name that is in its way.
    """
    files: set[str] = set()
    folders: dict[str, str] = {}
    found: dict[str, str] = {}

    def add(name: str) -> None:
        files.add(name)
        for folder in _folders(name):
            folders.setdefault(folder, name)

    for name in there:
        add(name)
    for name in new:
        other = folders.get(name) or next((one for one in _folders(name) if one in files), None)
        if other is None:
            add(name)
        else:
            found[name] = other
    return found


def _folders(name: str) -> Iterator[str]:
    """``a`` and ``a/b`` of ``a/b/c``; that of ``a/`` is ``a``."""
    at = name.find("/")
    while at > 0:
        yield name[:at]
        at = name.find("/", at + 1)


def without(directory: Directory, names: Collection[str]) -> Layout:
    """The archive without the entries of those names, and without the room that they took.

    Raises:
        Trouble: an entry that is to stay shares bytes with others.
    """
    stay = [entry for entry in directory.entries if entry.name not in names]
    if len(stay) == len(directory.entries):
        return Layout(((0, directory.begin),), directory.entries)
    needed = {entry.start for entry in stay}
    starts = sorted({entry.start for entry in directory.entries})
    spans = [(0, starts[0])]
    becomes: dict[int, int] = {}
    ends: dict[int, int] = {}
    size = starts[0]
    for start, end in zip(starts, [*starts[1:], directory.begin], strict=True):
        if start in needed:
            becomes[start], ends[start] = size, end
            spans.append((start, end))
            size += end - start
    for entry in stay:
        if entry.start + _LOCAL + entry.packed > ends[entry.start]:
            raise Trouble(
                f"The member {entry.name!r} shares bytes with another, so that neither can be "
                "replaced.",
                "Make the archive anew with another program.",
            )
    moved = tuple(
        attrs.evolve(
            entry,
            start=becomes[entry.start],
            record=placed(entry.record, becomes[entry.start] - directory.shift),
        )
        for entry in stay
    )
    return Layout(tuple(spans), moved)


def placed(record: bytes, offset: int) -> bytes:
    """The record of an entry that begins at that offset."""
    fields = list(_RECORD.unpack(record[: _RECORD.size]))
    length, extra_length = fields[10], fields[11]
    if fields[16] != _LONG and offset < _LONG:
        fields[16] = offset
        return _RECORD.pack(*fields) + record[_RECORD.size :]
    after = _RECORD.size + length
    name, extra = record[_RECORD.size : after], record[after : after + extra_length]
    old, others = _zip64_in(extra)
    sizes = 8 * fields[8:10].count(_LONG)
    disk = old[sizes + (8 if fields[16] == _LONG else 0) :]
    new = old[:sizes] + struct.pack("<Q", offset) + disk
    extra = struct.pack("<2H", _ZIP64, len(new)) + new + others
    fields[2] = max(fields[2], _NEEDS_ZIP64)
    fields[11], fields[16] = len(extra), _LONG
    return _RECORD.pack(*fields) + name + extra + record[after + extra_length :]


def ending(count: int, size: int, begin: int, shift: int, comment: bytes) -> bytes:
    """What stands after the records.

    Args:
        count: of records.
        size: their bytes.
        begin: where they begin, from the start of the file.
        shift: as in ``Directory``.
        comment: of the archive.
    """
    offset = begin - shift
    made = b""
    if count >= _SHORT or size >= _LONG or offset >= _LONG:
        made += _END64.pack(
            b"PK\6\6",
            _END64.size - 12,
            _NEEDS_ZIP64,
            _NEEDS_ZIP64,
            0,
            0,
            count,
            count,
            size,
            offset,
        )
        made += _LOCATOR64.pack(b"PK\6\7", 0, offset + size, 1)
    few, small, near = min(count, _SHORT), min(size, _LONG), min(offset, _LONG)
    return made + _END.pack(b"PK\5\6", 0, 0, few, few, small, near, len(comment)) + comment


def _offset_in(record: bytes) -> int:
    fields = _RECORD.unpack(record[: _RECORD.size])
    offset: int = fields[16]
    if offset != _LONG:
        return offset
    after = _RECORD.size + fields[10]
    wide, _ = _zip64_in(record[after : after + fields[11]])
    at = 8 * fields[8:10].count(_LONG)
    found: int = struct.unpack("<Q", wide[at : at + 8])[0] if len(wide) >= at + 8 else offset
    return found


def _zip64_in(extra: bytes) -> tuple[bytes, bytes]:
    """The content of the zip64 field, and all other fields."""
    others, found, at = b"", b"", 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<2H", extra, at)
        field = extra[at : at + 4 + size]
        if kind == _ZIP64:
            found = field[4:]
        else:
            others += field
        at += 4 + size
    return found, others + extra[at:]
