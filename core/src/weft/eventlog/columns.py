"""A column of values as bytes, and bytes as a column of values. Pure.

The events of a batch are written column by column: all times, then all numbers, then all names.
A column is a byte that says how it is written, and then its values. What is equal in all rows is
written once, and a column of numbers is a machine's own array: so most of a batch goes through a
handful of calls of the standard library, not through a loop.

What is written is data: ``None``, truth values, numbers, texts, bytes, sequences, mappings, and the
members of enumerations by their names. Anything else is written as its text. Reading never makes
objects of other classes, and takes no more memory than :class:`Reader` is given.
"""

from __future__ import annotations

import enum
import os
import struct
import sys
import zlib
from array import array
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, chain
from typing import Any, ClassVar, Final

from weft.values.message import message

__all__ = ["Budget", "Damaged", "Reader", "Symbol", "TooLarge", "label", "put_column", "put_text"]

NONE: Final = 0
BOOLEANS: Final = 1
FLOATS: Final = 2
FLOAT_SAME: Final = 3
UNSIGNED_8: Final = 4
UNSIGNED_16: Final = 5
UNSIGNED_32: Final = 6
SIGNED_64: Final = 7
INTEGER_SAME: Final = 8
LARGE_INTEGERS: Final = 9
TEXTS: Final = 10
TEXT_SAME: Final = 11
TEXT_TABLE: Final = 12
BYTES: Final = 13
SEQUENCES: Final = 14
MAPPINGS: Final = 15
SYMBOLS: Final = 16
MIXED: Final = 17
PACKED: Final = 18

_U16, _U32, _I64, _F64 = (struct.Struct(f"<{code}") for code in "HIqd")
_CODES: Final = {UNSIGNED_8: "B", UNSIGNED_16: "H", UNSIGNED_32: "I", SIGNED_64: "q"}
_DEEP: Final = 12
"""Levels of sequences and mappings inside one another; below that they are written as text."""
_DEEPEST: Final = 4 * _DEEP
"""Columns inside one another that are read: a level of sequences may take several."""
_PACK_FROM: Final = 1024
"""Bytes of text from which it is tried to make them fewer."""
_NAME: Final = 1000
"""Characters of a name that are kept."""
_SWAP: Final = sys.byteorder == "big"


class Damaged(ValueError):
    """These bytes are not what a column is written as."""


class TooLarge(ValueError):
    """There are more values than whoever reads them would take."""


@message
class Symbol:
    """A member of an enumeration that this program does not know.

    Attributes:
        kind: the enumeration's name.
        label: the member's.
    """

    kind: str
    label: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Symbol) and (self.kind, self.label) == (other.kind, other.label)

    def __hash__(self) -> int:
        return hash((self.kind, self.label))

    def __str__(self) -> str:
        return self.label


# ----------------------------------------------------------------------------------------- writing


def put_text(text: str) -> bytes:
    """A short text, such as a name: its length in two bytes, and it."""
    data = _encoded(text[:_NAME])
    return _U16.pack(len(data)) + data


class Budget:
    """What may still be written, so that whoever reads it will take it.

    Args:
        cells: values that the reader takes, which counts each of them four times at most.
        room: bytes that it makes of packed ones.
    """

    def __init__(self, cells: int, room: int) -> None:
        self._cells, self._room = cells // 4, room

    def pay(self, cells: int, room: int = 0) -> None:
        """Take off so much.

        Raises:
            TooLarge: there is no more.
        """
        self._cells -= cells
        self._room -= room
        if self._cells < 0 or self._room < 0:
            raise TooLarge


def put_column(column: Sequence[Any], budget: Budget, depth: int = 0) -> bytes:
    """The column as bytes.

    Raises:
        TooLarge: the budget is used up.
    """
    budget.pay(len(column))
    if not column:
        return _tag(NONE)
    # What most columns are is told by their first value, and by counting how often it is there.
    first, count = column[0], len(column)

    if first is None and column.count(None) == count:
        return _tag(NONE)
    if type(first) is str and column.count(first) == count:
        return _tag(TEXT_SAME) + _blob(_encoded(first))
    kinds = set(map(type, column))
    if len(kinds) > 1 or not kinds <= _PUT.keys():
        kinds = {_kind(kind) for kind in kinds}
        if len(kinds) > 1:
            return _mixed(column, kinds, budget, depth)
    (kind,) = kinds
    put = _PUT.get(kind)
    if put is not None:
        return put(column, budget)
    if depth >= _DEEP:
        return _texts([_shown(value) for value in column], budget)
    if kind is tuple:
        return _sequences(column, budget, depth)
    if kind is dict:
        return _mappings(column, budget, depth)
    if issubclass(kind, enum.Enum):
        return _symbols(column, kind, budget)
    return _texts([_shown(value) for value in column], budget)


