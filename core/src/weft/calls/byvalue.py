"""Pickles functions and classes with their contents, where the other side cannot import them.

Pickle writes functions and classes as names. That is right for what can be imported, and wrong for
the main script, closures, lambdas, and modules that were loaded in some other way: there the name
means nothing on a worker, or something else. :func:`dumps` writes such objects as parts, for
:mod:`weft.calls.mirror` to build again.

Only the global names that the code of a function really uses go with it.
"""

from __future__ import annotations

import dis
import enum
import functools
import importlib.machinery
import io
import marshal
import pickle
import sys
import types
from types import CellType, CodeType, FunctionType, ModuleType

from weft.calls import mirror

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

__all__ = ["dumps", "importable", "reference", "strangers", "within"]

_known: dict[str, bool] = {"__main__": False, "__mp_main__": False, "builtins": True}


NONE: frozenset[str] = frozenset()


def within(name: str, packages: frozenset[str]) -> bool:
    """Whether a module is one of these packages, or in one."""
    while name:
        if name in packages:
            return True
        name = name.rpartition(".")[0]
    return False


def importable(name: str | None, strange: frozenset[str] = NONE) -> bool:
    """Whether a fresh interpreter with the same path would import that module, and get the same.

    Args:
        name: of the module.
        strange: packages that workers do not have, as the user says.
    """
    if name is None or (strange and within(name, strange)):
        return False
    answer = _known.get(name)
    if answer is None:
        answer = _known[name] = _would_import(name)
    return answer


def _would_import(name: str) -> bool:
    module = sys.modules.get(name)
    if module is None:
        return False
    path = None
    if "." in name:
        parent = name.rpartition(".")[0]
        if not importable(parent):
            return False
        path = getattr(sys.modules[parent], "__path__", None)
        if path is None:  # such as os.path, which its parent puts into sys.modules
            return module.__spec__ is not None
    for finder in sys.meta_path:
        found = _asked(finder, name, path)
        if found is not None:
            return _same(found, module)
    return False


def _asked(finder: Any, name: str, path: Any) -> importlib.machinery.ModuleSpec | None:
    try:
        spec: importlib.machinery.ModuleSpec | None = finder.find_spec(name, path)
    except Exception:  # noqa: BLE001 - a finder is anybody's code
        return None
    return spec


