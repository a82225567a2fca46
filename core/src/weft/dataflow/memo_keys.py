"""Keys: what makes two calls the same call.

A key is 32 bytes, made from the identity of the function and those of the arguments. Two calls have
the same key only if they call the same code with arguments that cannot be told apart; keys are the
same in every process, on every run, whatever ``PYTHONHASHSEED`` says.

**Values** are encoded as a tree of digests. A small value is a tag, a length and its bytes; a large
one and every container is a tag and the blake2b-256 digest of its parts, so nothing nested can look
like something flat. Where order means nothing (sets, dicts) the encoded parts are sorted. Parts are
visited with a stack of our own: depth costs memory, never a ``RecursionError``; a structure that
holds itself is refused, one that holds a part many times visits it once.

**Functions** are known by module, qualified name, source text, the values of their defaults and of
the variables that they close over. What they find in global variables is *not* part of it: a helper
that changed is noticed only when the app that calls it changes too, or when its ``version`` is
raised.

**Types** that are not known here are refused by name (``UnknownIdentity``). Three ways to mend
that: ``id_for_memo.register(type, function)``, a method ``__weft_memo__(self)``, or leaving the
argument out. Either function returns any object that has an identity and stands for the value.

Sources: blake2 is RFC 7693; the encoding is our own.
"""

import array
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import hashlib
import importlib.util
import inspect
import math
import operator
import pathlib
import re
import stat
import struct
import sys
import types
import uuid
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar, overload

from weft.data.trees import marked
from weft.errors import UnknownIdentity
from weft.values.files import File

__all__ = ["HOW_TO_RUN", "PLACES", "CallKeys", "app_identity", "id_for_memo"]

HOW_TO_RUN = frozenset({"walltime", "resources", "priority"})
"""Keywords of a call that say how to run it; they do not change what comes out."""

PLACES = frozenset({"outputs", "stdout", "stderr"})
"""Keywords that name files to be written: known by name, as what is there now will be replaced."""

_T = TypeVar("_T")
_StandIn = Callable[[Any], object]

_ENCODING = (
    b"weft-memo-1"  # raise the number when the encoding changes: all older keys are unknown then
)
_SHORT = 64  # bytes that a leaf may have before its digest is shorter
_FEW = 16  # parts of a container that are looked at for leaves before it is visited
_DEEPEST = 200_000  # levels; stops a __weft_memo__ that returns a new object for ever


def _digest(data: Any) -> bytes:
    return hashlib.blake2b(data, digest_size=32).digest()


# ------------------------------------------------------------------------------------------- leaves
#
# A leaf is complete in itself: tag, length, bytes. Tags are unique in this module; capital letters
# are digests.


def _text(value: str) -> bytes:
    # surrogatepass: names of files may hold bytes that are no UTF-8.
    data = value.encode("utf-8", "surrogatepass")
    size = len(data)
    return b"s%c%b" % (size, data) if size <= _SHORT else b"S" + _digest(data)


def _bytes(value: bytes) -> bytes:
    size = len(value)
    return b"b%c%b" % (size, value) if size <= _SHORT else b"B" + _digest(value)


def _int(value: int) -> bytes:
    if -0x8000000000000000 <= value <= 0x7FFFFFFFFFFFFFFF:
        return b"i" + value.to_bytes(8, "big", signed=True)
    return b"I" + _digest(value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


_NAN = struct.pack(">d", math.nan)


def _double(value: float) -> bytes:
    return _NAN if math.isnan(value) else struct.pack(">d", value)


_LEAVES: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: b"N",
    bool: lambda value: b"t" if value else b"f",
    int: _int,
    float: lambda value: b"d" + _double(value),
    complex: lambda value: b"c" + _double(value.real) + _double(value.imag),
    str: _text,
    bytes: _bytes,
    type(...): lambda _: b"E",
    type(NotImplemented): lambda _: b"!",
}

_ABSENT = b"-"  # a parameter that was not given and has no default

# --------------------------------------------------------------------------------------- containers


@dataclasses.dataclass(slots=True)
class _Parts:
    """What a container is made of.

    Attributes:
        tag: its kind, and whatever else is known by bytes. Ends up in the digest with its length.
        items: the parts, in order.
        ordered: whether the order means something.
        labels: how to say where part number n sits, in the manner of Python: ``[3]``, ``.handle``.
    """

    tag: bytes
    items: Collection[Any]
    ordered: bool = True
    labels: Callable[[int], str] = "[{}]".format


@dataclasses.dataclass(slots=True)
class _Raw:
    """Large data known by its bytes. ``data`` has the buffer interface and is contiguous."""

    tag: bytes
    data: Any


_Described = _Parts | _Raw
_Describe = Callable[[Any], _Described]


@dataclasses.dataclass(slots=True)
class _Pair:
    """One entry of a dict: a part of an unordered container that has parts in order."""

    key: Any
    value: Any


