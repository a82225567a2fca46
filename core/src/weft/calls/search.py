"""Finds the part of an object that cannot be packed, after packing has failed."""

from __future__ import annotations

from weft.calls.advice import advice_for, last_advice_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

__all__ = ["Culprit", "culprit"]

_DEEPEST = 20
_MOST_TRIES = 2000


class Culprit:
    """The smallest part of an object that cannot be packed.

    Attributes:
        path: how one writes it, such as ``kwargs['x'][3].lock``; empty if every part can be packed.
        todo: what to do about it; empty where nothing better is known than what is always true.
    """

    __slots__ = ("path", "todo")

    def __init__(self, path: str = "", todo: str = "") -> None:
        self.path, self.todo = path, todo


class _Budget:
    def __init__(self, tries: int) -> None:
        self.left = tries


def culprit(
    named: Sequence[tuple[str, Any]],
    dumps: Callable[[Any], object],
    *,
    tries: int = _MOST_TRIES,
) -> Culprit:
    """The smallest part that ``dumps`` refuses, and what to do about it.

    The search is bounded: it looks at no more than ``tries`` objects and goes no more than some
    levels deep; the path to where it gave up is still right, only less precise.
    """
    budget = _Budget(tries)
    seen: set[int] = set()
    for path, thing in named:
        if _refused(thing, dumps, budget):
            found, part = _deeper(path, thing, dumps, budget, seen)
            return Culprit(found, advice_for(part) or last_advice_for(part))
    return Culprit()


def _deeper(
    path: str,
    thing: Any,
    dumps: Callable[[Any], object],
    budget: _Budget,
    seen: set[int],
) -> tuple[str, Any]:
    seen.add(id(thing))
    if len(seen) > _DEEPEST or advice_for(thing):
        return path, thing
    for step, part in _parts(thing):
        if budget.left <= 0:
            break
        if id(part) not in seen and _refused(part, dumps, budget):
            return _deeper(path + step, part, dumps, budget, seen)
    return path, thing


def _refused(thing: Any, dumps: Callable[[Any], object], budget: _Budget) -> bool:
    budget.left -= 1
    try:
        dumps(thing)
    except BaseException:  # noqa: BLE001 - __reduce__ and __getstate__ are anybody's code
        return True
    return False


def _parts(thing: Any) -> Iterator[tuple[str, Any]]:
    """What an object consists of, each with how one writes it after the object's own name."""
    try:
        if isinstance(thing, dict):
            for key, value in thing.items():
                yield f"[{_brief(key)}]", value
            for key in thing:
                yield f" (the key {_brief(key)})", key
        elif isinstance(thing, (list, tuple)):
            for index, value in enumerate(thing):
                yield f"[{index}]", value
        elif isinstance(thing, (set, frozenset)):
            for value in thing:
                yield f" (the member {_brief(value)})", value
        elif type(thing).__name__ == "deque":
            for index, value in enumerate(thing):
                yield f"[{index}]", value
        yield from _callable_parts(thing)
        yield from _attributes(thing)
    except Exception:  # noqa: BLE001 - iteration and repr are anybody's code
        return


def _callable_parts(thing: Any) -> Iterator[tuple[str, Any]]:
    kind = type(thing).__name__
    if kind == "partial":
        yield ".func", thing.func
        for index, value in enumerate(thing.args):
            yield f".args[{index}]", value
        for name, value in thing.keywords.items():
            yield f".keywords[{name!r}]", value
    elif kind in {"method", "builtin_function_or_method"}:
        yield ".__self__", thing.__self__
        if kind == "method":
            yield ".__func__", thing.__func__
    code = getattr(thing, "__code__", None)
    if code is not None and kind == "function":
        yield from _function_parts(thing, code)


def _attributes(thing: Any) -> Iterator[tuple[str, Any]]:
    own = getattr(thing, "__dict__", None)
    if own is not None:
        for name, value in own.items():
            if not (isinstance(thing, type) and name in _EVERY_CLASS_HAS):
                yield f".{name}", value
    for cls in type(thing).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(thing, name):
                yield f".{name}", getattr(thing, name)


_EVERY_CLASS_HAS = frozenset({"__dict__", "__weakref__", "__module__", "__doc__", "__qualname__"})


def _function_parts(function: Any, code: Any) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield f" (its variable {name!r})", cell.cell_contents
        except ValueError:
            continue
    defaults = function.__defaults__ or ()
    positional = code.co_varnames[: code.co_argcount]
    for name, value in zip(positional[len(positional) - len(defaults) :], defaults, strict=False):
        yield f" (its default of {name!r})", value
    for name, value in (function.__kwdefaults__ or {}).items():
        yield f" (its default of {name!r})", value
    from weft.calls.byvalue import used_globals

    for name in used_globals(code):
        if name in function.__globals__:
            yield f" (the global {name!r})", function.__globals__[name]


def _brief(thing: Any) -> str:
    text = repr(thing)
    return text if len(text) <= 60 else text[:57] + "..."
