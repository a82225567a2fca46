"""Builds functions and classes from their parts, where they cannot be imported.

The functions here are what packed definitions refer to, so their names are part of the wire format.

A module that a worker cannot import, such as the main script, has a *mirror* there: a module of the
same name, filled with what the functions that came so far use. Objects of its classes can then be
pickled by name in both directions.
"""

from __future__ import annotations

import marshal
import sys
from types import CellType, FunctionType, ModuleType, new_class
from weakref import WeakKeyDictionary, WeakValueDictionary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

__all__ = [
    "begin",
    "bind",
    "cached",
    "came_from_home",
    "fill_class",
    "fill_function",
    "fill_module",
    "imported",
    "key_of",
    "make_cell",
    "make_class",
    "make_enum",
    "make_function",
    "mirrored",
    "others",
    "unwrapped",
]

# A class keeps one key for life, in every process that knows it: what comes back is the class that
# was sent.
_classes: WeakValueDictionary[str, type] = WeakValueDictionary()
_keys: WeakKeyDictionary[type, str] = WeakKeyDictionary()
_unfilled: set[str] = set()
_bound: dict[tuple[str, str], int] = {}
_worker = False
others: set[str] = set()
"""Names of mirrors that this process holds, but for ``__main__``."""


def begin() -> None:
    """Make this process a worker: ``__main__`` becomes a mirror, empty at first."""
    global _worker
    _worker = True
    sys.modules["__main__"] = ModuleType("__main__")
    sys.modules["__main__"].__dict__["__builtins__"] = __builtins__


def key_of(cls: type) -> str:
    """The key by which all processes know this class."""
    key = _keys.get(cls)
    if key is None:
        import os

        key = f"{os.getpid():x}-{os.urandom(8).hex()}"
        _keys[cls] = key
        _classes[key] = cls
    return key


def imported(name: str) -> ModuleType:
    """The module of that name."""
    __import__(name)
    return sys.modules[name]


def unwrapped(module: str, qualname: str, depth: int) -> Any:
    """What a decorated function wraps: ``__wrapped__`` taken ``depth`` times from that name."""
    found: Any = imported(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    for _ in range(depth):
        found = found.__wrapped__
    return found


def mirrored(name: str) -> ModuleType:
    """The module of that name if it is there, else its mirror."""
    module = sys.modules.get(name)
    if module is None:
        parent = name.rpartition(".")[0]
        if parent:  # importing a module by name looks for the packages above it first
            try:
                imported(parent)
            except ImportError:
                mirrored(parent)
        module = sys.modules[name] = ModuleType(name)
        # What compiled code imports in a function of this module is looked for by way of these.
        module.__dict__["__builtins__"] = __builtins__
        others.add(name)
    return module


def came_from_home(thing: Any) -> bool:
    """Whether the client knows this function or class by its name."""
    name = thing.__qualname__.partition(".")[0]
    return ("m" + thing.__module__, name) in _bound


def _namespace(home: str | dict[str, Any]) -> dict[str, Any]:
    """The globals of a function: a module's (``i…``), a mirror's (``m…``), or its own."""
    if isinstance(home, dict):
        home.setdefault("__builtins__", __builtins__)
        return home
    module = imported(home[1:]) if home[0] == "i" else mirrored(home[1:])
    return module.__dict__


def bind(home: str | dict[str, Any], values: Mapping[str, tuple[int, Any]]) -> None:
    """Put values into a mirror.

    What is there already stays if it came from the same object, so that functions that arrive one
    after the other share what they share at home; and names that did not come this way are never
    touched.
    """
    namespace = _namespace(home)
    if isinstance(home, dict):
        namespace.update({name: value for name, (_, value) in values.items()})
        return
    for name, (origin, value) in values.items():
        if name not in namespace or _bound.get((home, name), origin) != origin:
            namespace[name] = value
            _bound[home, name] = origin


def fill_module(_module: ModuleType, state: tuple[str, Mapping[str, Any]]) -> None:
    """The contents of a whole module, put into its mirror."""
    name, contents = state
    bind("m" + name, {key: (id(value), value) for key, value in contents.items()})


def cached(function: Any, maxsize: int | None, typed: bool) -> Any:
    """A function behind an empty cache of its own."""
    import functools

    return functools.lru_cache(maxsize, typed)(function)


def make_cell() -> CellType:
    """An empty cell of a closure; the function that brings it fills it."""
    return CellType()


def make_function(
    code: bytes, home: str | dict[str, Any], name: str, cells: tuple[CellType, ...] | None
) -> FunctionType:
    """A function without its contents, which may refer to it."""
    return FunctionType(marshal.loads(code), _namespace(home), name, None, cells)  # noqa: S302


def fill_function(function: FunctionType, state: tuple[Any, ...]) -> None:
    """The contents of a function made by :func:`make_function`."""
    (qualname, module, doc, defaults, kwdefaults, annotations, attributes, contents, home, used) = (
        state
    )
    function.__qualname__, function.__module__, function.__doc__ = qualname, module, doc
    function.__defaults__, function.__kwdefaults__ = defaults, kwdefaults
    if annotations:
        function.__annotations__ = annotations
    function.__dict__.update(attributes)
    for cell, content in zip(function.__closure__ or (), contents, strict=True):
        if content:
            cell.cell_contents = content[0]
    bind(home, used)


def make_class(
    key: str, meta: type, name: str, bases: tuple[type, ...], first: Mapping[str, Any]
) -> type:
    """A class without its contents; the class itself where it is known here."""
    known = _classes.get(key)
    if known is not None:
        return known
    made = new_class(name, bases, {"metaclass": meta}, lambda namespace: namespace.update(first))
    return _registered(key, made)


def make_enum(
    key: str, meta: Any, name: str, bases: tuple[type, ...], members: Sequence[tuple[str, Any]]
) -> type:
    """An enumeration without its methods; the class itself where it is known here."""
    known = _classes.get(key)
    if known is not None:
        return known
    namespace = meta.__prepare__(name, bases)
    for member, value in members:
        namespace[member] = value
    return _registered(key, meta(name, bases, namespace))


def _registered(key: str, made: type) -> type:
    _classes[key], _keys[made] = made, key
    _unfilled.add(key)
    return made


def fill_class(cls: type, state: tuple[str, str | None, Mapping[str, Any]]) -> None:
    """The contents of a class made by :func:`make_class`, and its name in the mirror."""
    key, home, contents = state
    if key in _unfilled:
        for name, value in contents.items():
            setattr(cls, name, value)
        _unfilled.discard(key)
    if home is not None and _worker:
        namespace = _namespace(home)
        if cls.__name__ not in namespace or (home, cls.__name__) in _bound:
            namespace[cls.__name__] = cls
            _bound[home, cls.__name__] = id(cls)