def _named(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _typed(tag: bytes, value: Any) -> bytes:
    """A tag that tells classes apart."""
    return tag + _named(type(value)).encode("utf-8", "surrogatepass")


def _dict(value: Mapping[Any, Any], tag: bytes = b"dict") -> _Parts:
    keys = list(value)
    if all(type(key) is str for key in keys):
        # By far the commonest: sorted by name it needs no pairs.
        keys.sort()
        return _Parts(
            tag + b" of names",
            [part for key in keys for part in (key, value[key])],
            labels=lambda n: f"[{keys[n // 2]!r}]" if n % 2 else f" (its key {keys[n // 2]!r})",
        )
    return _Parts(
        tag,
        [_Pair(key, item) for key, item in value.items()],
        ordered=False,
        labels=lambda n: f"[{_shown(keys[n])}]",
    )


def _ordered_dict(value: Mapping[Any, Any]) -> _Parts:
    keys = list(value)
    pairs = [_Pair(key, value[key]) for key in keys]
    return _Parts(b"OrderedDict", pairs, labels=lambda n: f"[{_shown(keys[n])}]")


def _shown(key: Any) -> str:
    # A user's key: its repr may raise anything, or be a page long.
    try:
        text = repr(key)
    except Exception:  # noqa: BLE001 - only a label in an error text
        text = f"a {type(key).__qualname__}"
    return text if len(text) <= 60 else text[:57] + "..."


def _attributes(tag: bytes, value: Any, names: Sequence[str]) -> _Parts:
    """A container of named attributes, all of which are there."""
    return _Parts(
        tag + b"".join(b" %b" % name.encode() for name in names),
        [getattr(value, name) for name in names],
        labels=lambda n: f".{names[n]}",
    )


def _stands(tag: bytes, stand_in: object) -> _Parts:
    return _Parts(tag, (stand_in,), labels=lambda _: "")


def _file(value: File) -> _Parts:
    return _Parts(_typed(b"File ", value), (value.url, *_on_disk(value)))


def _on_disk(value: File) -> tuple[int | str | None, int | None]:
    if value.scheme != "file":
        return None, None
    try:
        path = pathlib.Path(value.path)
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            # Its own time says nothing of what is in the files in it.
            return marked(path), None
    except (OSError, ValueError):
        return None, None
    return found.st_size, found.st_mtime_ns


def _pattern(value: "re.Pattern[Any]") -> _Parts:
    return _Parts(b"re.Pattern", (value.pattern, value.flags))


def _partial(value: "functools.partial[Any]") -> _Parts:
    return _attributes(_typed(b"partial ", value), value, ("func", "args", "keywords"))


def _memoryview(value: memoryview) -> _Described:
    tag = f"memoryview {value.format} {value.shape}".encode()
    return _Raw(tag, value if value.c_contiguous else value.tobytes())


def _datetime(value: dt.datetime) -> _Parts:
    # The wall clock and the zone: 12:00 in Berlin is not the same argument as 11:00 in London.
    return _Parts(
        b"datetime", (value.replace(tzinfo=None, fold=0).isoformat(), value.fold, value.tzinfo)
    )


def _time(value: dt.time) -> _Parts:
    return _Parts(
        b"time", (value.replace(tzinfo=None, fold=0).isoformat(), value.fold, value.tzinfo)
    )


_DESCRIBED: dict[type, _Describe] = {
    tuple: lambda v: _Parts(b"tuple", v),
    list: lambda v: _Parts(b"list", tuple(v)),
    dict: _dict,
    set: lambda v: _Parts(b"set", tuple(v), ordered=False, labels=lambda _: " (an element)"),
    frozenset: lambda v: _Parts(
        b"frozenset", tuple(v), ordered=False, labels=lambda _: " (an element)"
    ),
    collections.deque: lambda v: _Parts(
        b"deque %d" % (-1 if v.maxlen is None else v.maxlen), tuple(v)
    ),
    collections.OrderedDict: _ordered_dict,
    collections.defaultdict: lambda v: _Parts(
        b"defaultdict",
        (v.default_factory, dict(v)),
        labels=lambda n: "" if n else ".default_factory",
    ),
    collections.Counter: lambda v: _dict(v, b"Counter"),
    types.MappingProxyType: lambda v: _dict(v, b"mappingproxy"),
    types.SimpleNamespace: lambda v: _stands(b"SimpleNamespace", vars(v)),
    bytearray: lambda v: _Raw(b"bytearray", v),
    memoryview: _memoryview,
    array.array: lambda v: _Raw(b"array " + v.typecode.encode() + sys.byteorder.encode(), v),
    decimal.Decimal: lambda v: _Parts(b"Decimal", (str(v),)),
    fractions.Fraction: lambda v: _Parts(b"Fraction", (v.numerator, v.denominator)),
    range: lambda v: _Parts(b"range", (v.start, v.stop, v.step)),
    slice: lambda v: _attributes(b"slice", v, ("start", "stop", "step")),
    dt.date: lambda v: _Parts(b"date", (v.isoformat(),)),
    dt.datetime: _datetime,
    dt.time: _time,
    dt.timedelta: lambda v: _Parts(b"timedelta", (v.days, v.seconds, v.microseconds)),
    dt.timezone: lambda v: _Parts(b"timezone", (v.utcoffset(None), v.tzname(None))),
    uuid.UUID: lambda v: _Parts(b"UUID", (v.int,)),
    re.Pattern: _pattern,
    functools.partial: _partial,
    types.GenericAlias: lambda v: _Parts(b"GenericAlias", (v.__origin__, v.__args__)),
    File: _file,
    _Pair: lambda v: _Parts(b"pair", (v.key, v.value), labels=lambda n: "" if n else " (its key)"),
}
"""How a value of exactly this type is taken apart."""

# ------------------------------------------------------------------------------------ the extension


class _IdForMemo:
    """``weft.id_for_memo``: the identity of a value, as 32 bytes.

    ``id_for_memo(value)`` raises ``UnknownIdentity`` where the value, or a part of it, has none.
    Like ``functools.singledispatch``, it learns by ``register``.
    """

    def __init__(self) -> None:
        self._registered: dict[type, _StandIn] = {}

    def __call__(self, value: object) -> bytes:
        """The identity of ``value``: the same in every process for what cannot be told apart."""
        return _digest(_ENCODING + _encode(value, "value"))

    @overload
    def register(self, cls: type[_T], function: Callable[[_T], object], /) -> None: ...
    @overload
    def register(
        self, cls: type[_T], /
    ) -> Callable[[Callable[[_T], object]], Callable[[_T], object]]: ...

    def register(
        self, cls: type, function: _StandIn | None = None, /
    ) -> Any:  # a decorator, or nothing
        """Say what stands for values of ``cls`` and of the classes derived from it.

        Args:
            cls: the class. What is registered here comes before what weft knows.
            function: given a value, returns an object that has an identity: a tuple of what
                matters, a string, bytes (such as ``id_for_memo(part)``). The name of the value's
                class is added. Left out, ``register`` is a decorator.

        Raises:
            TypeError: ``cls`` is not a class, or one like ``str`` whose identity is fixed.
        """
        if not isinstance(cls, type):
            raise TypeError(f"id_for_memo.register takes a class first, not {cls!r}")
        if cls in _LEAVES:
            raise TypeError(
                f"The identity of {cls.__name__} is fixed; register a class derived from it"
            )
        if function is None:
            return functools.partial(self._decorate, cls)
        self._registered[cls] = function
        _found.clear()
        return None

    def _decorate(self, cls: type, function: _StandIn) -> _StandIn:
        self.register(cls, function)
        return function

    def stand_in(self, cls: type) -> _StandIn | None:
        """The nearest of what was registered and of methods ``__weft_memo__``, or ``None``."""
        for base in cls.__mro__:
            if base in self._registered:
                return self._registered[base]
            if "__weft_memo__" in base.__dict__:
                method: _StandIn = base.__dict__["__weft_memo__"]
                return method
        return None


id_for_memo = _IdForMemo()

# ------------------------------------------------------------------------------------ finding a way

_found: dict[type, _Describe] = {}
"""What was found out about types before; emptied when it grows or when something is registered."""

_MOST_FOUND = 4096


def _way(cls: type) -> _Describe | None:
    """How values of this type are taken apart; ``None`` for a type that is not known."""
    way = _found.get(cls)
    if way is None:
        way = _find_way(cls)
        if way is not None:
            if len(_found) >= _MOST_FOUND:
                _found.clear()  # classes made at run time would pile up here
            _found[cls] = way
    return way


def _find_way(cls: type) -> _Describe | None:
    stand_in = id_for_memo.stand_in(cls)
    if stand_in is not None:
        return functools.partial(_by_stand_in, stand_in)
    for rule in (_exact, _by_kind, _by_fields, _from_libraries, _by_base):
        way = rule(cls)
        if way is not None:
            return way
    return None


def _exact(cls: type) -> _Describe | None:
    return _DESCRIBED.get(cls)


def _by_stand_in(stand_in: _StandIn, value: Any) -> _Parts:
    return _stands(_typed(b"registered ", value), stand_in(value))


_KINDS: list[tuple[type | tuple[type, ...], _Describe]] = []
"""Families whose members have many types; filled further down, where functions are described."""


def _by_kind(cls: type) -> _Describe | None:
    for kinds, way in _KINDS:
        if issubclass(cls, kinds):
            return way
    return None


def _by_fields(cls: type) -> _Describe | None:
    """Named tuples, dataclasses and attrs classes, and classes derived from them."""
    for base in cls.__mro__:
        own = base.__dict__
        if "__dataclass_fields__" in own:
            names = tuple(field.name for field in dataclasses.fields(base))
            return functools.partial(_fields, b"dataclass ", names, base is cls)
        if "__attrs_attrs__" in own:
            names = tuple(field.name for field in own["__attrs_attrs__"])
            return functools.partial(_fields, b"attrs ", names, base is cls)
        if base is not tuple and issubclass(base, tuple) and isinstance(own.get("_fields"), tuple):
            return functools.partial(_namedtuple, own["_fields"], base is cls)
    return None


def _fields(tag: bytes, names: tuple[str, ...], complete: bool, value: Any) -> _Parts:
    there = [name for name in names if hasattr(value, name)]
    if not complete:
        # A class derived without being decorated may have attributes of its own.
        there += sorted(set(getattr(value, "__dict__", ())) - set(there))
    return _attributes(_typed(tag, value), value, there)


def _namedtuple(names: tuple[str, ...], complete: bool, value: Any) -> _Parts:
    items = (*value, None if complete else _state(value))
    return _Parts(
        _typed(b"namedtuple ", value), items, labels=lambda n: f".{(*names, '__dict__')[n]}"
    )


def _by_base(cls: type) -> _Describe | None:
    """A class derived from a type that is known: the value as of that type, and what was added."""
    for base in cls.__mro__[1:]:
        if base in _LEAVES or base in _DESCRIBED:
            return functools.partial(_derived, base)
    return None


def _derived(base: type, value: Any) -> _Parts:
    described: Any = (
        _Leaf(_LEAVES[base](value)) if base in _LEAVES else _As(_DESCRIBED[base](value))
    )
    state = _state(value)
    return _Parts(
        _typed(b"derived ", value), (described, state), labels=lambda n: ".__dict__" if n else ""
    )


def _state(value: Any) -> object:
    """The attributes of an object, in ``__dict__`` and in slots."""
    return object.__getstate__(value)


@dataclasses.dataclass(slots=True)
class _Leaf:
    """A part that is encoded already."""

    encoded: bytes


@dataclasses.dataclass(slots=True)
class _As:
    """A part that is described already."""

    described: _Described


_LEAVES[_Leaf] = lambda leaf: leaf.encoded
_DESCRIBED[_As] = lambda part: part.described

# -------------------------------------------------------------------------------------- the encoder


_LOOP = (
    "Pass the data without the loop, or name the argument in ignore_for_cache, or call the app "
    "without caching."
)


class _Frame:
    """A container that is being visited."""

    __slots__ = ("described", "encoded", "items", "owner")

    def __init__(self, owner: Any, described: _Parts) -> None:
        self.owner = owner
        self.described = described
        self.items = iter(described.items)
        self.encoded: list[bytes] = []

    def fill_with_leaves(self) -> bool:
        """Whether all parts were leaves, and so there is nothing to visit."""
        leaves, encoded = _LEAVES, self.encoded
        for item in self.described.items:
            leaf = leaves.get(type(item))
            if leaf is None:
                encoded.clear()
                return False
            encoded.append(leaf(item))
        return True

    def digest(self) -> bytes:
        parts = self.encoded if self.described.ordered else sorted(self.encoded)
        tag = self.described.tag
        head = b"%d:%b%d:" % (len(tag), tag, len(parts))
        return b"C" + _digest(head + b"".join(parts))


class _Visit:
    """One walk through one value. Parts are kept for its length, so that their ids stay theirs."""

    def __init__(self, root: str, content: bool) -> None:
        self._root, self._content = root, content
        self._stack: list[_Frame] = []
        self._active: set[int] = set()
        self._seen: dict[int, tuple[Any, bytes]] = {}

    def encode(self, value: Any) -> bytes:
        """The encoding of ``value``, which is not a leaf."""
        finished = self._enter(value)
        stack = self._stack
        while stack:
            frame = stack[-1]
            encoded = frame.encoded
            for item in frame.items:
                leaf = _LEAVES.get(type(item))
                part = leaf(item) if leaf is not None else self._enter(item)
                if part is None:
                    break
                encoded.append(part)
            else:
                finished = self._leave(frame)
                if stack:
                    stack[-1].encoded.append(finished)
        assert finished is not None
        return finished

    def _enter(self, value: Any) -> bytes | None:
        """The encoding if there is nothing to visit; else ``None``, and a new frame."""
        seen = self._seen.get(id(value))
        if seen is not None:
            return seen[1]
        described = self._describe(value)
        if isinstance(described, _Raw):
            encoded = b"R" + _digest(
                b"%d:%b" % (len(described.tag), described.tag) + _digest(described.data)
            )
            self._seen[id(value)] = (value, encoded)
            return encoded
        if id(value) in self._active:
            if isinstance(value, types.FunctionType):
                return b"^" + _text(value.__qualname__)  # it calls itself
            self._refuse(value, "It holds itself, so taking it apart has no end.", todo=_LOOP)
        if len(self._stack) >= _DEEPEST:
            self._refuse(value, f"It is nested deeper than {_DEEPEST} levels.", todo=_LOOP)
        frame = _Frame(value, described)
        if len(described.items) <= _FEW and frame.fill_with_leaves():
            encoded = frame.digest()
            self._seen[id(value)] = (value, encoded)
            return encoded
        self._active.add(id(value))
        self._stack.append(frame)
        return None

    def _leave(self, frame: _Frame) -> bytes:
        self._stack.pop()
        encoded = frame.digest()
        self._active.discard(id(frame.owner))
        self._seen[id(frame.owner)] = (frame.owner, encoded)
        return encoded

    def _describe(self, value: Any) -> _Described:
        cls = type(value)
        way = _way(cls)
        if way is None:
            self._refuse(value)
        if way is _file and not self._content:
            return _Parts(_typed(b"File ", value), (value.url,))
        try:
            return way(value)
        except UnknownIdentity as unknown:
            # From inside a function, which is described by visits of its own.
            raise UnknownIdentity(
                unknown.type_name, self._path() + unknown.path, unknown.reason, unknown.todo
            ) from unknown
        except RecursionError as deep:
            self._refuse(value, "It is nested too deeply.", deep, todo=_LOOP)
        except Exception as trouble:  # noqa: BLE001 - __weft_memo__, properties: a user's code
            text = (
                f"{type(trouble).__name__}: {trouble}"
                if _has_text(trouble)
                else type(trouble).__name__
            )
            self._refuse(value, f"Finding its identity failed with {text}", trouble)

    def _refuse(
        self, value: Any, reason: str = "", cause: BaseException | None = None, *, todo: str = ""
    ) -> NoReturn:
        raise UnknownIdentity(_named(type(value)), self._path(), reason, todo) from cause

    def _path(self) -> str:
        return self._root + _abridged(
            [frame.described.labels(len(frame.encoded)) for frame in self._stack]
        )


def _abridged(steps: list[str]) -> str:
    steps = [step for step in steps if step]
    if len(steps) > 20:
        steps = [*steps[:10], f" ... ({len(steps) - 20} levels) ... ", *steps[-10:]]
    return "".join(steps)


def _has_text(error: BaseException) -> bool:
    try:
        return bool(str(error))
    except Exception:  # noqa: BLE001 - a user's exception
        return False


def _encode(value: Any, root: str, *, content: bool = True) -> bytes:
    """The encoding of any value. ``content`` says whether Files are known by what is in them."""
    leaf = _LEAVES.get(type(value))
    return leaf(value) if leaf is not None else _Visit(root, content).encode(value)


# --------------------------------------------------------------------------- functions and the like

_sources: "weakref.WeakKeyDictionary[Any, bytes | None]" = weakref.WeakKeyDictionary()


def _source(thing: Any, of: Any) -> bytes | None:
    """The digest of the source text of ``of``; ``None`` if there is none. Kept with ``thing``."""
    try:
        return _sources[thing]
    except KeyError:
        pass
    try:
        found = _digest(inspect.getsource(of).encode("utf-8", "surrogatepass"))
    except Exception:  # noqa: BLE001 - reads and parses a user's file, which may have changed since
        found = None
    _sources[thing] = found
    return found


def _code(value: types.CodeType) -> _Parts:
    """What code does, without where it stands. Differs between versions of Python."""
    counts = (value.co_argcount, value.co_posonlyargcount, value.co_kwonlyargcount, value.co_flags)
    names = (value.co_names, value.co_varnames, value.co_freevars, value.co_cellvars)
    body = (value.co_name, value.co_code, value.co_consts, value.co_exceptiontable)
    return _Parts(b"code", (importlib.util.MAGIC_NUMBER, *counts, *names, *body))


def _function(value: types.FunctionType) -> _Parts:
    labels, parts = _surroundings(value)
    source = _source(value, value.__code__)
    if source is None or value.__name__ == "<lambda>":
        # Two lambdas may stand on one line, so the line does not tell them apart.
        parts.append(value.__code__)
        labels.append(".__code__")
    return _Parts(
        b"function",
        (value.__module__, value.__qualname__, source, *parts),
        labels=lambda n: labels[n - 3] if n >= 3 else "",
    )


def _surroundings(value: types.FunctionType) -> tuple[list[str], list[Any]]:
    """What a function brings along beside its code, and how to name each part."""
    labels, parts = [".__defaults__", ".__kwdefaults__"], [value.__defaults__, value.__kwdefaults__]
    for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=False):
        labels.append(f" (its variable {name!r})")
        parts.append(_content(cell))
    wrapped = value.__dict__.get("__wrapped__")
    if wrapped is not None and not any(part is wrapped for part in parts):
        labels.append(".__wrapped__")
        parts.append(wrapped)
    return labels, parts


