"""Finds futures and files among the arguments of a call, and puts values in their place when they are there.

``gather`` runs in the caller's thread, so what it finds wrong is raised where the call stands. It looks inside lists, tuples
(named ones too), sets and dicts, however they are nested, or with ``deep=False`` only at the arguments themselves and one
level into ``inputs``. Containers that hold futures are copied at the time of the call: what the caller does to them
afterwards does not change the call, and the caller's own containers are never changed.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path, PosixPath
from typing import Any, Final

from weft.errors import CallError
from weft.values.files import File

__all__ = ["ATOMS", "DEEPEST", "Gathered", "fill", "gather", "items_of"]

ATOMS: Final = frozenset(
    {
        int, float, complex, bool, str, bytes, bytearray, type(None), type(Ellipsis), range, slice,
        date, datetime, timedelta, Decimal, Path, PosixPath, type, type(len), type(lambda: 0),
    }
)  # fmt: skip
"""Types, exactly these, that never hold a future: what most arguments are."""

DEEPEST: Final = 200
"""How deep in containers a future may sit."""

_CONTAINERS: Final = (list, tuple, set, frozenset, dict)


class Gathered:
    """What was found: the futures in the order of their discovery, the files, and the arguments as they were at the call."""

    __slots__ = ("args", "files", "futures", "kwargs")

    def __init__(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], futures: list[Future[Any]], files: list[File]
    ) -> None:
        self.args, self.kwargs, self.futures, self.files = args, kwargs, futures, files


def gather(args: tuple[Any, ...], kwargs: Mapping[str, Any], *, deep: bool) -> Gathered | None:
    """The futures and files among the arguments; ``None`` if there are none.

    Raises:
        CallError: a future sits more than :data:`DEEPEST` containers deep.
    """
    for value in args:
        if type(value) not in ATOMS:
            break
    else:
        if not kwargs:
            return None
        for value in kwargs.values():
            if type(value) not in ATOMS:
                break
        else:
            return None
    finder = _Finder()
    if deep:
        finder.look(args)
        finder.look(kwargs)
    else:
        for value in (*args, *kwargs.values()):
            finder.note(value)
        inputs = kwargs.get("inputs")
        if isinstance(inputs, (list, tuple)):
            finder.open.add(id(inputs))
            for value in inputs:
                finder.note(value)
    if not finder.futures:
        return Gathered(args, kwargs, [], finder.files) if finder.files else None
    finder.open.update((id(args), id(kwargs)))
    copied_args = _copy(args, finder.open, _same)
    copied_kwargs = _copy(kwargs, finder.open, _same)
    return Gathered(copied_args, copied_kwargs, list(dict.fromkeys(finder.futures)), finder.files)


def fill(value: Any, value_of: Callable[[Future[Any]], Any]) -> Any:
    """A copy of a gathered structure with each future replaced by ``value_of(future)``."""
    return _copy(value, None, value_of)


class _Finder:
    """Walks containers with a stack of its own, so that depth costs no recursion and a list within itself no for-ever."""

    def __init__(self) -> None:
        self.futures: list[Future[Any]] = []
        self.files: list[File] = []
        self.open: set[int] = set()
        """Ids of the containers that hold, at any depth, a future."""

    def note(self, value: Any) -> bool:
        if isinstance(value, Future):
            self.futures.append(value)
            return True
        if isinstance(value, File):
            self.files.append(value)
        return False

    def look(self, root: Any) -> None:
        # A link is (id of a container, depth, the link above it).
        seen = {id(root)}
        stack: list[tuple[Any, tuple[int, int, Any]]] = [(root, (id(root), 0, None))]
        while stack:
            container, link = stack.pop()
            for value in items_of(container):
                kind = type(value)
                if kind in ATOMS:
                    continue
                if self.note(value):
                    self._mark(link)
                elif isinstance(value, _CONTAINERS) and id(value) not in seen:
                    seen.add(id(value))
                    stack.append((value, (id(value), link[1] + 1, link)))

    def _mark(self, link: tuple[int, int, Any]) -> None:
        if link[1] > DEEPEST:
            raise CallError(
                f"A future sits {link[1]} containers deep among the arguments.",
                why=f"weft looks for futures up to {DEEPEST} containers deep.",
                todo="Pass it nearer to the top, for example as an argument of its own.",
            )
        step: tuple[int, int, Any] | None = link
        while step is not None and step[0] not in self.open:
            self.open.add(step[0])
            step = step[2]


def items_of(container: Any) -> Iterator[Any]:
    """What a container holds: for a dict its keys and its values."""
    if isinstance(container, Mapping):
        for key, value in container.items():
            yield key
            yield value
    else:
        yield from container


def _same(future: Future[Any]) -> Future[Any]:
    return future


def _copy(value: Any, opened: set[int] | None, value_of: Callable[[Future[Any]], Any], depth: int = 0) -> Any:
    if type(value) in ATOMS:
        return value
    if isinstance(value, Future):
        return value_of(value)
    if depth > DEEPEST + 1 or not isinstance(value, _CONTAINERS) or (opened is not None and id(value) not in opened):
        return value
    if isinstance(value, dict):
        return {
            _copy(key, opened, value_of, depth + 1): _copy(item, opened, value_of, depth + 1)
            for key, item in value.items()
        }
    items = [_copy(item, opened, value_of, depth + 1) for item in value]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*items)
    for kind in (list, tuple, set, frozenset):
        if isinstance(value, kind):
            return kind(items)
    return value
