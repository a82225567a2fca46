"""What events come to as spans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from weft.values.events import (
    Event,
    Notice,
    RunEnded,
    RunStarted,
    TaskMoved,
    TaskSubmitted,
    TryEnded,
)
from weft.values.states import TaskState
from weft.values.task import TaskId
from weft_opentelemetry.spans import Spans


def made(events: Sequence[Event], *, one_trace: bool = True, run_id: str = "r1") -> dict[str, Any]:
    """The spans of a whole run, by their names."""
    spans = Spans(Resource({}), run_id=run_id, program="survey.py", one_trace=one_trace)
    found: list[ReadableSpan] = [*spans.take(events), *spans.finish()]
    named = {span.name: span for span in found}
    assert len(named) == len(found)
    return named


def submitted(number: int, app: str, *needs: int, at: float = 10.0) -> TaskSubmitted:
    return TaskSubmitted(at, TaskId(number), app, tuple(TaskId(need) for need in needs))


def moved(number: int, app: str, state: TaskState, at: float, **more: Any) -> TaskMoved:
    return TaskMoved(at, TaskId(number), app, state, more.pop("attempt", 1), **more)


STARTED = RunStarted(5.0, "r1", "/runs/1", "survey.py", "0.9", "head", "ada", 17, "3.11.2")
ENDED = RunEnded(30.0, "r1", 2, 0, 0)
ONE: list[Event] = [
    submitted(1, "fetch"),
    moved(1, "fetch", TaskState.LAUNCHED, 11.0, executor="cpu"),
    moved(1, "fetch", TaskState.DONE, 20.0, begun=12.0, seconds=7.0, place="worker 1 of n1"),
]


def times(span: ReadableSpan) -> tuple[float, float]:
    assert span.start_time is not None
    assert span.end_time is not None
    return span.start_time / 1e9, span.end_time / 1e9


def test_a_run_has_tasks_and_a_task_its_try() -> None:
    spans = made([STARTED, *ONE, ENDED])
    run, task, one = spans["survey.py"], spans["fetch"], spans["fetch try 1"]
    assert run.parent is None
    assert task.parent.span_id == run.context.span_id
    assert one.parent.span_id == task.context.span_id
    assert run.context.trace_id == task.context.trace_id == one.context.trace_id
    assert times(run) == (5.0, 30.0)
    assert times(task) == (10.0, 20.0)
    assert times(one) == (12.0, 19.0)
    assert one.attributes["weft.place"] == "worker 1 of n1"
    assert one.attributes["weft.executor"] == "cpu"
    assert task.attributes["weft.task.id"] == 1
    assert task.attributes["weft.task.state"] == "done"
    assert [event.name for event in task.events] == ["launched"]
    assert run.attributes["weft.tasks.done"] == 2
    assert run.attributes["host.name"] == "head"
    assert {span.status.status_code for span in spans.values()} == {StatusCode.UNSET}


@pytest.mark.parametrize("begun", [1.0, 500.0])
def test_a_try_lies_within_its_task_whatever_the_clock_of_a_node_says(begun: float) -> None:
    events = [*ONE[:2], moved(1, "fetch", TaskState.DONE, 20.0, begun=begun, seconds=7.0)]
    begin, end = times(made(events)["fetch try 1"])
    assert 11.0 <= begin <= end <= 20.0
    assert end - begin == pytest.approx(7.0)


def test_a_task_is_linked_to_those_it_needed_also_when_they_are_long_gone() -> None:
    spans = made(
        [*ONE, submitted(2, "join", 1, 0), moved(2, "join", TaskState.DONE, 25.0, attempt=0)]
    )
    first, second = spans["join"].links
    assert first.context.span_id == spans["fetch"].context.span_id
    assert first.context.trace_id == spans["fetch"].context.trace_id
    # Of a task that was never told of, so that no span is there: the link says which it would be.
    other = made([submitted(0, "lost"), moved(0, "lost", TaskState.DONE, 25.0, attempt=0)])
    assert second.context.span_id == other["lost"].context.span_id


def test_each_task_may_be_a_trace_of_its_own() -> None:
    spans = made(
        [*ONE, submitted(2, "join", 1), moved(2, "join", TaskState.DONE, 25.0, attempt=0)],
        one_trace=False,
    )
    run, fetch, join = spans["survey.py"], spans["fetch"], spans["join"]
    assert len({run.context.trace_id, fetch.context.trace_id, join.context.trace_id}) == 3
    assert spans["fetch try 1"].context.trace_id == fetch.context.trace_id
    assert fetch.parent is None
    assert [link.context for link in fetch.links] == [run.context]
    assert [link.context for link in join.links] == [run.context, fetch.context]


def test_tries_that_failed_are_errors_and_a_task_that_came_through_is_none() -> None:
    again = TryEnded(
        13.0, TaskId(1), "fetch", 1, "cpu", "lost", "its node is gone", 1.0, "n1", 12.0, 0.5
    )
    spans = made(
        [
            *ONE[:2],
            again,
            moved(1, "fetch", TaskState.PENDING, 13.0),
            moved(1, "fetch", TaskState.LAUNCHED, 14.0, executor="gpu", attempt=2),
            moved(1, "fetch", TaskState.DONE, 20.0, begun=15.0, seconds=4.0, attempt=2),
        ]
    )
    first, second = spans["fetch try 1"], spans["fetch try 2"]
    assert first.status.status_code is StatusCode.ERROR
    assert first.status.description == "its node is gone"
    assert first.attributes["weft.try.ended"] == "lost"
    assert first.attributes["weft.executor"] == "cpu"
    assert second.attributes["weft.executor"] == "gpu"
    assert times(second) == (15.0, 19.0)
    assert spans["fetch"].status.status_code is StatusCode.UNSET
    assert spans["fetch"].attributes["weft.task.attempts"] == 2


def test_a_task_that_failed_is_an_error_and_so_is_its_run() -> None:
    failed = moved(1, "fetch", TaskState.FAILED, 20.0, detail="ValueError: told you so")
    spans = made([*ONE[:2], failed, RunEnded(30.0, "r1", 0, 1, 0)])
    for name in ("fetch", "fetch try 1"):
        assert spans[name].status.status_code is StatusCode.ERROR
        assert spans[name].status.description == "ValueError: told you so"
    assert spans["survey.py"].status.description == "1 tasks failed"


def test_a_task_that_never_ran_has_no_try() -> None:
    spans = made([submitted(1, "fetch"), moved(1, "fetch", TaskState.DONE, 11.0, detail="memory")])
    assert set(spans) == {"fetch", "survey.py"}
    assert spans["fetch"].attributes["weft.task.detail"] == "memory"


def test_what_has_no_end_has_one_at_the_end() -> None:
    spans = made([STARTED, *ONE[:2]])
    assert times(spans["fetch"]) == (10.0, 11.0)
    assert spans["fetch"].attributes["weft.task.state"] == "launched"
    assert spans["survey.py"].attributes["weft.run.told"] == "in part"


def test_a_run_of_which_nothing_was_told_has_no_span() -> None:
    assert made([]) == {}


def test_notices_are_events_of_the_run_and_bounded() -> None:
    notices = [Notice(6.0 + n, "warning", "htex", f"late {n}") for n in range(200)]
    run = made([STARTED, *notices, ENDED])["survey.py"]
    assert [event.name for event in run.events] == [f"late {n}" for n in range(128)]
    assert run.events[0].attributes == {"weft.level": "warning", "weft.source": "htex"}
    assert run.attributes["weft.notices.unsaid"] == 72


def test_numbers_are_those_of_the_run_and_no_other() -> None:
    one, again, other = made(ONE), made(ONE), made(ONE, run_id="r2")
    assert {name: span.context.span_id for name, span in one.items()} == {
        name: span.context.span_id for name, span in again.items()
    }
    numbers = [span.context.span_id for spans in (one, other) for span in spans.values()]
    assert len(set(numbers)) == 6


def test_what_the_script_itself_traces_is_no_parent() -> None:
    from opentelemetry.sdk.trace import TracerProvider

    with TracerProvider(shutdown_on_exit=False).get_tracer("script").start_as_current_span("mine"):
        spans = made(ONE)
    assert spans["survey.py"].parent is None