_EMPTY = _Leaf(b"empty cell")


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _EMPTY


def _builtin(value: Any) -> _Parts:
    owner = getattr(value, "__self__", None)
    owner = None if isinstance(owner, types.ModuleType) else owner
    of_class = getattr(value, "__objclass__", None)
    module = getattr(value, "__module__", None) or getattr(of_class, "__module__", None)
    return _Parts(
        _typed(b"builtin ", value),
        (module, value.__qualname__, owner),
        labels=lambda n: ".__self__" if n == 2 else "",
    )


def _class(value: type) -> _Parts:
    source = None if value.__module__ == "builtins" else _source(value, value)
    parts: list[Any] = [value.__module__, value.__qualname__, source]
    if source is None:
        # Made in an interpreter, by exec, or in C: what can be seen of its methods.
        for name, member in sorted(vars(value).items()):
            member = getattr(member, "__func__", member)  # noqa: PLW2901 - class and static methods
            if isinstance(member, types.FunctionType):
                parts += [name, member.__code__]
            elif type(member) in _LEAVES and not name.startswith("__"):
                parts += [name, member]
    return _Parts(b"class", tuple(parts), labels=lambda _: "")


def _module(value: types.ModuleType) -> _Parts:
    version = getattr(value, "__version__", None)
    version = version if isinstance(version, str) else None
    return _Parts(b"module", (value.__name__, version, _source(value, value)))


