"""What values, calls and errors look like in a few letters. Pure, bounded, and hard to harm.

What is shown belongs to users, and so do the methods that say what it looks like: they may raise,
be endless, or make a text of a gigabyte. So the built-in containers are gone into no further than
is shown, arrays and tables are named by their shape, classes that only list their fields are shown
field by field, and a ``repr`` is called of what is left, guarded, and cut. That one call is what
takes time and memory here, if anything does.
"""

from __future__ import annotations

import linecache
import reprlib
import traceback
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import Any, Final

__all__ = ["call_text", "error_text", "exact", "middle_left_out", "traceback_text", "value_text"]

_SHORT: Final = 240
"""Letters of a value, when nothing else is said."""
_CALL: Final = 2_000
_ARGUMENT: Final = 500
_ARGUMENTS: Final = 40
"""Letters of a call and of one of its arguments, and arguments, that are shown."""
_LEVELS: Final = 4
_ITEMS: Final = 6
"""Containers inside one another, and the first items of each, that are shown."""

_TRACEBACK: Final = 16_000
_MESSAGE: Final = 4_000
_NOTES: Final = 20
"""Letters of a traceback and of one message in it, and notes of an error, that are shown."""
_LINKS: Final = 20
"""Errors one because of the other that are shown, the latest."""
_OUTER: Final = 20
_INNER: Final = 50
"""Frames of one traceback that are shown: the outermost and the innermost."""
_FRAMES: Final = 100_000
"""Frames that are counted."""
_GROUP: Final = 5
_GROUPS: Final = 3
"""Errors of a group, and groups inside one another, that are shown."""

_CAUSE: Final = "The above exception was the direct cause of the following exception:"
_CONTEXT: Final = "During handling of the above exception, another exception occurred:"


# ---------------------------------------------------------------------------------------- a value


class _Brief(reprlib.Repr):
    """Goes into large containers no further than is shown, and survives any ``repr``."""

    def __init__(self, most: int, levels: int) -> None:
        super().__init__()
        self.maxlevel, self.maxdict = levels, _ITEMS
        self.maxstring = self.maxother = self.maxlong = most

    def repr1(self, x: Any, level: int) -> str:
        """By the class itself: the standard library goes by its name, which may be any class's."""
        way = _WAYS.get(type(x))
        return way(self, x, level) if way is not None else self.repr_instance(x, level)

    def repr_bytes(self, value: bytes, _level: int) -> str:
        """As a text: what is cut away is never written out."""
        most = self.maxstring
        return _cut(repr(value[:most]), most) if len(value) <= most else f"{value[:most]!r}…"

    def repr_int(self, value: int, _level: int) -> str:
        """Its digits; writing out very many takes long, and Python refuses it."""
        bits = value.bit_length()
        return repr(value) if bits < _SHORT else f"<int of {bits} bits>"

    def repr_dict(self, value: Mapping[Any, Any], level: int) -> str:
        """Its first items, in their order: the standard library's sorts all keys."""
        if level <= 0:
            return "{…}"
        first = islice(value.items(), self.maxdict)
        items = [
            f"{self.repr1(key, level - 1)}: {self.repr1(one, level - 1)}" for key, one in first
        ]
        return _braces(items, len(value))

    def repr_set(self, value: set[Any], level: int) -> str:
        """Some of its elements, unsorted as well."""
        if not value:
            return repr(value)
        if level <= 0:
            return "{…}"
        return _braces(
            [self.repr1(one, level - 1) for one in islice(value, self.maxset)], len(value)
        )

    def repr_frozenset(self, value: frozenset[Any], level: int) -> str:
        """As a set."""
        return f"frozenset({self.repr_set(set(islice(value, 7)), level) if value else ''})"

    def repr_instance(self, value: Any, level: int) -> str:
        """By its parts where it has nothing but parts; else what its class says, cut."""
        name = type(value).__name__
        try:
            return self._by_parts(value, name, level) or _cut(repr(value), self.maxother)
        except Exception:  # noqa: BLE001 - a user's repr may raise anything
            return f"<{name}, whose repr raises>"

    def _by_parts(self, value: Any, name: str, level: int) -> str:
        """A value that need not be asked, because it would say what its parts are; else empty."""
        kind = type(value)
        shape = _shape(value)
        if shape:
            return shape
        names = _fields(kind)
        if names is not None:
            if level <= 0:
                return f"{name}(…)"
            parts = [
                f"{one}={self.repr1(getattr(value, one), level - 1)}"
                for one in islice(names, 2 * self.maxdict)
            ]
            return f"{name}({', '.join(parts)}{', …' if len(names) > len(parts) else ''})"
        for base, way in _WAYS.items():
            if isinstance(value, base) and kind.__repr__ in _THEIRS:
                inside = way(self, value, level)
                return inside if kind.__repr__ is base.__repr__ else f"{name}({inside})"
        return ""


