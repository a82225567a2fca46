"""Threads that take work from one queue.

    put(item) ──▶ queue ──▶ weft-<name>-1 … n: run(item)

A thread that is about to wait for a future of this session says so (``dataflow.futures`` asks
through ``stand_in``), and another thread stands in for it meanwhile; so tasks that wait for tasks
never run a pool dry.
"""

import sys
import threading
from _thread import LockType, allocate_lock
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, Generic, TypeVar

from weft.workers.waiting import NOTICED

__all__ = ["Retire", "ThreadPool", "blocking"]

Item = TypeVar("Item")


class Retire(BaseException):
    """Raised by ``run`` to end its thread, after :meth:`ThreadPool.replace` was called for it."""


class _Blocking(threading.local):
    """What a thread of a pool enters around a wait, and whose thread it is.

    Nothing in threads that belong to no pool.
    """

    stand_in: "Callable[[], _StandIn] | None" = None
    owner: str = ""


blocking = _Blocking()


class ThreadPool(Generic[Item]):
    """Up to ``size`` threads, started as work comes, that run items in the order of ``put``.

    Args:
        name: threads are called ``weft-<name>-<n>``.
        size: how many run at once, those that wait for futures not counted.
        run: what is done with an item. It must not raise anything but :class:`Retire`.
        owner: the ``run_id`` of the session whose work it does, which a thread must not wait for.
    """

    def __init__(self, name: str, size: int, run: Callable[[Item], None], owner: str = "") -> None:
        self._name, self._size, self._run, self._owner = name, size, run, owner
        self._queue: _Line[Item | None] = _Line()
        self._lock = threading.Lock()
        self._gone = threading.Condition(self._lock)
        self._until = float("inf")
        self._threads: dict[int, threading.Thread] = {}
        self._started = self._named = 0
        self._blocked = 0
        self._replaced = 0
        self._closing = False

    @property
    def size(self) -> int:
        """Threads that run at once."""
        return self._size

    def put(self, item: Item) -> None:
        """Give work. From any thread; never blocks."""
        self._queue.put(item)
        if self._started < self._size:
            with self._lock:
                if self._started < self._size and not self._closing:
                    self._start()

    def drain(self) -> list[Item]:
        """Take back what no thread has taken."""
        taken: list[Item] = []
        while True:
            try:
                item = self._queue.taken()
            except IndexError:
                return taken
            if item is not None:
                taken.append(item)

    def replace(self) -> None:
        """Start a thread in place of one that does not come back.

        That one must raise :class:`Retire` if it ever does.
        """
        with self._lock:
            self._replaced += 1
            if not self._closing:
                self._start()

    def close(self, timeout: float) -> list[str]:
        """End the threads when they have finished what they run now, and drop what nobody took.

        May be called again, also while the first call blocks: the shortest timeout counts for all.

        Returns:
            The names of threads that did not end in ``timeout`` seconds. They are daemons and
            end with the program.
        """
        me = threading.current_thread()
        until = monotonic() + timeout
        with self._lock:
            self._until = min(self._until, until)
            threads = [one for one in self._threads.values() if one is not me]
            if not self._closing:
                self._closing = True
                self.drain()
                for _ in self._threads:
                    self._queue.put(None)
            self._gone.notify_all()
            while (seconds := self._until - monotonic()) > 0 and self._others(me):
                self._gone.wait(min(seconds, NOTICED))
            left = self._others(me)
        for thread in threads:
            if thread not in left:
                thread.join()
        return [thread.name for thread in left]

    def _others(self, me: threading.Thread) -> list[threading.Thread]:
        return [one for one in self._threads.values() if one is not me]

    def _start(self) -> None:
        self._started += 1
        self._named += 1
        number = self._named
        thread = threading.Thread(
            target=self._work, args=(number,), name=f"weft-{self._name}-{number}", daemon=True
        )
        self._threads[number] = thread
        thread.start()

    def _work(self, number: int) -> None:
        blocking.stand_in, blocking.owner = self._stand_in, self._owner
        get, run = self._queue.get, self._run
        bed = allocate_lock()
        bed.acquire()
        try:
            while (item := get(bed)) is not None:
                try:
                    run(item)
                except Retire:
                    return
                except BaseException:  # noqa: BLE001 - the thread is everybody's, and goes on
                    threading.excepthook(
                        threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread()))
                    )
                del item
                if self._started - self._replaced - self._blocked > self._size and self._surplus():
                    return
        finally:
            with self._lock:
                self._threads.pop(number, None)
                self._gone.notify_all()

    def step_aside(self) -> None:
        """The calling thread of this pool is about to wait: another may run in its place."""
        with self._lock:
            self._blocked += 1
            if not self._closing and self._started - self._replaced - self._blocked < self._size:
                self._start()

    def step_back(self) -> None:
        """It has waited."""
        with self._lock:
            self._blocked -= 1

    def _surplus(self) -> bool:
        with self._lock:
            if self._started - self._replaced - self._blocked <= self._size:
                return False
            self._started -= 1
            return True

    def _stand_in(self) -> "_StandIn":
        return _StandIn(self)


class _Line(Generic[Item]):
    """A queue whose ``put`` wakes one taker: the one that went to sleep last.

    Takers of a ``SimpleQueue`` sleep on one lock, and an item wakes more of them than it feeds.
    Here each sleeps on a lock of its own, its bed: held while it sleeps, released to wake it.

        put:  leave the item ──▶ take a bed from the list ──▶ release it
        get:  put the bed on the list ──▶ look for an item once more ──▶ sleep
    """

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._beds: list[LockType] = []

    def put(self, item: Item) -> None:
        """Leave an item. Never blocks."""
        self._items.append(item)
        if self._beds:
            try:
                bed = self._beds.pop()
            except IndexError:  # another put was quicker
                return
            bed.release()

    def taken(self) -> Item:
        """The first item.

        Raises:
            IndexError: there is none.
        """
        return self._items.popleft()

    def get(self, bed: LockType) -> Item:
        """The first item; sleeps on ``bed``, which the caller holds, until there is one."""
        items, beds = self._items, self._beds
        while True:
            try:
                return items.popleft()
            except IndexError:
                beds.append(bed)
            if items:
                # Something came in between: get up, or take the call to wake that is on its way.
                try:
                    beds.remove(bed)
                except ValueError:
                    bed.acquire()
            else:
                bed.acquire()


class _StandIn:
    """While a thread of the pool waits for a future, one more may run."""

    def __init__(self, pool: ThreadPool[Any]) -> None:
        self._pool = pool

    def __enter__(self) -> None:
        self._pool.step_aside()

    def __exit__(self, *_: object) -> None:
        self._pool.step_back()