def _enum(value: enum.Enum) -> _Parts:
    return _Parts(
        _typed(b"enum ", value),
        (value.name, value.value),
        labels=lambda n: ".value" if n else ".name",
    )


_KINDS += [
    (File, _file),
    (enum.Enum, _enum),
    (pathlib.PurePath, lambda v: _Parts(_typed(b"path ", v), (str(v),))),
    (type, _class),
    (types.FunctionType, _function),
    (types.MethodType, lambda v: _attributes(b"method", v, ("__func__", "__self__"))),
    (
        (
            types.BuiltinFunctionType,
            types.MethodDescriptorType,
            types.WrapperDescriptorType,
            types.ClassMethodDescriptorType,
            types.MethodWrapperType,
        ),
        _builtin,
    ),
    (types.ModuleType, _module),
    (types.CodeType, _code),
    ((staticmethod, classmethod), lambda v: _attributes(_typed(b"", v), v, ("__func__",))),
    (
        type(functools.lru_cache(_digest)),
        lambda v: _attributes(b"lru_cache", v, ("__wrapped__",)),
    ),
    (
        (operator.itemgetter, operator.attrgetter, operator.methodcaller),
        lambda v: _Parts(_typed(b"operator ", v), v.__reduce__()[:2]),
    ),
]


def app_identity(function: Callable[..., Any], version: str | None = None) -> bytes:
    """The identity of an app: 32 bytes.

    Module, qualified name, source, defaults, the values of variables that it closes over, and for
    callable objects the class and the state.

    Args:
        function: anything callable.
        version: replaces what was found of the source, so that a change of the text alone is no
            change; raise it when results change. What the function closes over still counts as far
            as it is known.

    Raises:
        UnknownIdentity: a default, a closed-over variable or a part of the state has no identity,
            and there is no version.
    """
    root = f"The app {_app_name(function)!r}"
    if version is not None:
        return _digest(_ENCODING + b"".join(map(_leniently, _versioned(function, version))))
    try:
        return _digest(_ENCODING + _encode(_callable(function), root))
    except UnknownIdentity as unknown:
        raise UnknownIdentity(
            unknown.type_name,
            unknown.path,
            unknown.reason,
            "Pass it as an argument instead, or give the app a version, as in "
            "@python_app(version='1'), and raise that when results change.",
        ) from unknown