_WAYS: Final[Mapping[type, Callable[[Any, Any, int], str]]] = {
    str: reprlib.Repr.repr_str,
    bytes: _Brief.repr_bytes,
    bytearray: _Brief.repr_bytes,
    bool: lambda _brief, value, _level: repr(value),
    int: _Brief.repr_int,
    tuple: reprlib.Repr.repr_tuple,
    list: reprlib.Repr.repr_list,
    dict: _Brief.repr_dict,
    set: _Brief.repr_set,
    frozenset: _Brief.repr_frozenset,
    deque: reprlib.Repr.repr_deque,
}
_THEIRS: Final = frozenset(
    kind.__repr__ for kind in (*_WAYS, OrderedDict, defaultdict, Counter) if kind is not bool
)
"""What the built-in containers say of themselves, and those that are made of them."""


def _shape(value: Any) -> str:
    """An array or a table by its class, kind of numbers and shape; empty for anything else."""
    kind = type(value)
    if not (hasattr(kind, "shape") and (hasattr(kind, "dtype") or hasattr(kind, "columns"))):
        return ""
    shape = value.shape
    if not isinstance(shape, tuple) or not shape:  # a single number says itself what it is
        return ""
    whose = kind.__module__.partition(".")[0]
    numbers = _cut(f" {value.dtype}", 60) if hasattr(kind, "dtype") else ""
    return f"<{whose}.{kind.__name__}{numbers} {_cut(repr(tuple(shape[:32])), 200)}>"


def _fields(kind: type) -> Sequence[str] | None:
    """The fields of a class whose ``repr`` was made for it and lists them; else ``None``."""
    said = kind.__repr__
    if kind.__dict__.get("_fields") and issubclass(kind, tuple):
        named: tuple[str, ...] = kind.__dict__["_fields"]
        return named if "__repr__" in kind.__dict__ and hasattr(kind, "_make") else None
    of_dataclass = getattr(kind, "__dataclass_fields__", None)
    if of_dataclass is not None and hasattr(said, "__wrapped__"):
        return [field.name for field in of_dataclass.values() if field.repr]
    code = getattr(said, "__code__", None)
    if code is not None and code.co_filename.startswith("<attrs generated"):
        attributes = getattr(kind, "__attrs_attrs__", ())
        return [one.name for one in attributes if one.repr is True]
    return None


def _braces(items: Sequence[str], number: int) -> str:
    more = ["…"] if number > len(items) else []
    return f"{{{', '.join([*items, *more])}}}"


def exact(text: str) -> str:
    """The text as a ``str`` itself: that of a class of its own might have methods of its own."""
    return text if type(text) is str else str.__str__(text)


def _cut(text: str, most: int) -> str:
    text = exact(text)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def value_text(value: Any, most: int = _SHORT, levels: int = _LEVELS) -> str:
    """A value in at most so many letters: a container by its first elements, an array by its shape.

    Never raises but what ends a program. Of classes that weft does not know, the object's own
    ``repr`` is called, once; what it does besides, it does.

    Args:
        value: anything.
        most: letters.
        levels: of containers inside one another.
    """
    try:
        return _cut(_Brief(most, levels).repr1(value, levels), most)
    except Exception:  # noqa: BLE001 - methods of a user's container may raise anything
        return f"<{type(value).__name__}, which cannot be shown>"


