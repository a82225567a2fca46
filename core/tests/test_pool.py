"""Threads take work from one queue, and none is lost however they wait and end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from weft.pool import Retire, ThreadPool, blocking

PATIENCE = 60.0
Work = Callable[[], None]


def _run(work: Work) -> None:
    work()


@pytest.fixture
def make_pool() -> Iterator[Callable[[int], ThreadPool[Work]]]:
    made: list[ThreadPool[Work]] = []

    def make(size: int) -> ThreadPool[Work]:
        pool: ThreadPool[Work] = ThreadPool("test", size, _run)
        made.append(pool)
        return pool

    yield make
    for pool in made:
        pool.close(PATIENCE)


Make = Callable[[int], ThreadPool[Work]]


def run_all(pool: ThreadPool[Work], works: list[Work]) -> None:
    """Put work, and wait until it is done."""
    left = threading.Semaphore(0)
    for work in works:

        def step(work: Work = work) -> None:
            try:
                work()
            finally:
                left.release()

        pool.put(step)
    for _ in works:
        assert left.acquire(timeout=PATIENCE)


def test_one_thread_runs_items_in_the_order_in_which_they_were_put(make_pool: Make) -> None:
    seen: list[int] = []

    run_all(make_pool(1), [lambda n=n: seen.append(n) for n in range(100)])  # type: ignore[misc]

    assert seen == list(range(100))


def test_no_more_run_at_once_than_its_size(make_pool: Make) -> None:
    lock, now, most = threading.Lock(), [0], [0]

    def work() -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        threading.Event().wait(0.0005)
        with lock:
            now[0] -= 1

    run_all(make_pool(3), [work] * 100)

    assert most[0] <= 3


def test_threads_are_started_as_work_comes_and_named(make_pool: Make) -> None:
    pool = make_pool(4)
    assert len(pool._threads) == 0
    names: list[str] = []

    run_all(pool, [lambda: names.append(threading.current_thread().name)])

    assert names == ["weft-test-1"]


def test_work_that_waits_for_work_never_runs_the_pool_dry(make_pool: Make) -> None:
    pool = make_pool(1)
    done = threading.Event()

    def nest(depth: int) -> None:
        if depth == 0:
            done.set()
            return
        inner = threading.Event()

        def step() -> None:
            nest(depth - 1)
            inner.set()

        pool.put(step)
        assert blocking.stand_in is not None
        with blocking.stand_in():
            assert inner.wait(PATIENCE)

    pool.put(lambda: nest(50))

    assert done.wait(PATIENCE)


def test_stand_ins_go_when_they_are_not_needed_any_more(make_pool: Make) -> None:
    pool = make_pool(1)
    inner = threading.Event()

    def outer() -> None:
        pool.put(inner.set)
        assert blocking.stand_in is not None
        with blocking.stand_in():
            assert inner.wait(PATIENCE)

    run_all(pool, [outer] * 5)
    run_all(pool, [lambda: None] * 50)

    assert pool._started - pool._replaced - pool._blocked <= 2
    assert pool._blocked == 0


def test_a_thread_that_does_not_come_back_is_replaced(make_pool: Make) -> None:
    pool = make_pool(1)
    release, came = threading.Event(), threading.Event()

    def stuck() -> None:
        pool.replace()
        came.set()
        assert release.wait(PATIENCE)
        raise Retire

    pool.put(stuck)
    assert came.wait(PATIENCE)
    run_all(pool, [lambda: None] * 10)
    release.set()
    run_all(pool, [lambda: None] * 10)


def test_work_that_raises_does_not_end_its_thread(
    make_pool: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", shown.append)
    pool = make_pool(1)

    def rude() -> None:
        raise SystemExit(1)

    run_all(pool, [rude, rude])
    run_all(pool, [lambda: None])

    assert [args.exc_type for args in shown] == [SystemExit] * 2


def test_close_drops_what_nobody_took_and_waits_for_the_rest(
    make_pool: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = make_pool(1)
    began, release = threading.Event(), threading.Event()
    seen: list[str] = []

    def first() -> None:
        began.set()
        assert release.wait(PATIENCE)
        seen.append("first")

    pool.put(first)
    pool.put(lambda: seen.append("second"))
    assert began.wait(PATIENCE)
    drain = pool.drain

    def drained() -> list[Work]:
        dropped = drain()
        release.set()
        return dropped

    monkeypatch.setattr(pool, "drain", drained)

    assert pool.close(PATIENCE) == []
    assert pool.close(PATIENCE) == []
    assert seen == ["first"]


def test_close_names_threads_that_do_not_end(make_pool: Make) -> None:
    pool = make_pool(1)
    began, release = threading.Event(), threading.Event()

    def stuck() -> None:
        began.set()
        release.wait(PATIENCE)

    pool.put(stuck)
    assert began.wait(PATIENCE)

    assert pool.close(0.01) == ["weft-test-1"]
    release.set()


def test_a_result_of_work_is_not_kept_by_an_idle_thread(make_pool: Make) -> None:
    import weakref

    class Large:
        pass

    pool = make_pool(1)
    large = Large()
    seen = weakref.ref(large)
    run_all(pool, [lambda large=large: None])  # type: ignore[misc]
    del large
    run_all(pool, [lambda: None])

    assert seen() is None


def test_a_second_close_with_a_shorter_timeout_cuts_the_first_short(make_pool: Make) -> None:
    pool = make_pool(1)
    begun, held = threading.Event(), threading.Event()

    def stuck() -> None:
        begun.set()
        held.wait(PATIENCE)

    pool.put(stuck)
    assert begun.wait(PATIENCE)
    left: list[list[str]] = []
    closing = threading.Thread(target=lambda: left.append(pool.close(10 * PATIENCE)))
    closing.start()

    assert pool.close(0.0) == ["weft-test-1"]

    closing.join(PATIENCE)
    assert left == [["weft-test-1"]]
    held.set()


def test_work_that_comes_after_the_end_starts_no_thread(make_pool: Make) -> None:
    before = set(threading.enumerate())
    pool = make_pool(1)
    pool.close(PATIENCE)
    pool.put(lambda: None)

    assert set(threading.enumerate()) <= before