def _app_name(function: Any) -> str:
    return getattr(function, "__qualname__", None) or type(function).__qualname__


def _callable(function: Any) -> Any:
    """What stands for something callable: itself, or for an object its class with its state."""
    if _by_kind(type(function)) is not None or type(function) in _DESCRIBED:
        return function
    known = _way(type(function)) is not None
    state = function if known else _state(function)
    return _As(_Parts(b"callable", (type(function), state), labels=lambda _: ""))


def _versioned(function: Any, version: str) -> Iterable[Any]:
    yield version
    yield getattr(function, "__module__", None)
    yield _app_name(function)
    if isinstance(function, types.FunctionType):
        yield from _surroundings(function)[1]
    elif isinstance(function, functools.partial):
        yield from _versioned(function.func, version)
        yield from (function.args, function.keywords)
    elif isinstance(function, types.MethodType):
        yield from _versioned(function.__func__, version)
        yield function.__self__
    elif not isinstance(function, type):
        yield _state(function) if _way(type(function)) is None else function


def _leniently(value: Any) -> bytes:
    """The encoding of a value as far as it is known; of code, the name."""
    if isinstance(value, (types.FunctionType, type)):
        return _text(f"{value.__module__}.{value.__qualname__}")
    try:
        return _encode(value, "")
    except UnknownIdentity as unknown:
        return b"?" + _text(_named(type(value))) + _text(unknown.type_name)


