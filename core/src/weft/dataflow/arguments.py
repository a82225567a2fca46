"""Finds futures and files among the arguments of a call, and puts values in their place later.

``gather`` runs in the caller's thread, so what it finds wrong is raised where the call stands. It
looks inside lists, tuples (named ones too), sets and dicts, however they are nested, or with
``deep=False`` only at the arguments themselves and one level into ``inputs``. Containers that hold
futures are taken apart at the time of the call: what the caller does to them afterwards does not
change the call, and the caller's own containers are never changed. Those that hold none are passed
on as they are.

    gather:  f([a, {"k": future}])  ─▶  Held(list, [a, Held(dict, ["k", future])])
    fill:                           ─▶  [a, {"k": value}]
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from copy import copy
from pathlib import Path, PosixPath
from typing import Any, Final

from weft.errors import CallError
from weft.values.files import File

__all__ = [
    "ATOMS",
    "DEEPEST",
    "Gathered",
    "Held",
    "fill",
    "gather",
    "hold",
    "items_of",
    "leaves",
    "path_of",
    "replaced",
]

ATOMS: Final = frozenset(
    {
        int, float, complex, bool, str, bytes, bytearray, type(None), type(Ellipsis), range, slice,
        Path, PosixPath, type, type(len), type(lambda: 0),
    }
)  # fmt: skip
"""Types, exactly these, that never hold a future: what most arguments are."""

DEEPEST: Final = 200
"""How deep in containers a future may sit."""

_CONTAINERS: Final = (list, tuple, set, frozenset, dict)
_JOINABLE: Final = (list, tuple, dict)

_Fill = Callable[[Any], Any]


class Gathered:
    """What was found: the futures as they were met, the files, and the arguments as they were."""

    __slots__ = ("args", "files", "futures", "kwargs")

    def __init__(
        self,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        futures: list[Future[Any]],
        files: list[File],
    ) -> None:
        self.args, self.kwargs, self.futures, self.files = args, kwargs, futures, files


class Held:
    """A container that holds futures, taken apart.

    Attributes:
        shell: the container's class, or for classes of users an empty or shallow copy, made at the
            time of the call.
        items: what it held; for a dict its keys and values in turn.
    """

    __slots__ = ("items", "shell")

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.items: list[Any] = []


def gather(args: tuple[Any, ...], kwargs: Mapping[str, Any], *, deep: bool) -> Gathered | None:
    """The futures and files among the arguments; ``None`` if there are none.

    Raises:
        CallError: a future sits more than :data:`DEEPEST` containers deep, or in a tuple that
        contains itself.
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
        if kwargs:
            finder.look(kwargs)
    else:
        for value in (*args, *kwargs.values()):
            finder.note(value)
        inputs = kwargs.get("inputs")
        if isinstance(inputs, (list, tuple)) and any(
            [finder.note(value) for value in inputs]  # noqa: C419 - each one is to be noted
        ):
            finder.open.add(id(inputs))
    if not finder.futures:
        return Gathered(args, kwargs, [], finder.files) if finder.files else None
    take = _TakeApart(_CONTAINERS, finder.open)
    return Gathered(
        tuple([take(value) for value in args]),
        {key: take(value) for key, value in kwargs.items()},
        list(dict.fromkeys(finder.futures)),
        finder.files,
    )