def _kind(kind: type) -> type:
    """The class by whose rule values of a class are written."""
    if kind in _PUT or kind is tuple or kind is dict or kind is Symbol:
        return kind
    if issubclass(kind, enum.Enum):
        return kind
    for known in (int, float, str, bytes):
        if issubclass(kind, known):
            return known
    if issubclass(kind, (tuple, list, set, frozenset)):
        return tuple
    if issubclass(kind, Mapping):
        return dict
    return object


def _shown(value: Any) -> str:
    try:
        return os.fspath(value) if isinstance(value, os.PathLike) else str(value)
    except Exception:  # noqa: BLE001 - another's object; that it was there is still worth a word
        return f"<{type(value).__name__}>"


def _tag(tag: int) -> bytes:
    return bytes((tag,))


def _blob(data: bytes) -> bytes:
    return _U32.pack(len(data)) + data


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _raw(values: array[Any]) -> bytes:
    if _SWAP:
        values.byteswap()
    return values.tobytes()


def _nones(_column: Sequence[Any], _budget: Budget) -> bytes:
    return _tag(NONE)


def _booleans(column: Sequence[Any], _budget: Budget) -> bytes:
    return _tag(BOOLEANS) + bytes(column)


def _floats(column: Sequence[Any], _budget: Budget) -> bytes:
    data = _raw(array("d", column))
    first = data[:8]
    if data == first * len(column):  # by their bytes: -0.0 equals 0.0, and NaN not even itself
        return _tag(FLOAT_SAME) + first
    return _tag(FLOATS) + data


def _integers(column: Sequence[Any], budget: Budget) -> bytes:
    first = column[0]
    if column.count(first) == len(column) and -(2**63) <= first < 2**63:
        return _tag(INTEGER_SAME) + _I64.pack(first)
    # The narrowest array that takes them all; one that does not says so at the first number.
    for tag, code in _CODES.items():
        try:
            return _tag(tag) + _raw(array(code, column))
        except OverflowError:
            pass
    return _tag(LARGE_INTEGERS) + _texts([hex(value) for value in column], budget)


def _text_column(column: Sequence[Any], budget: Budget) -> bytes:
    """Texts of which many are equal by their numbers in a table, others one after the other."""
    table = dict.fromkeys(column)
    if 2 * len(table) > len(column):
        return _texts(column, budget)
    numbers = {text: number for number, text in enumerate(table)}
    return (
        _tag(TEXT_TABLE)
        + _U32.pack(len(table))
        + _texts(list(table), budget)
        + _integers(list(map(numbers.__getitem__, column)), budget)
    )


def _texts(column: Sequence[str], budget: Budget) -> bytes:
    parts = [_encoded(text) for text in column]
    return _packed(
        _tag(TEXTS) + _integers([len(part) for part in parts], budget) + _joined(parts), budget
    )


def _bytes(column: Sequence[bytes], budget: Budget) -> bytes:
    return _packed(
        _tag(BYTES) + _integers([len(part) for part in column], budget) + _joined(column), budget
    )


def _joined(parts: Sequence[bytes]) -> bytes:
    return _blob(b"".join(parts))


def _packed(data: bytes, budget: Budget) -> bytes:
    if len(data) < _PACK_FROM:
        return data
    less = zlib.compress(data, 1)
    if len(less) > len(data) * 3 // 4:
        return data
    budget.pay(0, len(data))
    return _tag(PACKED) + _U32.pack(len(data)) + _blob(less)


def _sequences(column: Sequence[Any], budget: Budget, depth: int) -> bytes:
    lengths = _integers([len(value) for value in column], budget)
    inner = list(chain.from_iterable(column))
    return _tag(SEQUENCES) + lengths + put_column(inner, budget, depth + 1)


def _mappings(column: Sequence[Any], budget: Budget, depth: int) -> bytes:
    lengths = _integers([len(value) for value in column], budget)
    keys = list(chain.from_iterable(column))
    values = [value[key] for value in column for key in value]
    inner = put_column(keys, budget, depth + 1) + put_column(values, budget, depth + 1)
    return _tag(MAPPINGS) + lengths + inner


