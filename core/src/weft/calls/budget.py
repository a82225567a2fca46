"""Tells, once per app, that its calls carry more than they should.

Arguments travel with each call, through every process on the way. What is larger than it needs to
be costs more than all else that a task costs, and nobody sees it.
"""

from __future__ import annotations

import io
import pickle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from weft.calls.call import Call

__all__ = ["Budget"]

_MOST_TRIES = 500
_MAIN = 0.8
"""Part of the whole from which on a part of it is named in its place."""


class Budget:
    """How much a call may carry before somebody is told. Belongs to one thread.

    Args:
        most: bytes.
        tell: gets a level and a text, as ``notice`` of a context.
    """

    def __init__(self, most: int, tell: Callable[[str, str], None]) -> None:
        self.most, self._tell = most, tell
        self._told: set[str] = set()

    @classmethod
    def of(cls, most: int | None, tell: Callable[[str, str], None]) -> Budget | None:
        """A budget, where there is one."""
        return None if most is None else cls(most, tell)

    def weigh(
        self,
        call: Call,
        function: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        app: str,
    ) -> None:
        """Look at a call that was packed, and tell if it is too large, once for each app."""
        if app in self._told:
            return
        size = call.size
        if size <= self.most:
            return
        self._told.add(app)
        path, part = _largest(args, kwargs)
        from weft.calls.packing import parameter_of

        name = parameter_of(function, path)
        which = f"{path} (in the parameter {name!r})" if name else path
        self._tell(
            "warning",
            f"A call of {app!r} carries {_shown(size)} to a worker, {_shown(part)} of it in "
            f"{which}. Each call does so by itself. For what many calls use, pass "
            "weft.shared(...); for what is in a file, pass a weft.File or its path; for large "
            "values between tasks, choose a serializer that leaves them in a store, such as "
            "'proxystore'. This is told once per app, from argument_budget of the executor on "
            f"({_shown(self.most)}).",
        )


def _shown(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def _largest(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[str, int]:
    """The path to what makes the arguments large, and its bytes; bounded, as of ``culprit``."""
    named = [(f"args[{at}]", value) for at, value in enumerate(args)]
    named += [(f"kwargs[{name!r}]", value) for name, value in kwargs.items()]
    sized = [(_size(value), path, value) for path, value in named]
    size, path, value = max(sized, key=lambda one: one[0])
    left = _MOST_TRIES
    while True:
        inside = _parts_of(value)
        if not inside or len(inside) > left:
            return path, size
        left -= len(inside)
        part, step, found = max(
            ((_size(one), step, one) for step, one in inside), key=lambda one: one[0]
        )
        if part < _MAIN * size or part == 0:
            return path, size
        size, path, value = part, path + step, found


def _parts_of(value: Any) -> list[tuple[str, Any]]:
    if type(value) in {list, tuple}:
        return [(f"[{at}]", one) for at, one in enumerate(value)]
    if type(value) is dict:
        return [(f"[{key!r:.60}]", one) for key, one in value.items()]
    own = getattr(value, "__dict__", None)
    return [(f".{name}", one) for name, one in own.items()] if type(own) is dict else []


class _Counts(io.RawIOBase):
    """Takes what pickle writes, and keeps nothing but its size."""

    def __init__(self) -> None:
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self.size += size
        return size


def _size(value: Any) -> int:
    """The bytes of its pickle; 0 if pickle refuses it."""
    counts = _Counts()
    try:
        pickle.Pickler(counts, 5).dump(value)
    except BaseException:  # noqa: BLE001 - __reduce__ is anybody's code, and the call was packed
        return counts.size
    return counts.size