def fill(
    args: tuple[Any, ...], kwargs: Mapping[str, Any], value_of: _Fill
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Gathered arguments with each future replaced by ``value_of(future)``."""
    put = _Put(value_of)
    return tuple([put(value) for value in args]), {key: put(value) for key, value in kwargs.items()}


def replaced(
    args: tuple[Any, ...], kwargs: Mapping[str, Any], kind: type, value_of: _Fill
) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """Arguments with each object of a kind replaced by ``value_of(object)``.

    Containers that hold none stay as they are.

    Raises:
        CallError: as ``gather``.
    """
    finder = _Finder(kind)
    finder.look(args)
    finder.look(kwargs)
    if not finder.open:
        return args, kwargs
    take, put = _TakeApart(_CONTAINERS, finder.open), _Put(value_of, kind)
    return tuple([put(take(value)) for value in args]), {
        key: put(take(value)) for key, value in kwargs.items()
    }


def hold(value: Any) -> Any:
    """A structure of lists, tuples and dicts, taken apart as it is, for ``leaves`` and ``fill``.

    Raises:
        CallError: it is more than :data:`DEEPEST` containers deep, or has a tuple that contains
        itself.
    """
    return _TakeApart(_JOINABLE, None)(value)


def leaves(value: Any) -> Iterator[tuple[Any, Any]]:
    """All that is held in what ``hold`` returned, each with the way to it, for :func:`path_of`.

    A container that is held in several places is looked through once.
    """
    seen: set[int] = set()
    stack: list[tuple[Any, Any]] = [(None, value)]
    while stack:
        way, value = stack.pop()
        if type(value) is not Held:
            yield way, value
        elif id(value) not in seen:
            seen.add(id(value))
            items = value.items
            if isinstance(value.shell, dict) or value.shell is dict:
                stack += [((way, items[n]), items[n + 1]) for n in range(len(items) - 2, -1, -2)]
            else:
                stack += [((way, n), items[n]) for n in range(len(items) - 1, -1, -1)]


def path_of(way: Any, start: str) -> str:
    """A way from :func:`leaves` in words, such as ``the result['left'][0]``."""
    keys: list[str] = []
    while way is not None:
        way, key = way
        keys.append(f"[{_shown(key)}]")
    return start + "".join(reversed(keys))


def _shown(key: Any) -> str:
    try:
        return repr(key)
    except Exception:  # noqa: BLE001 - a key is a user's object, and a path is for people
        return f"a {type(key).__name__}"


class _Finder:
    """Walks containers with a stack of its own.

    So depth costs no recursion, and a list within itself is no walk without end.

    Args:
        kind: what opens the containers that hold it.
    """

    def __init__(self, kind: type = Future) -> None:
        self._kind = kind
        self.futures: list[Future[Any]] = []
        self.files: list[File] = []
        self.open: set[int] = set()
        """Ids of the containers that hold, at any depth, something of the kind."""
        self._holders: dict[int, list[int]] = {}
        """For each container, by id, the containers in which it was found."""

    def note(self, value: Any) -> bool:
        """Collect a future or a file. Whether it is of the kind that opens containers."""
        # By the type and not by isinstance, which would wake objects that stand for others that
        # they fetch when touched.
        kind = type(value)
        if issubclass(kind, Future):
            self.futures.append(value)
        elif issubclass(kind, File):
            self.files.append(value)
        return issubclass(kind, self._kind)

    def look(self, root: Any) -> None:
        holders = self._holders
        holders.setdefault(id(root), [])
        stack: list[Any] = [root]
        while stack:
            container = stack.pop()
            here = id(container)
            for value in items_of(container):
                kind = type(value)
                if kind in ATOMS:
                    continue
                if issubclass(kind, _CONTAINERS):
                    known = holders.get(id(value))
                    if known is None:
                        holders[id(value)] = [here]
                        stack.append(value)
                    else:
                        known.append(here)
                        if id(value) in self.open:
                            self._mark(here)
                elif self.note(value):
                    self._mark(here)

    def _mark(self, container: int) -> None:
        above = [container]
        while above:
            one = above.pop()
            if one not in self.open:
                self.open.add(one)
                above += self._holders[one]


def items_of(container: Any) -> Iterator[Any]:
    """What a container holds: for a dict its keys and its values."""
    if isinstance(container, Mapping):
        for key, value in container.items():
            yield key
            yield value
    else:
        yield from container


class _TakeApart:
    """Takes containers apart, each of them once.

    Args:
        kinds: what counts as a container.
        opened: the ids of those to be taken apart; ``None`` for all.
    """

    def __init__(self, kinds: tuple[type, ...], opened: set[int] | None) -> None:
        self._kinds, self._opened = kinds, opened
        self._made: dict[int, Held] = {}
        self._under_way: set[int] = set()

    def __call__(self, value: Any, depth: int = 1) -> Any:
        kind = type(value)
        if kind in ATOMS or not issubclass(kind, self._kinds):
            return value
        key = id(value)
        if self._opened is not None and key not in self._opened:
            return value
        held = self._made.get(key)
        if held is not None:
            if key in self._under_way and issubclass(kind, (tuple, frozenset)):
                raise CallError(
                    f"There is a {kind.__name__} with futures or files in it that contains itself.",
                    why="A copy with values in their place cannot be made of it.",
                    todo="Pass the futures or files as arguments of their own.",
                )
            return held
        if depth > DEEPEST:
            raise CallError(
                f"A future or a file sits more than {DEEPEST} containers deep.",
                why=f"weft looks for them up to {DEEPEST} containers deep.",
                todo="Pass it nearer to the top, for example as an argument of its own.",
            )
        held = self._made[key] = Held(_shell(value, kind))
        self._under_way.add(key)
        held.items = [self(item, depth + 1) for item in items_of(value)]
        self._under_way.remove(key)
        return held


def _shell(value: Any, kind: type) -> Any:
    if kind in _CONTAINERS or issubclass(kind, (tuple, frozenset)):
        return kind
    return copy(value)  # keeps what such a class has besides, as the default of a defaultdict


class _Put:
    """Puts containers together again, with values in place of the futures."""

    def __init__(self, value_of: _Fill, kind: type = Future) -> None:
        self._value_of, self._kind = value_of, kind
        self._made: dict[int, Any] = {}

    def __call__(self, value: Any) -> Any:
        kind = type(value)
        if kind in ATOMS:
            return value
        if kind is Held:
            return self._whole(value)
        return self._value_of(value) if issubclass(kind, self._kind) else value

    def _whole(self, held: Held) -> Any:
        key = id(held)
        made = self._made.get(key, self)
        if made is not self:
            return made
        shell = held.shell
        if isinstance(shell, type) and issubclass(shell, (tuple, frozenset)):
            items = [self(item) for item in held.items]
            made = self._made[key] = shell._make(items) if hasattr(shell, "_make") else shell(items)
            return made
        # Made before its items are, since it may contain itself.
        made = self._made[key] = shell() if isinstance(shell, type) else copy(shell)
        items = [self(item) for item in held.items]
        made.clear()
        if isinstance(made, list):
            made.extend(items)
        elif isinstance(made, dict):
            for n in range(
                0, len(items), 2
            ):  # one by one: an update() may mean something else, as in Counter
                made[items[n]] = items[n + 1]
        else:
            made.update(items)
        return made
