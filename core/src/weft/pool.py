"""Threads that take work from one queue.

    put(item) ──▶ queue ──▶ weft-<name>-1 … n: run(item)

A thread that is about to wait for a future of this session says so (``dataflow.futures`` asks
through ``stand_in``), and another thread stands in for it meanwhile; so tasks that wait for tasks
never run a pool dry.
"""

import sys
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Generic, TypeVar

__all__ = ["Retire", "ThreadPool", "blocking"]

Item = TypeVar("Item")


class Retire(BaseException):
    """Raised by ``run`` to end its thread, for which :meth:`ThreadPool.replace` was called before."""


class _Blocking(threading.local):
    """What a thread of a pool enters around a wait, and whose thread it is; nothing in threads that belong to no pool."""

    stand_in: "Callable[[], _StandIn] | None" = None
    owner: str = ""


blocking = _Blocking()


class ThreadPool(Generic[Item]):
    """Up to ``size`` threads, started as work comes, that run items in the order in which they were put.

    Args:
        name: threads are called ``weft-<name>-<n>``.
        size: how many run at once, those that wait for futures not counted.
        run: what is done with an item. It must not raise anything but :class:`Retire`.
        owner: the ``run_id`` of the session whose work it does, which a thread must not wait for.
    """

    def __init__(self, name: str, size: int, run: Callable[[Item], None], owner: str = "") -> None:
        self._name, self._size, self._run, self._owner = name, size, run, owner
        self._queue: SimpleQueue[Item | None] = SimpleQueue()
        self._lock = threading.Lock()
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
                if self._started < self._size:
                    self._start()

    def drain(self) -> list[Item]:
        """Take back what no thread has taken."""
        taken: list[Item] = []
        while True:
            try:
                item = self._queue.get_nowait()
            except Empty:
                return taken
            if item is not None:
                taken.append(item)

    def replace(self) -> None:
        """Start a thread in place of one that does not come back; that one must raise :class:`Retire` if it ever does."""
        with self._lock:
            self._replaced += 1
            if not self._closing:
                self._start()

    def close(self, timeout: float) -> list[str]:
        """End the threads when they have finished what they run now; work that nobody took is dropped.

        Returns: The names of threads that did not end in ``timeout`` seconds. They are daemons and
            end with the program.
        """
        with self._lock:
            self._closing = True
            threads = list(self._threads.values())
        self.drain()
        for _ in threads:
            self._queue.put(None)
        deadline = monotonic() + timeout
        me = threading.current_thread()
        for thread in threads:
            if thread is not me:
                thread.join(max(0.0, deadline - monotonic()))
        return [thread.name for thread in threads if thread.is_alive() and thread is not me]

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
        try:
            while (item := get()) is not None:
                try:
                    run(item)
                except Retire:
                    return
                except (
                    BaseException
                ):  # against its contract; the thread is everybody's, and goes on
                    threading.excepthook(
                        threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread()))
                    )
                del item
                if self._started - self._replaced - self._blocked > self._size and self._surplus():
                    return
        finally:
            with self._lock:
                self._threads.pop(number, None)

    def _surplus(self) -> bool:
        with self._lock:
            if self._started - self._replaced - self._blocked <= self._size:
                return False
            self._started -= 1
            return True

    def _stand_in(self) -> "_StandIn":
        return _StandIn(self)


class _StandIn:
    """While a thread of the pool waits for a future, one more may run."""

    def __init__(self, pool: ThreadPool[Any]) -> None:
        self._pool = pool

    def __enter__(self) -> None:
        pool = self._pool
        with pool._lock:
            pool._blocked += 1
            if not pool._closing and pool._started - pool._replaced - pool._blocked < pool._size:
                pool._start()

    def __exit__(self, *_: object) -> None:
        with self._pool._lock:
            self._pool._blocked -= 1
