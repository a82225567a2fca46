"""Finds the part of an object that cannot be packed, after packing has failed."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

__all__ = ["culprit"]

_DEEPEST = 20
_MOST_TRIES = 2000


class _Budget:
    def __init__(self, tries: int) -> None:
        self.left = tries


def culprit(
    named: Sequence[tuple[str, Any]],
    dumps: Callable[[Any], object],
    *,
    tries: int = _MOST_TRIES,
) -> str:
    """The path to the smallest part that ``dumps`` refuses, such as ``kwargs['x'][3]._lock``.

    The search is bounded: it looks at no more than ``tries`` objects and goes no more than some
    levels deep; the path to where it gave up is still right, only less precise. An empty string
    means that every part can be packed by itself.
    """
    budget = _Budget(tries)
    seen: set[int] = set()
    for path, thing in named:
        if _refused(thing, dumps, budget):
            return _deeper(path, thing, dumps, budget, seen)
    return ""


def _deeper(
    path: str,
    thing: Any,
    dumps: Callable[[Any], object],
    budget: _Budget,
    seen: set[int],
) -> str:
    seen.add(id(thing))
    if len(seen) > _DEEPEST:
        return path
    for step, part in _parts(thing):
        if budget.left <= 0:
            return path
        if id(part) not in seen and _refused(part, dumps, budget):
            return _deeper(path + step, part, dumps, budget, seen)
    return path


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
        yield from _attributes(thing)
    except Exception:  # noqa: BLE001 - iteration and repr are anybody's code
        return


def _attributes(thing: Any) -> Iterator[tuple[str, Any]]:
    code = getattr(thing, "__code__", None)
    if code is not None:
        yield from _function_parts(thing, code)
    own = getattr(thing, "__dict__", None)
    if isinstance(own, dict):
        for name, value in own.items():
            yield f".{name}", value
    for cls in type(thing).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(thing, name):
                yield f".{name}", getattr(thing, name)


def _function_parts(function: Any, code: Any) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield f" (its variable {name!r})", cell.cell_contents
        except ValueError:
            continue
    for number, value in enumerate(function.__defaults__ or ()):
        yield f" (its default {number})", value
    from weft.calls.byvalue import used_globals

    for name in used_globals(code):
        if name in function.__globals__:
            yield f" (the global {name!r})", function.__globals__[name]


def _brief(thing: Any) -> str:
    text = repr(thing)
    return text if len(text) <= 60 else text[:57] + "..."
