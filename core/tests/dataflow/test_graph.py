"""Who waits for whom, and the sentences that follow from it."""

from __future__ import annotations

from concurrent.futures import CancelledError, Future
from typing import Any, cast

import pytest

from weft.dataflow.futures import AppFuture, DataFuture, Owner
from weft.dataflow.graph import blame, cycle_through, error_of, name_of, record_of, unfinished
from weft.dataflow.lifecycle import TaskRecord
from weft.errors import DependencyError
from weft.values.files import File
from weft.values.task import TaskSpec

NOBODY = cast("Owner", None)


def nothing() -> None:
    return None


def record(number: int, *waits_for: Any, app: str = "app") -> TaskRecord:
    spec = TaskSpec(name=app, function=nothing)
    future: AppFuture[Any] = AppFuture(NOBODY, number, spec)
    made = TaskRecord(number, spec, (), {}, future)
    made.waits_for = [one.future if isinstance(one, TaskRecord) else one for one in waits_for]
    future._record = made
    return made


def failed(error: BaseException) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future


def ids(way: list[TaskRecord] | None) -> list[int] | None:
    return None if way is None else [one.id for one in way]


def test_the_record_behind_a_future_is_that_of_its_task_while_it_is_unfinished() -> None:
    one = record(1)
    made = DataFuture(NOBODY, one.future, File("out.txt"))

    assert record_of(one.future) is one
    assert record_of(made) is one
    assert record_of(Future()) is None
    one.future._record = None
    assert record_of(one.future) is None
    assert list(unfinished(record(2, one, Future()))) == []


@pytest.mark.parametrize("length", [1, 2, 3, 5, 10_000])
def test_a_ring_of_any_length_is_found(length: int) -> None:
    first = record(0)
    last = first
    for number in range(1, length):
        last = record(number, last)
    first.waits_for = [record(99_999).future, last.future]

    way = ids(cycle_through(first))

    assert way == [0, *range(1, length), 0]


def test_what_only_leads_to_a_ring_is_not_in_it() -> None:
    one, two = record(1), record(2)
    one.waits_for, two.waits_for = [two.future], [one.future]
    outside = record(3, one)

    assert cycle_through(outside) is None
    assert ids(cycle_through(one)) == [1, 2, 1]


def test_waiting_for_an_identical_call_counts() -> None:
    leader = record(1)
    follower = record(2)
    follower.beside().leader = leader
    leader.waits_for = [follower.future]

    assert ids(cycle_through(follower)) == [2, 1, 2]


def test_a_wide_graph_is_looked_at_once() -> None:
    layer = [record(n) for n in range(100)]
    for depth in range(1, 20):
        layer = [record(1000 * depth + n, *layer) for n in range(100)]

    assert cycle_through(record(-1, *layer)) is None


def test_names_are_for_people() -> None:
    one = record(3, app="align")

    assert name_of(one.future) == "align (task 3)"
    assert name_of(DataFuture(NOBODY, one.future, File("d/out.txt"))) == (
        "out.txt from align (task 3)"
    )
    assert name_of(Future()) == "a Future from outside"


def test_the_error_of_a_future_is_how_it_ended() -> None:
    trouble = ValueError("bad")
    cancelled: Future[Any] = Future()
    cancelled.cancel()
    good: Future[Any] = Future()
    good.set_result(1)

    assert error_of(failed(trouble)) is trouble
    assert isinstance(error_of(cancelled), CancelledError)
    assert error_of(good) is None


def test_blame_joins_the_chains_of_all_inputs() -> None:
    first, second = ValueError("one"), KeyError("two")
    below = blame(record(1, app="low"), [failed(first)])
    above = blame(record(2, app="high"), [failed(below), failed(second), failed(first)])

    assert isinstance(above, DependencyError)
    assert above.chain == ("high (task 2)", "low (task 1)", "a Future from outside")
    assert above.roots == (first, second)
    assert above.causes == 2
    assert above.__cause__ is first


class Falsy(Exception):
    def __bool__(self) -> bool:
        return False

    def __len__(self) -> int:
        return 0


def test_an_exception_that_counts_as_nothing_is_an_exception() -> None:
    trouble = Falsy()

    assert blame(record(1), [failed(trouble)]).roots == (trouble,)