# ------------------------------------------------------------------------------------ keys of calls


@dataclasses.dataclass(slots=True)
class _Slot:
    """One parameter: its place in the key."""

    index: int
    prefix: bytes
    content: bool


class CallKeys:
    """Makes the keys of the calls of one app. May be used by several threads at once.

    An argument counts the same whether it is given by position, by name, or is left to its default.
    The order of keywords does not matter. A call that does not fit the signature has a key too: it
    is the function's part to refuse it.

    Args:
        function: what the app calls.
        version: see ``app_identity``.
        ignored: names of arguments that do not change the result, beside those that say how to run
        it.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        version: str | None = None,
        ignored: Collection[str] = (),
    ) -> None:
        self._function, self._version = function, version
        self._ignored = HOW_TO_RUN | frozenset(ignored)
        self._identity: tuple[bytes, tuple[Any, ...]] | None = None
        self._positional: list[_Slot | None] = []
        self._named: dict[str, _Slot | None] = {}
        self._positions: dict[str, int] = {}
        self._start: list[bytes] | None = None

    @property
    def identity(self) -> bytes:
        """``app_identity`` of the function, made anew if what it closes over may have changed."""
        known = self._identity
        cells = getattr(self._function, "__closure__", None) or ()
        if known is not None and all(map(_holds, cells, known[1])):
            return known[0]
        contents = tuple(_content(cell) for cell in cells)
        identity = app_identity(self._function, self._version)
        if all(_is_constant(content) for content in contents):
            self._identity = (identity, contents)
        return identity

    def key(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], function: bytes | None = None
    ) -> bytes:
        """The key of one call: 32 bytes; with ``function``, that of one of another function.

        Costs a few microseconds for small arguments, and reads every byte of large ones; for Files
        it asks the file system. Where either may take long, call it off the threads that must not
        wait.

        Raises:
            UnknownIdentity: an argument, or something the function brings along, has no identity.
        """
        start = self._start
        if start is None:
            start = self._study()
        parts = start.copy()
        parts[0] = function or self.identity
        positional, leaves = self._positional, _LEAVES
        many = len(positional)
        for n, value in enumerate(args):
            slot = positional[n] if n < many else _REST
            if slot is not None:
                leaf = leaves.get(type(value))
                encoded = (
                    leaf(value) if leaf else _encode(value, f"args[{n}]", content=slot.content)
                )
                if slot.index:
                    parts[slot.index] = slot.prefix + encoded
                else:
                    parts.append(slot.prefix + encoded)
        if kwargs:
            self._add_named(parts, kwargs, len(args))
        return _digest(b"".join(parts))

    def names(self, app: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[str, str]:
        """What a call is called in other runs, whatever its function is by then; and the function.

        The first has 32 hexadecimal digits, the second, of the function's ``identity``, 64.

        By the arguments as they stand in the call, those left to their defaults not among them;
        files are known by their names.

        Raises:
            UnknownIdentity: an argument has no identity.
        """
        if self._start is None:
            self._study()
        positional = self._positional
        parts = [_ENCODING, b"call", _text(app)]
        for n, value in enumerate(args):
            if n >= len(positional) or positional[n] is not None:
                parts += (b"p%d" % n, _encode(value, f"args[{n}]", content=False))
        for name in sorted(kwargs):
            if name not in self._ignored:
                encoded = _encode(kwargs[name], f"kwargs[{name!r}]", content=False)
                parts += (b"k" + _text(name), encoded)
        return _digest(b"".join(parts))[:16].hex(), self.identity.hex()

    def _add_named(self, parts: list[bytes], kwargs: Mapping[str, Any], given: int) -> None:
        named, extra = self._named, []
        for name, value in kwargs.items():
            slot = named.get(name, _REST)
            if slot is None or (slot is _REST and name in self._ignored):
                continue
            leaf = _LEAVES.get(type(value))
            encoded = (
                leaf(value)
                if leaf
                else _encode(
                    value, f"kwargs[{name!r}]", content=slot.content and name not in PLACES
                )
            )
            if slot.index and self._positions.get(name, given) >= given:
                parts[slot.index] = slot.prefix + encoded
            else:
                extra.append(b"k" + _text(name) + encoded)
        extra.sort()
        parts += extra

    def _study(self) -> list[bytes]:
        """Reads the signature, once. Two threads that do it at the same time find the same."""
        try:
            parameters = list(inspect.signature(self._function).parameters.values())
        except (TypeError, ValueError):
            parameters = []  # written in C: positions and names are kept apart
        start = [b""]
        positional: list[_Slot | None] = []
        named: dict[str, _Slot | None] = {}
        positions: dict[str, int] = {}
        for parameter in parameters:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            slot = None
            if parameter.name not in self._ignored:
                slot = _Slot(len(start), _text(parameter.name), parameter.name not in PLACES)
                start.append(slot.prefix + self._default(parameter))
            if parameter.kind is not parameter.KEYWORD_ONLY:
                positions[parameter.name] = len(positional)
                positional.append(slot)
            if parameter.kind is not parameter.POSITIONAL_ONLY:
                named[parameter.name] = slot
        self._positional, self._named, self._positions = positional, named, positions
        self._start = start
        return start

    def _default(self, parameter: inspect.Parameter) -> bytes:
        return _ABSENT if parameter.default is parameter.empty else _leniently(parameter.default)


_REST = _Slot(0, b"*", content=True)
"""For what no parameter names: further positions in order, further keywords by name."""

_CONSTANT = (types.FunctionType, types.BuiltinFunctionType, types.ModuleType, type)


def _holds(cell: types.CellType, content: Any) -> bool:
    return _content(cell) is content


def _is_constant(value: Any) -> bool:
    """Whether a closed-over value stays what it is as long as the variable is not given another."""
    if isinstance(value, types.FunctionType):
        return not value.__closure__
    return type(value) in _LEAVES or isinstance(value, _CONSTANT)


# ---------------------------------------------------------------------- libraries that may be there
#
# A value of a library's type proves that the library is loaded, so nothing here imports any.


def _from_libraries(cls: type) -> _Describe | None:
    for base in cls.__mro__:
        name = base.__module__.partition(".")[0]
        if name in _LIBRARIES and name not in _added and name in sys.modules:
            _LIBRARIES[name](sys.modules[name])
            _added.add(name)  # last: another thread may do the same meanwhile, and finds the same
    return _exact(cls) or _by_kind(cls)


def _add_zoneinfo(zoneinfo: Any) -> None:
    def zone(value: Any) -> _Parts:
        if value.key is None:
            raise ValueError("it was made from a file and has no key")
        return _Parts(b"ZoneInfo", (value.key,))

    _DESCRIBED[zoneinfo.ZoneInfo] = zone


def _add_numpy(np: Any) -> None:
    def array(value: Any) -> _Described:
        kind, value = type(value), np.asarray(value)
        dtype = value.dtype
        tag = f"{_named(kind)} {dtype.str} {dtype.name} {value.shape}".encode()
        if dtype.names is not None:
            # Field by field: what lies between the fields is nobody's.
            return _Parts(tag, (dtype, *(value[name] for name in dtype.names)))
        if dtype.hasobject or dtype.kind == "T":
            return _Parts(tag, value.ravel().tolist())
        if dtype.char == "G":
            return _Parts(tag, (value.real, value.imag))
        if dtype.char == "g":
            return _Parts(tag, long_doubles(value))
        if not value.size or not dtype.itemsize:
            return _Raw(tag, b"")
        return _Raw(tag, np.ascontiguousarray(value).reshape(-1).view("u1"))

    def long_doubles(value: Any) -> tuple[Any, ...]:
        # Of 16 bytes only 10 are the number's; two doubles and an exponent hold it exactly.
        mantissa, exponent = np.frexp(value)
        high = mantissa.astype("f8")
        with np.errstate(invalid="ignore"):
            low = np.where(np.isfinite(mantissa), mantissa - high, 0).astype("f8")
        return high, low, np.asarray(exponent)

    def masked(value: Any) -> _Parts:
        plain = np.asarray(value.filled(np.zeros((), value.dtype)))
        return _Parts(
            b"MaskedArray", (np.ma.getmaskarray(value), plain, np.asarray(value.fill_value))
        )

    for cls in (np.ndarray, np.memmap, np.recarray, np.matrix):
        _DESCRIBED[cls] = array
    _DESCRIBED[np.ma.MaskedArray] = masked
    _KINDS.extend(
        [
            (np.generic, lambda v: _Parts(_typed(b"scalar ", v), (np.asarray(v),))),
            (np.dtype, lambda v: _Parts(b"dtype", (v.str, repr(v), v.itemsize, v.alignment))),
            (
                (np.ufunc, type(np.sum)),
                lambda v: _Parts(b"numpy function", (v.__module__, v.__name__)),
            ),
        ]
    )


def _add_pandas(pd: Any) -> None:
    extension = pd.api.extensions

    def index(value: Any) -> _Parts:
        items = (*value.names, getattr(value, "freqstr", None), values(value))
        return _Parts(_typed(b"index ", value), items)

    def multi(value: Any) -> _Parts:
        levels = [values(value.get_level_values(n)) for n in range(value.nlevels)]
        return _Parts(b"MultiIndex", (*value.names, *levels))

    def values(value: Any) -> Any:
        found = value.array
        return found.to_numpy() if type(found) is pd.arrays.NumpyExtensionArray else found

    def held(value: Any) -> _Parts:
        tag = _typed(b"array ", value) + str(value.dtype).encode()
        if isinstance(value, pd.Categorical):
            return _Parts(tag, (value.codes, value.categories, value.ordered))
        if hasattr(value, "asi8"):
            return _Parts(tag, (value.asi8,))
        # Missing values and the like: element by element.
        return _Parts(tag, (sys.modules["numpy"].asarray(value, dtype=object),))

    def series(value: Any) -> _Parts:
        items = (value.name, value.index, values(value), value.attrs)
        return _Parts(
            b"Series", items, labels=lambda n: (".name", ".index", ".values", ".attrs")[n]
        )

    def frame(value: Any) -> _Parts:
        columns = [values(value.iloc[:, n]) for n in range(value.shape[1])]
        labels = [".columns", ".index", ".attrs"]
        return _Parts(
            b"DataFrame",
            (value.columns, value.index, value.attrs, *columns),
            labels=lambda n: labels[n] if n < 3 else f"[{_shown(value.columns[n - 3])}]",
        )

    def moment(value: Any) -> _Parts:
        return _Parts(b"Timestamp", (value.isoformat(), value.unit, str(value.tz), value.fold))

    _DESCRIBED.update(
        {
            pd.DataFrame: frame,
            pd.Series: series,
            pd.MultiIndex: multi,
            pd.RangeIndex: lambda v: _Parts(b"RangeIndex", (*v.names, v.start, v.stop, v.step)),
            pd.Timestamp: moment,
            pd.Timedelta: lambda v: _Parts(b"Timedelta", (v.unit, str(v.asm8), v.isoformat())),
            pd.Period: lambda v: _Parts(b"Period", (v.ordinal, v.freqstr)),
            pd.Interval: lambda v: _attributes(b"Interval", v, ("left", "right", "closed")),
            pd.CategoricalDtype: lambda v: _Parts(b"CategoricalDtype", (v.categories, v.ordered)),
            type(pd.NaT): lambda _: _Parts(b"NaT", ()),
            type(pd.NA): lambda _: _Parts(b"NA", ()),
        }
    )
    _KINDS.extend(
        [
            (pd.Index, index),
            (extension.ExtensionArray, held),
            (extension.ExtensionDtype, lambda v: _Parts(_typed(b"dtype ", v), (repr(v),))),
        ]
    )


_LIBRARIES: dict[str, Callable[[Any], None]] = {
    "zoneinfo": _add_zoneinfo,
    "numpy": _add_numpy,
    "pandas": _add_pandas,
}
_added: set[str] = set()
