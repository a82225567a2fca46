"""Which stored object is needed by whom, and when it may go. Pure; owned by whoever locks it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from weft.values.task import TaskId

__all__ = ["Book"]


class Book:
    """Who needs which object of a store: tasks, by their numbers, and proxies of this process."""

    def __init__(self) -> None:
        self._tasks_of: dict[str, set[TaskId]] = {}
        self._keys_of: dict[TaskId, set[str]] = {}
        self._held: dict[str, int] = {}

    def __contains__(self, key: object) -> bool:
        return key in self._tasks_of

    def keys(self) -> Sequence[str]:
        """All objects that are there."""
        return tuple(self._tasks_of)

    def need(self, key: str, task: TaskId | None) -> None:
        """A task needs an object until it has ended; ``None`` for as long as the run goes on."""
        if task is None:
            self.hold(key)
            return
        self._tasks_of.setdefault(key, set()).add(task)
        self._keys_of.setdefault(task, set()).add(key)

    def hold(self, key: str) -> None:
        """A proxy of this process needs an object."""
        self._tasks_of.setdefault(key, set())
        self._held[key] = self._held.get(key, 0) + 1

    def let_go(self, key: str) -> list[str]:
        """A proxy is no more. Returns what may go: the object, or nothing."""
        left = self._held.get(key, 0) - 1
        if left > 0:
            self._held[key] = left
            return []
        self._held.pop(key, None)
        return self._free([key])

    def ended(self, tasks: Iterable[TaskId]) -> list[str]:
        """Tasks have ended for good. Returns the objects that nobody needs any more."""
        touched: list[str] = []
        for task in tasks:
            for key in self._keys_of.pop(task, ()):
                self._tasks_of[key].discard(task)
                touched.append(key)
        return self._free(touched)

    def _free(self, keys: Iterable[str]) -> list[str]:
        free = [
            key
            for key in dict.fromkeys(keys)
            if key in self._tasks_of and not self._tasks_of[key] and key not in self._held
        ]
        for key in free:
            del self._tasks_of[key]
        return free