def _symbols(column: Sequence[Any], kind: type[enum.Enum], budget: Budget) -> bytes:
    table = dict.fromkeys(column)
    numbers = {member: number for number, member in enumerate(table)}
    return (
        _tag(SYMBOLS)
        + put_text(kind.__name__)
        + _U32.pack(len(table))
        + _texts([label(member) for member in table], budget)
        + _integers([numbers[member] for member in column], budget)
    )


def label(member: enum.Enum) -> str:
    """How a member of an enumeration is written: its text where it is one, else its name."""
    return member.value if isinstance(member.value, str) else member.name.lower()


def _unknown_symbols(column: Sequence[Symbol], budget: Budget) -> bytes:
    """As they were read: each enumeration for itself where they are of several."""
    return _texts([symbol.label for symbol in column], budget)


def _mixed(column: Sequence[Any], kinds: set[type], budget: Budget, depth: int) -> bytes:
    order = sorted(kinds, key=lambda kind: kind.__name__)
    of = [_kind(type(value)) for value in column]
    numbers = {kind: number for number, kind in enumerate(order)}
    parts = [_tag(MIXED), _U16.pack(len(order)), _integers([numbers[kind] for kind in of], budget)]
    for kind in order:
        chosen = [value for value, its in zip(column, of, strict=True) if its is kind]
        parts.append(put_column(chosen, budget, depth))
    return b"".join(parts)


_PUT: Final[Mapping[type, Callable[[Sequence[Any], Budget], bytes]]] = {
    type(None): _nones,
    bool: _booleans,
    int: _integers,
    float: _floats,
    str: _text_column,
    bytes: _bytes,
    Symbol: _unknown_symbols,
}


# ----------------------------------------------------------------------------------------- reading