def _same(spec: importlib.machinery.ModuleSpec, module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    return file is None or spec.origin is None or spec.origin == file or not spec.has_location


def reference(thing: Any, strange: frozenset[str] = NONE) -> tuple[str, str, int] | None:
    """Where a worker finds this very object: module, name, how often to take ``__wrapped__``."""
    module, qualname = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(qualname, str) or "<" in qualname:
        return None
    if not importable(module, strange):
        return None
    found: Any = sys.modules[module]
    for part in qualname.split("."):
        found = getattr(found, part, None)
    for depth in range(8):
        if found is thing:
            return module, qualname, depth
        found = getattr(found, "__wrapped__", None)
    return None


def used_globals(code: CodeType) -> Iterator[str]:
    """The global names that this code, or code defined within it, reads or writes."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in _GLOBAL_OPERATIONS:
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from used_globals(constant)


_GLOBAL_OPERATIONS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL"})
_NOT_GLOBALS = frozenset({"__builtins__", "__loader__", "__spec__", "__cached__"})
_NOT_CONTENTS = frozenset(
    {
        "__dict__",
        "__weakref__",
        "__module__",
        "__qualname__",
        "__slots__",
        "__slotnames__",
        "_abc_impl",
    }
    | {"_abc_cache", "_abc_negative_cache", "_abc_negative_cache_version", "_abc_registry"}
    | {"__static_attributes__", "__firstlineno__", "__annotate__", "__annotations_cache__"}
)


class _Pickler(pickle.Pickler):
    """Pickle, but for functions, classes and what they are made of."""

    # For functions whose globals are no module's: the dictionary that stands for theirs, one for
    # each of theirs.
    namespaces: dict[int, dict[str, Any]]
    strange: frozenset[str]

    def reducer_override(self, thing: Any) -> Any:
        kind = type(thing)
        if kind is FunctionType:
            return _reduced_function(thing, self.namespaces, self.strange)
        make = _REDUCERS.get(kind)
        if make is not None:
            return make(thing, self.strange)
        if issubclass(kind, type):
            return _reduced_class(thing, self.strange)
        return NotImplemented


def dumps(
    thing: Any,
    buffer_callback: Callable[[pickle.PickleBuffer], Any] | None = None,
    strange: frozenset[str] = NONE,
) -> bytes:
    """As ``pickle.dumps``, with by-value definitions of what cannot be imported elsewhere.

    Args:
        thing: what to pickle.
        buffer_callback: as of ``pickle.dumps``.
        strange: packages that workers do not have, although they can be imported here.
    """
    out = io.BytesIO()
    pickler = _Pickler(out, 5, buffer_callback=buffer_callback)
    pickler.namespaces, pickler.strange = {}, strange
    pickler.dump(thing)
    return out.getvalue()


def _home(
    module: str | None,
    namespace: dict[str, Any],
    others: dict[int, dict[str, Any]],
    strange: frozenset[str],
) -> str | dict[str, Any]:
    """Whose namespace a function's globals are: a module's, a mirror's, or one of its own."""
    owner = sys.modules.get(module) if module else None
    if module and owner is not None and owner.__dict__ is namespace:
        return ("i" if importable(module, strange) else "m") + module
    return others.setdefault(id(namespace), {})


def _reduced_function(
    function: FunctionType, namespaces: dict[int, dict[str, Any]], strange: frozenset[str]
) -> Any:
    where = reference(function, strange)
    if where is not None:
        return NotImplemented if where[2] == 0 else (mirror.unwrapped, where)
    home = _home(function.__module__, function.__globals__, namespaces, strange)
    used = {} if isinstance(home, str) and home[0] == "i" else _used(function)
    cells = function.__closure__
    state = (
        function.__qualname__,
        function.__module__,
        function.__doc__,
        function.__defaults__,
        function.__kwdefaults__,
        function.__annotations__,
        function.__dict__,
        [_content(cell) for cell in cells or ()],
        home,
        used,
    )
    code = marshal.dumps(function.__code__)
    made = (code, home, function.__name__, cells)
    return (mirror.make_function, made, state, None, None, mirror.fill_function)


def _used(function: FunctionType) -> dict[str, tuple[int, Any]]:
    namespace = function.__globals__
    names = dict.fromkeys(used_globals(function.__code__))
    return {
        name: (id(namespace[name]), namespace[name])
        for name in names
        if name in namespace and name not in _NOT_GLOBALS
    }


def _content(cell: CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:  # not filled yet
        return ()


def _reduced_class(cls: type, strange: frozenset[str]) -> Any:
    if reference(cls, strange) is not None:
        return NotImplemented
    if cls.__module__ == "builtins":
        return _unnamed_builtin(cls)
    key = mirror.key_of(cls)
    home = None
    if "." not in cls.__qualname__:
        owner = sys.modules.get(cls.__module__)
        if owner is not None and getattr(owner, cls.__name__, None) is cls:
            home = "m" + cls.__module__
    if isinstance(cls, enum.EnumMeta):
        return _reduced_enum(cls, key, home)
    first = {"__module__": cls.__module__, "__qualname__": cls.__qualname__}
    if "__slots__" in cls.__dict__:
        first["__slots__"] = cls.__dict__["__slots__"]
    slots = _slot_names(cls)
    contents = {
        name: value
        for name, value in cls.__dict__.items()
        if name not in _NOT_CONTENTS and name not in slots
    }
    made = (key, type(cls), cls.__name__, cls.__bases__, first)
    return (mirror.make_class, made, (key, home, contents), None, None, mirror.fill_class)


def _slot_names(cls: type) -> frozenset[str]:
    member = types.MemberDescriptorType
    getset = types.GetSetDescriptorType
    return frozenset(
        name for name, value in cls.__dict__.items() if isinstance(value, (member, getset))
    )


def _reduced_enum(cls: type, key: str, home: str | None) -> Any:
    members = [(name, member._value_) for name, member in cls.__members__.items()]  # type: ignore[attr-defined]
    taken = {name for name, _ in members}
    contents: dict[str, Any] = {
        name: value
        for name, value in cls.__dict__.items()
        if name not in taken
        and name not in _NOT_CONTENTS
        and (isinstance(value, (FunctionType, property, classmethod, staticmethod)))
        and name not in {"__new__", "__reduce_ex__", "_generate_next_value_"}
    }
    contents |= {"__module__": cls.__module__, "__qualname__": cls.__qualname__}
    made = (key, type(cls), cls.__name__, cls.__bases__, members)
    return (mirror.make_enum, made, (key, home, contents), None, None, mirror.fill_class)


def _unnamed_builtin(cls: type) -> Any:
    for name, value in vars(types).items():
        if value is cls:
            return (getattr, (types, name))
    return NotImplemented


def _reduced_module(module: ModuleType, strange: frozenset[str]) -> Any:
    name = module.__name__
    if not strange or not within(name, strange):
        return (mirror.imported, (name,))
    contents = {key: value for key, value in vars(module).items() if key not in _OF_ITS_OWN}
    return (mirror.mirrored, (name,), (name, contents), None, None, mirror.fill_module)


_OF_ITS_OWN = _NOT_GLOBALS | {"__builtins__", "__file__", "__name__", "__package__", "__path__"}


def _reduced_cache(wrapper: Any, strange: frozenset[str]) -> Any:
    if reference(wrapper, strange) is not None:
        return NotImplemented
    parameters = wrapper.cache_parameters()
    return (mirror.cached, (wrapper.__wrapped__, parameters["maxsize"], parameters["typed"]))


def _reduced_typevar(variable: Any, strange: frozenset[str]) -> Any:
    if importable(variable.__module__, strange):
        return NotImplemented
    return (type(variable), (variable.__name__,))


def _dataclass_mark(mark: Any, _strange: frozenset[str]) -> Any:
    import dataclasses

    for name, value in vars(dataclasses).items():
        if value is mark:
            return (getattr, (dataclasses, name))
    return NotImplemented


_REDUCERS: dict[type, Callable[[Any, frozenset[str]], Any]] = {
    type(functools.cache(len)): _reduced_cache,
    ModuleType: _reduced_module,
    CellType: lambda _cell, _: (mirror.make_cell, ()),
    CodeType: lambda code, _: (marshal.loads, (marshal.dumps(code),)),
    types.MappingProxyType: lambda proxy, _: (types.MappingProxyType, (dict(proxy),)),
    property: lambda p, _: (property, (p.fget, p.fset, p.fdel, p.__doc__)),
    classmethod: lambda method, _: (classmethod, (method.__func__,)),
    staticmethod: lambda method, _: (staticmethod, (method.__func__,)),
}


def _learn_marks() -> None:
    """Objects that other modules compare by identity must arrive as themselves."""
    import dataclasses
    import typing

    _REDUCERS[typing.TypeVar] = _reduced_typevar
    for mark in ("MISSING", "KW_ONLY", "_FIELD", "_FIELD_CLASSVAR", "_FIELD_INITVAR"):
        found = getattr(dataclasses, mark, None)
        if found is not None:
            _REDUCERS[type(found)] = _dataclass_mark


_learn_marks()


class _Finder(pickle.Pickler):
    """Pickles, and notes functions and classes whose name is strange to a worker."""

    found: dict[int, Any]
    strange: frozenset[str]

    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, (type, FunctionType)) and not importable(
            thing.__module__, self.strange
        ):
            self.found[id(thing)] = thing
        return NotImplemented


class _Nowhere(io.RawIOBase):
    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return len(data)


def strangers(thing: Any, strange: frozenset[str] = NONE) -> list[Any]:
    """Functions and classes in a picklable object that workers cannot import by name."""
    finder = _Finder(_Nowhere(), 5, buffer_callback=lambda _buffer: None)
    finder.found, finder.strange = {}, strange
    finder.dump(thing)
    return list(finder.found.values())
