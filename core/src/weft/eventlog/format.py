"""The format of event logs: events as chunks of bytes, and bytes as events again. Pure.

    file    one line of text that says what this is, then chunks
    chunk   mark, number, length, CRC-32 of the body, CRC-32 of these four; then the body
    body    which event is of which class; then for each class its fields, each a column

Every chunk stands for itself: the names of its classes and of their fields are in it. So a chunk
can be cut, changed or missing, and all others are read. Whoever reads looks for the next mark and
goes on there; the numbers say how many chunks are missing. ``docs/reference/event-log-format.md``
describes every byte.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, compress, repeat
from operator import attrgetter, eq, itemgetter
from typing import Any, Final

from weft.eventlog.columns import (
    Budget,
    Damaged,
    Reader,
    Symbol,
    TooLarge,
    put_column,
    put_text,
)
from weft.values.events import SHORT_FORMS
from weft.values.message import fields_of, message

__all__ = [
    "HEADER_AT_MOST",
    "VERSION",
    "Body",
    "Damaged",
    "Header",
    "Splitter",
    "Table",
    "chunks_of",
    "decode",
    "header_line",
    "read_header",
]

VERSION: Final = "1.0"
"""Of the format: files of another major are not read, a minor adds kinds of columns."""
MARK: Final = b"\xf7wE1"
"""The beginning of a chunk; the last character is the major."""
HEADER_AT_MOST: Final = 4096
"""Bytes of the first line."""
BODY_AT_MOST: Final = 16 * 2**20
"""Bytes of one body."""
EVENTS_AT_MOST: Final = 2**16
"""Events of one chunk."""
CELLS_AT_MOST: Final = 2**22
"""Values of one chunk, those inside of sequences among them."""
ROOM_AT_MOST: Final = 4 * BODY_AT_MOST
"""Bytes that are made of the packed ones of one chunk."""
TEXT_AT_MOST: Final = 2**16
"""Characters of a text, and values of a sequence, that are kept of an event which would be larger
than a chunk may be."""

_MAJOR: Final = 1
_FIRST: Final = itemgetter(0)
_HEAD: Final = struct.Struct("<4sIII")
_CRC: Final = struct.Struct("<I")
_COUNTS: Final = struct.Struct("<IH")
_SHAPE: Final = struct.Struct("<HI")
_HEAD_SIZE: Final = _HEAD.size + _CRC.size
WORDS: Final = b"weft event log "
_LINE: Final = re.compile(rb"weft event log (\d{1,9})\.(\d{1,9}) ([0-9a-f]{8}) (\{.*\})\n")


# ------------------------------------------------------------------------------------------ header


@message(eq=True)
class Header:
    """The first line of a file.

    Attributes:
        version: of the format, as major and minor.
        about: what else it says: ``events``, the version of the set of events; ``weft``, the
            version that wrote it; ``run``, the run's id.
    """

    version: tuple[int, int]
    about: Mapping[str, Any]


def header_line(about: Mapping[str, Any]) -> bytes:
    """The first line of a file."""
    said = json.dumps(dict(about)).encode()
    return b"%s%s %08x %s\n" % (WORDS, VERSION.encode(), zlib.crc32(said + VERSION.encode()), said)


def read_header(data: bytes) -> Header | None:
    """What the first line says; ``None`` where it is damaged, or is none.

    Args:
        data: the beginning of the file: its first line, or ``HEADER_AT_MOST`` bytes.
    """
    found = _LINE.match(data)
    if found is None:
        return None
    major, minor, crc, said = found.groups()
    if int(crc, 16) != zlib.crc32(said + major + b"." + minor):
        return None
    try:
        about = json.loads(said)
    except ValueError:
        return None
    return Header((int(major), int(minor)), about)


# ----------------------------------------------------------------------------------------- writing


def chunks_of(events: Sequence[object], number: int = 0) -> list[bytes]:
    """Events as chunks: one, or several where they are too many or too large for that.

    Args:
        events: in the order in which they are to be read. Each is a message
            (:mod:`weft.values.message`), or a *row*: a tuple of such a class and the values of its
            fields, in their order, of which the last ones may be left out; or the name of a short
            form, and its values.
        number: of the first chunk.

    Returns:
        The chunks, numbered upward from ``number``.
    """
    if not events:
        return []
    if len(events) <= EVENTS_AT_MOST:
        with suppress(TooLarge):
            body = _body(events)
            if len(body) <= BODY_AT_MOST:
                return [_chunk(body, number)]
    if len(events) == 1:
        return [_chunk(_body([_smaller(events[0])]), number)]
    half = len(events) // 2
    first = chunks_of(events[:half], number)
    return first + chunks_of(events[half:], number + len(first))


def _chunk(body: bytes, number: int) -> bytes:
    head = _HEAD.pack(MARK, number & 0xFFFFFFFF, len(body), zlib.crc32(body))
    return head + _CRC.pack(zlib.crc32(head)) + body


def _body(events: Sequence[object]) -> bytes:
    budget = Budget(CELLS_AT_MOST, ROOM_AT_MOST)
    order, groups = _grouped_rows(events) or _grouped(events)
    parts = [_COUNTS.pack(len(events), len(groups)), put_column(order, budget)]
    parts += [_table(kind, given, group, budget) for (kind, given), group in groups.items()]
    return b"".join(parts)


Groups = tuple[list[int], dict[tuple[Any, int], Sequence[Any]]]
"""For each event the number of its group, and the groups: by the class, and by how long the rows
are, 0 for events that are no rows."""


def _grouped_rows(events: Sequence[Any]) -> Groups | None:
    """The groups of a batch of rows that are equally long if of one kind; else ``None``.

    Which is what a busy run makes, so it goes without a loop over them.
    """
    if set(map(type, events)) != {tuple}:
        return None
    kinds = list(map(_FIRST, events))
    numbers = {kind: number for number, kind in enumerate(dict.fromkeys(kinds))}
    groups: dict[tuple[Any, int], Sequence[Any]] = {}
    for kind in numbers:
        rows = list(compress(events, map(eq, kinds, repeat(kind)))) if len(numbers) > 1 else events
        lengths = set(map(len, rows))
        if len(lengths) > 1:
            return None
        groups[kind, lengths.pop()] = rows
    return list(map(numbers.__getitem__, kinds)), groups


def _grouped(events: Sequence[Any]) -> Groups:
    groups: dict[tuple[Any, int], Any] = {}
    numbers: dict[tuple[Any, int], int] = {}
    order = []
    for event in events:
        key = (event[0], len(event)) if type(event) is tuple else (type(event), 0)
        order.append(numbers.setdefault(key, len(numbers)))
        groups.setdefault(key, []).append(event)
    return order, groups


def _table(kind: Any, given: int, events: Sequence[Any], budget: Budget) -> bytes:
    """The events of one kind; ``given`` is how long their rows are, 0 where they are no rows."""
    columns: Sequence[Sequence[Any]]
    if given:
        # All values in one list, of which a column is every so manieth: zip() would make an
        # iterator for each row, which is work for the garbage collector.
        values = list(chain.from_iterable(events))
        columns = [values[place::given] for place in range(1, given)]
        short = SHORT_FORMS.get(kind) if type(kind) is str else None
        names = short.fields if short is not None else fields_of(kind)[: given - 1]
        name = kind if short is not None else kind.__name__
    else:
        name, names = kind.__name__, fields_of(kind)
        columns = list(zip(*map(_values(names), events), strict=True))
    parts = [put_text(name), _SHAPE.pack(len(names), len(events))]
    for field, column in zip(names, columns, strict=True):
        parts.append(put_text(field))
        parts.append(put_column(column, budget))
    return b"".join(parts)


def _values(names: Sequence[str]) -> Callable[[Any], Sequence[Any]]:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda event: [getattr(event, name) for name in names]


def _smaller(event: Any) -> tuple[Any, ...]:
    """The event as a row, without what makes it larger than a chunk may be."""
    if type(event) is tuple:
        kind, *values = event
    else:
        kind = type(event)
        values = [getattr(event, name) for name in fields_of(kind)]
    return (kind, *map(_cut, values))


def _cut(value: Any) -> Any:
    if isinstance(value, (str, bytes)):
        return value[:TEXT_AT_MOST]
    if isinstance(value, (tuple, list)):
        return tuple(value[:TEXT_AT_MOST]) if _plain(value) else str(value)[:TEXT_AT_MOST]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(value)[:TEXT_AT_MOST]


def _plain(values: Sequence[Any]) -> bool:
    return all(isinstance(value, (int, float)) for value in values)


# ----------------------------------------------------------------------------------------- reading


@message
class Table:
    """The events of one class in a chunk.

    Attributes:
        kind: the name of the class.
        fields: the names of its fields.
        columns: for each field, the values.
        count: how many events.
    """

    kind: str
    fields: tuple[str, ...]
    columns: Sequence[Sequence[Any]]
    count: int


@message
class Body:
    """A chunk as it is read.

    Attributes:
        order: for each event, the index of its table, from which the next one is taken.
        tables: the classes.
    """

    order: Sequence[int]
    tables: Sequence[Table]


def decode(body: bytes, symbols: Callable[[str, str], Any] = Symbol) -> Body:
    """The events of a body.

    Args:
        body: of one chunk.
        symbols: makes a member of an enumeration, of its name and the member's.

    Raises:
        Damaged: it is none.
    """
    if len(body) > BODY_AT_MOST:
        raise Damaged("it is longer than a chunk may be")
    reader = Reader(body, cells=CELLS_AT_MOST, room=ROOM_AT_MOST, symbols=symbols)
    count, number = reader.u32(), reader.u16()
    if count > EVENTS_AT_MOST:
        raise Damaged("it has more events than a chunk may have")
    order = reader.column(count)
    tables = [_read_table(reader) for _ in range(number)]
    for index, table in enumerate(tables):
        if order.count(index) != table.count:
            raise Damaged("the events of a class are not as many as is said")
    if sum(table.count for table in tables) != count:
        raise Damaged("an event is of no class")
    return Body(order, tables)


def _read_table(reader: Reader) -> Table:
    kind, fields, count = reader.text(), reader.u16(), reader.u32()
    names, columns = [], []
    for _ in range(fields):
        names.append(reader.text())
        columns.append(reader.column(count))
    return Table(kind, tuple(names), columns, count)


class Splitter:
    """Takes a file apart into the bodies of its chunks, whatever has happened to it.

    Feed it with the bytes after the header as they come. What is damaged is passed over and
    counted.

    Attributes:
        skipped: bytes that belong to no chunk that is whole.
        missing: chunks that are not there, by the numbers of the others.
        chunks: chunks that were whole.
        at: how many bytes came before those that are kept: all of them is dealt with.
    """

    def __init__(self) -> None:
        self.skipped = self.missing = self.chunks = self.at = 0
        self._kept = b""
        self._next = 0

    @property
    def waiting(self) -> int:
        """How many bytes are kept, because their chunk is not all there yet."""
        return len(self._kept)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes. Yields the bodies that are complete now."""
        return self._split(self._kept + data if self._kept else data, final=False)

    def finish(self) -> Iterator[bytes]:
        """Take it that nothing more will come. Yields bodies behind what was cut."""
        return self._split(self._kept, final=True)

    def _split(self, data: bytes, *, final: bool) -> Iterator[bytes]:
        at = 0
        self._kept = b""
        try:
            while True:
                found = data.find(MARK, at)
                if found < 0:
                    # The beginning of a mark may be there.
                    found = len(data) if final else max(at, len(data) - len(MARK) + 1)
                    self.skipped += found - at
                    at = found
                    return
                self.skipped += found - at
                at = found
                size = self._whole(data, at)
                if size is None:
                    if not final:
                        return
                    size = 0
                if size:
                    body = data[at + _HEAD_SIZE : at + size]
                    at += size
                    yield body
                else:
                    at += 1
                    self.skipped += 1
        finally:
            self._kept = data[at:]
            self.at += at

    def _whole(self, data: bytes, at: int) -> int | None:
        """The size of the chunk here; 0 if there is none, ``None`` if it is not all here."""
        if len(data) - at < _HEAD_SIZE:
            return None
        number: int
        length: int
        _mark, number, length, crc = _HEAD.unpack_from(data, at)
        (head_crc,) = _CRC.unpack_from(data, at + _HEAD.size)
        if head_crc != zlib.crc32(data[at : at + _HEAD.size]) or length > BODY_AT_MOST:
            return 0
        end = at + _HEAD_SIZE + length
        if end > len(data):
            return None
        if zlib.crc32(memoryview(data)[at + _HEAD_SIZE : end]) != crc:
            return 0
        self.chunks += 1
        gap = (number - self._next) & 0xFFFFFFFF
        if gap < 0x80000000:
            self.missing += gap
        self._next = (number + 1) & 0xFFFFFFFF
        return _HEAD_SIZE + length