class Reader:
    """Reads columns from bytes that may be anything.

    Args:
        data: the bytes.
        cells: how many values may be made of them in all.
        room: how many bytes may be made of packed ones in all.
        symbols: makes a member of an enumeration of its name and the member's.
    """

    def __init__(
        self,
        data: bytes,
        *,
        cells: int,
        room: int,
        symbols: Callable[[str, str], Any] = Symbol,
    ) -> None:
        self._data, self._at = data, 0
        self._cells, self._room = cells, room
        self._symbols = symbols

    @property
    def left(self) -> int:
        """How many bytes were not read."""
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        """The next bytes.

        Raises:
            Damaged: there are not so many.
        """
        end = self._at + count
        if count < 0 or end > len(self._data):
            raise Damaged("it ends too early")
        data = self._data[self._at : end]
        self._at = end
        return data

    def u16(self) -> int:
        """A number of two bytes."""
        number: int = _U16.unpack(self.take(2))[0]
        return number

    def u32(self) -> int:
        """A number of four bytes."""
        number: int = _U32.unpack(self.take(4))[0]
        return number

    def text(self) -> str:
        """A short text."""
        return _decoded(self.take(self.u16()))

    def column(self, count: int, depth: int = 0) -> Sequence[Any]:
        """A column of so many values.

        Raises:
            Damaged: the bytes are no such column, or one that is larger than allowed.
        """
        self._cells -= count
        if count < 0 or self._cells < 0:
            raise Damaged("it has more values than a chunk may have")
        tag = self.take(1)[0]
        if tag in _CODES:
            return self._numbers(tag, count)
        read = self._by_tag.get(tag)
        if read is None or depth > _DEEPEST:
            raise Damaged(f"there is no column of the kind {tag}")
        return read(self, count, depth + 1)

    def _numbers(self, tag: int, count: int) -> list[int]:
        values: array[int] = array(_CODES[tag])
        values.frombytes(self.take(values.itemsize * count))
        if _SWAP:
            values.byteswap()
        return values.tolist()

    def _nones(self, count: int, _depth: int) -> Sequence[Any]:
        return [None] * count

    def _booleans(self, count: int, _depth: int) -> Sequence[Any]:
        return [bool(value) for value in self.take(count)]

    def _floats(self, count: int, _depth: int) -> Sequence[Any]:
        values = array("d")
        values.frombytes(self.take(8 * count))
        if _SWAP:
            values.byteswap()
        return values.tolist()

    def _float_same(self, count: int, _depth: int) -> Sequence[Any]:
        return [_F64.unpack(self.take(8))[0]] * count

    def _integer_same(self, count: int, _depth: int) -> Sequence[Any]:
        return [_I64.unpack(self.take(8))[0]] * count

    def _large(self, count: int, depth: int) -> Sequence[Any]:
        return [_number(text) for text in self._of(self.column(count, depth), str)]

    def _texts(self, count: int, depth: int) -> Sequence[Any]:
        return [_decoded(part) for part in self._parts(count, depth)]

    def _bytes(self, count: int, depth: int) -> Sequence[Any]:
        return self._parts(count, depth)

    def _parts(self, count: int, depth: int) -> list[bytes]:
        lengths = self._lengths(count, depth)
        data = self.take(self.u32())
        ends = list(accumulate(lengths))
        if (ends[-1] if ends else 0) != len(data):
            raise Damaged("the texts are not as long as is said")
        return [data[end - size : end] for end, size in zip(ends, lengths, strict=True)]

    def _text_same(self, count: int, _depth: int) -> Sequence[Any]:
        return [_decoded(self.take(self.u32()))] * count

    def _text_table(self, count: int, depth: int) -> Sequence[Any]:
        table = self.column(self.u32(), depth)
        return _picked(table, self._of(self.column(count, depth), int))

    def _sequences(self, count: int, depth: int) -> Sequence[Any]:
        lengths = self._lengths(count, depth)
        inner = self.column(sum(lengths), depth)
        ends = accumulate(lengths)
        return [tuple(inner[end - n : end]) for end, n in zip(ends, lengths, strict=True)]

    def _mappings(self, count: int, depth: int) -> Sequence[Any]:
        lengths = self._lengths(count, depth)
        keys, values = self.column(sum(lengths), depth), self.column(sum(lengths), depth)
        ends = accumulate(lengths)
        try:
            return [
                dict(zip(keys[end - n : end], values[end - n : end], strict=True))
                for end, n in zip(ends, lengths, strict=True)
            ]
        except TypeError:
            raise Damaged("a key is none") from None

    def _symbols_of(self, count: int, depth: int) -> Sequence[Any]:
        kind = self.text()
        labels = self._of(self.column(self.u32(), depth), str)
        members = [self._symbols(kind, one) for one in labels]
        return _picked(members, self._of(self.column(count, depth), int))

    def _mixed(self, count: int, depth: int) -> Sequence[Any]:
        kinds = self.u16()
        of = self._of(self.column(count, depth), int)
        if of and not (min(of) >= 0 and max(of) < kinds):
            raise Damaged("a value is of no kind")
        columns = [iter(self.column(of.count(kind), depth)) for kind in range(kinds)]
        return [next(columns[kind]) for kind in of]

    def _packed(self, count: int, depth: int) -> Sequence[Any]:
        size = self.u32()
        less = self.take(self.u32())
        self._room -= size
        if self._room < 0:
            raise Damaged("it has more bytes than a chunk may have")
        unpacker = zlib.decompressobj()
        try:
            data = unpacker.decompress(less, size) if size else b""
        except zlib.error as error:
            raise Damaged(str(error)) from error
        if len(data) != size:
            raise Damaged("it is not as long as is said")
        inner = Reader(data, cells=self._cells, room=self._room, symbols=self._symbols)
        values = inner.column(count, depth)
        self._cells, self._room = inner._cells, inner._room
        return values

    def _lengths(self, count: int, depth: int) -> list[int]:
        lengths = self._of(self.column(count, depth), int)
        if lengths and min(lengths) < 0:
            raise Damaged("a length is negative")
        return lengths

    def _of(self, values: Sequence[Any], kind: type) -> list[Any]:
        if not set(map(type, values)) <= {kind}:
            raise Damaged(f"a value is no {kind.__name__}")
        return list(values)

    _by_tag: ClassVar[Mapping[int, Callable[[Reader, int, int], Sequence[Any]]]] = {
        NONE: _nones,
        BOOLEANS: _booleans,
        FLOATS: _floats,
        FLOAT_SAME: _float_same,
        INTEGER_SAME: _integer_same,
        LARGE_INTEGERS: _large,
        TEXTS: _texts,
        TEXT_SAME: _text_same,
        TEXT_TABLE: _text_table,
        BYTES: _bytes,
        SEQUENCES: _sequences,
        MAPPINGS: _mappings,
        SYMBOLS: _symbols_of,
        MIXED: _mixed,
        PACKED: _packed,
    }


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise Damaged(str(error)) from error


def _number(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        raise Damaged("it is no number") from None


def _picked(table: Sequence[Any], numbers: Sequence[int]) -> list[Any]:
    if numbers and not (min(numbers) >= 0 and max(numbers) < len(table)):
        raise Damaged("a number is in no table")
    return [table[number] for number in numbers]
