"""Which nodes of a block each task gets: a state machine that knows no clock, process or socket.

    wait ──▶ waiting, by priority and arrival ──allot──▶ has nodes ──free──▶ gone
                 └────────────cancel──────────────────────────────────────▶ gone

*Rule.* Nodes go to whoever is first: lower priority numbers before higher ones, and first come,
first served within one. Nobody passes one that is first and finds too few nodes free. So whoever
waits gets nodes once those before it have ended, whatever comes later of its own priority, and
small tasks do not starve a big one. (What comes to a block was chosen by the interchange so that it
fits. There, small tasks run beside a big one that waits, in what it leaves over.)

*Choice.* Nodes side by side, the smallest gap that is enough, since schedulers list neighbours side
by side; the first free ones where no gap is enough.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from heapq import heappop, heappush
from typing import Generic, TypeVar

__all__ = ["Packing"]

K = TypeVar("K", bound=Hashable)


class Packing(Generic[K]):
    """The nodes of one block.

    Args:
        nodes: their names, each once, neighbours side by side.
    """

    def __init__(self, nodes: Sequence[str]) -> None:
        if len(set(nodes)) != len(nodes):
            raise ValueError(f"a node is named twice: {', '.join(nodes)}")
        self.nodes = tuple(nodes)
        self._free = [True] * len(nodes)
        self._room = len(nodes)
        self._held: dict[K, list[int]] = {}
        self._waiting: dict[K, int] = {}
        # Entries of those that wait no more stay until they are first.
        self._turns: list[tuple[int, int, K]] = []
        self._turn_of: dict[K, int] = {}
        self._came = 0

    @property
    def free(self) -> int:
        """Nodes that nobody has."""
        return self._room

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def wait(self, key: K, count: int, priority: int = 0) -> None:
        """Somebody wants so many nodes.

        Raises:
            ValueError: there are not as many, or the key is here already.
        """
        if not 1 <= count <= len(self.nodes):
            raise ValueError(f"{count} nodes are asked for, of {len(self.nodes)}")
        if key in self._waiting or key in self._held:
            raise ValueError(f"{key!r} is here already")
        self._came += 1
        self._waiting[key] = count
        self._turn_of[key] = self._came
        heappush(self._turns, (priority, self._came, key))

    def cancel(self, key: K) -> bool:
        """Somebody wants none any more. Returns whether it waited."""
        self._turn_of.pop(key, None)
        return self._waiting.pop(key, None) is not None

    def clear(self) -> list[K]:
        """Nobody waits any more; returns who did, in the order of their turns."""
        left = [
            key
            for _, came, key in sorted(self._turns, key=lambda turn: turn[:2])
            if self._turn_of.get(key) == came
        ]
        self._turns.clear()
        self._waiting.clear()
        self._turn_of.clear()
        return left

    def allot(self) -> list[tuple[K, tuple[str, ...]]]:
        """Give nodes to those whose turn it is, as far as there are enough free ones."""
        given: list[tuple[K, tuple[str, ...]]] = []
        while self._turns:
            _, came, key = self._turns[0]
            if self._turn_of.get(key) != came:
                heappop(self._turns)
                continue
            count = self._waiting[key]
            if count > self._room:
                break
            heappop(self._turns)
            del self._waiting[key], self._turn_of[key]
            chosen = self._chosen(count)
            for at in chosen:
                self._free[at] = False
            self._room -= count
            self._held[key] = chosen
            given.append((key, tuple(self.nodes[at] for at in chosen)))
        return given

    def held(self, key: K) -> tuple[str, ...]:
        """The nodes that somebody has; none if it has none."""
        return tuple(self.nodes[at] for at in self._held.get(key, ()))

    def give_back(self, key: K) -> bool:
        """Somebody is done with its nodes. Returns whether it had any."""
        held = self._held.pop(key, None)
        if held is None:
            return False
        for at in held:
            self._free[at] = True
        self._room += len(held)
        return True

    def _chosen(self, count: int) -> list[int]:
        best: tuple[int, int] | None = None
        at, total = 0, len(self.nodes)
        while at < total:
            end = at
            while end < total and self._free[end]:
                end += 1
            if end - at >= count and (best is None or end - at < best[0]):
                best = end - at, at
            at = end + 1
        if best is not None:
            return list(range(best[1], best[1] + count))
        free = [at for at in range(total) if self._free[at]]
        return free[:count]