def call_text(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """The arguments of a call as they would stand in it, cut: ``'AB-7', depth=30``.

    Never raises but what ends a program.
    """
    given = [("", value) for value in args[:_ARGUMENTS]]
    given += [(f"{name}=", value) for name, value in islice(kwargs.items(), _ARGUMENTS)]
    shown = []
    room = _CALL
    for name, value in given:
        if room <= 0:
            break
        text = f"{_cut(name, 100)}{value_text(value, _ARGUMENT, 3)}"
        shown.append(text)
        room -= len(text) + 2
    left = len(args) + len(kwargs) - len(shown)
    if left:
        shown.append(f"… {left:,} more")
    return ", ".join(shown)


# --------------------------------------------------------------------------------------- an error


def error_text(error: BaseException) -> str:
    """What Python would print of an error alone, without frames and causes, cut.

    Never raises but what ends a program.
    """
    return "".join(_one(error, None, _GROUPS))


def traceback_text(error: BaseException, trace: TracebackType | None) -> str:
    """What Python would print of an error, with its causes, in 16,000 letters.

    Of what comes from a worker it is the worker's own text. Where there is more than fits, the
    middle is left out, of frames and of letters, and it says so. Never raises but what ends a
    program.

    Args:
        error: anything.
        trace: its traceback, as it was when it was met: an error gets more frames wherever it is
            raised again.
    """
    from weft.calls.failures import RemoteTraceback

    try:
        cause = error.__cause__
        if isinstance(cause, RemoteTraceback):
            text = cause.text
        else:
            text = "".join(_chain(error, trace, 0))
    except Exception as trouble:  # noqa: BLE001 - the error is a user's, and so are its parts
        text = f"{_class_name(error)} (shown in part: {type(trouble).__name__})\n"
    return middle_left_out(text, _TRACEBACK)


def middle_left_out(text: str, most: int) -> str:
    """The text, without its middle if it is longer than that, which is said there."""
    text = exact(text)
    if len(text) <= most:
        return text
    half = most // 2 - 30
    left = len(text) - 2 * half
    return f"{text[:half]}\n  ... {left:,} characters left out ...\n{text[-half:]}"


def _chain(error: BaseException, trace: TracebackType | None, depth: int) -> Iterator[str]:
    """The error after those that led to it, in the words of the standard library."""
    from weft.calls.failures import RemoteTraceback

    links: list[tuple[BaseException, TracebackType | None, str]] = [(error, trace, "")]
    seen = {id(error)}
    while True:
        one = links[-1][0]
        before, joint = one.__cause__, _CAUSE
        if before is None and not one.__suppress_context__:
            before, joint = one.__context__, _CONTEXT
        if before is None or id(before) in seen:
            break
        if len(links) == _LINKS:
            yield "(earlier exceptions are left out)\n\n"
            break
        seen.add(id(before))
        links.append((before, before.__traceback__, joint))
    for one, its, joint in reversed(links):
        if isinstance(one, RemoteTraceback):
            yield one.text
        else:
            yield from _one(one, its, depth)
        if joint:
            yield f"\n{joint}\n\n"


def _one(error: BaseException, trace: TracebackType | None, depth: int) -> Iterator[str]:
    if trace is not None:
        yield "Traceback (most recent call last):\n"
        yield from _frames(trace)
    message = _message(error)
    yield f"{_class_name(error)}: {message}\n" if message else f"{_class_name(error)}\n"
    for note in _notes(error):
        yield f"{note}\n"
    if isinstance(error, BaseExceptionGroup) and depth < _GROUPS:
        for number, one in enumerate(error.exceptions[:_GROUP], 1):
            yield f"  +---------------- {number} ----------------\n"
            text = "".join(_chain(one, one.__traceback__, depth + 1))
            yield from (f"  | {line}\n" for line in text.splitlines())
        if len(error.exceptions) > _GROUP:
            yield f"  +---- and {len(error.exceptions) - _GROUP} more ----\n"


def _frames(trace: TracebackType) -> Iterable[str]:
    found: list[TracebackType] = []
    one: TracebackType | None = trace
    while one is not None and len(found) < _FRAMES:
        found.append(one)
        one = one.tb_next
    if len(found) <= _OUTER + _INNER:
        return _formatted(found)
    left = len(found) - _OUTER - _INNER
    more = f"  ... {left:,} frames left out ...\n"
    return [*_formatted(found[:_OUTER]), more, *_formatted(found[-_INNER:])]


def _formatted(traces: Iterable[TracebackType]) -> list[str]:
    """Lines with their marks, as the standard library makes them of a whole traceback."""
    frames = []
    for one in traces:
        code, line = one.tb_frame.f_code, one.tb_lineno
        linecache.lazycache(code.co_filename, one.tb_frame.f_globals)
        at = next(islice(code.co_positions(), one.tb_lasti // 2, None), (line, None, None, None))
        frames.append(
            traceback.FrameSummary(
                code.co_filename,
                line,
                code.co_name,
                lookup_line=False,
                end_lineno=at[1],
                colno=at[2],
                end_colno=at[3],
            )
        )
    for name in {frame.filename for frame in frames}:
        linecache.checkcache(name)
    return traceback.StackSummary.from_list(frames).format()


def _class_name(error: BaseException) -> str:
    kind = type(error)
    module = kind.__module__
    return kind.__qualname__ if module in {"builtins", "__main__"} else f"{module}.{kind.__name__}"


def _message(error: BaseException) -> str:
    try:
        return middle_left_out(str(error), _MESSAGE)
    except Exception as trouble:  # noqa: BLE001 - __str__ is anybody's code
        return f"(its message cannot be shown: {type(trouble).__name__})"


def _notes(error: BaseException) -> Iterator[str]:
    notes = getattr(error, "__notes__", None)
    if isinstance(notes, list):
        for note in notes[:_NOTES]:
            if isinstance(note, str):
                yield middle_left_out(note, _MESSAGE)
