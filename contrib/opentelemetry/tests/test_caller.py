"""The run is in the span that the script was started in, where the environment names one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import SpanContext

import weft
from weft.testing import FakeContext
from weft.values.events import Event, RunEnded, RunStarted, TaskMoved, TaskSubmitted
from weft.values.states import TaskState
from weft.values.task import TaskId
from weft_opentelemetry.caller import caller_in
from weft_opentelemetry.monitor import OpenTelemetryMonitor
from weft_opentelemetry.settings import OpenTelemetry
from weft_opentelemetry.spans import Spans

if TYPE_CHECKING:
    from contrib.opentelemetry.tests.conftest import Receiver

BOUND = 60.0
TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
CALLED = {"TRACEPARENT": f"00-{TRACE}-{SPAN}-01", "TRACESTATE": "vendor=one,other=two"}
EVENTS: list[Event] = [
    RunStarted(5.0, "r1", "/runs/1", "survey.py", "0.9"),
    TaskSubmitted(6.0, TaskId(1), "fetch", ()),
    TaskMoved(7.0, TaskId(1), "fetch", TaskState.LAUNCHED, 1, "cpu"),
    TaskMoved(8.0, TaskId(1), "fetch", TaskState.DONE, 1, begun=7.0, seconds=1.0),
    RunEnded(9.0, "r1", 1, 0, 0),
]


def called() -> SpanContext:
    found = caller_in(CALLED)
    assert found is not None
    return found


def spans_in(events: list[Event], caller: SpanContext | None, *, one_trace: bool) -> dict[str, Any]:
    spans = Spans(
        Resource({}), run_id="r1", program="survey.py", one_trace=one_trace, caller=caller
    )
    return {span.name: span for span in [*spans.take(events), *spans.finish()]}


def test_what_variables_name() -> None:
    found = called()
    assert (f"{found.trace_id:032x}", f"{found.span_id:016x}") == (TRACE, SPAN)
    assert found.is_remote
    assert found.trace_flags.sampled
    assert dict(found.trace_state) == {"vendor": "one", "other": "two"}
    assert caller_in({"TRACEPARENT": f"00-{TRACE}-{SPAN}-00"}) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
    ],
)
def test_what_names_none(text: str) -> None:
    assert caller_in({"TRACEPARENT": text}) is None


def test_nothing_names_none() -> None:
    assert caller_in({}) is None
    assert caller_in({"TRACESTATE": "vendor=one"}) is None


def test_the_run_is_in_the_span_of_its_caller_and_its_tasks_are_in_that_trace() -> None:
    made = spans_in(EVENTS, called(), one_trace=True)
    run, task, one = made["survey.py"], made["fetch"], made["fetch try 1"]
    assert run.parent == called()
    assert task.parent == run.context
    assert one.parent == task.context
    for span in made.values():
        assert f"{span.context.trace_id:032x}" == TRACE
        assert dict(span.context.trace_state) == {"vendor": "one", "other": "two"}
    alone = spans_in(EVENTS, None, one_trace=True)
    assert alone["survey.py"].parent is None
    assert {span.context.span_id for span in alone.values()} == {
        span.context.span_id for span in made.values()
    }


def test_tasks_that_are_traces_of_their_own_link_to_the_run_in_the_trace_of_its_caller() -> None:
    made = spans_in(EVENTS, called(), one_trace=False)
    run, task = made["survey.py"], made["fetch"]
    assert run.parent == called()
    assert task.parent is None
    assert f"{task.context.trace_id:032x}" != TRACE
    assert [link.context for link in task.links] == [run.context]
    assert made["fetch try 1"].context.trace_id == task.context.trace_id


def test_a_caller_that_is_not_recorded_is_a_caller() -> None:
    unrecorded = caller_in({"TRACEPARENT": f"00-{TRACE}-{SPAN}-00"})
    made = spans_in(EVENTS, unrecorded, one_trace=True)
    assert made["survey.py"].parent == unrecorded
    assert all(span.context.trace_flags.sampled for span in made.values())
    assert len(made) == 3


@weft.python_app
def fetch() -> int:
    return 1


def test_a_script_that_was_started_in_a_span(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in CALLED.items():
        monkeypatch.setenv(name, text)
    monitor = weft.monitor("opentelemetry", endpoint=receiver.url, timeout=BOUND, closing=BOUND)
    with weft.load(weft.Config(run_dir=tmp_path, monitors=[monitor])):
        assert fetch().result(BOUND) == 1
    spans = {span.name: span for span in receiver.wait_for(3)}
    (run,) = [span for span in spans.values() if span.parent_span_id.hex() == SPAN]
    assert spans["fetch"].parent_span_id == run.span_id
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE}
    assert {span.trace_state for span in spans.values()} == {"vendor=one,other=two"}


def test_a_caller_that_cannot_be_read_is_told_of_once_and_the_run_is_a_trace_of_its_own(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEPARENT", f"00-{TRACE}")
    context = FakeContext(tmp_path)
    monitor = OpenTelemetryMonitor(OpenTelemetry(endpoint=receiver.url, closing=BOUND))
    monitor.start(context)
    assert context.notices == []
    for event in EVENTS:
        monitor.handle([event])
    monitor.close()
    ((level, told),) = context.notices
    assert level == "warning"
    assert "TRACEPARENT" in told
    assert f"00-{TRACE}" in told
    (run,) = [span for span in receiver.spans if not span.parent_span_id]
    assert run.trace_id.hex() != TRACE


def test_an_empty_variable_is_none(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEPARENT", "")
    monitor = weft.monitor("opentelemetry", endpoint=receiver.url, closing=BOUND)
    with weft.load(weft.Config(run_dir=tmp_path, monitors=[weft.monitor("log"), monitor])):
        pass
    (run,) = receiver.wait_for(1)
    assert run.parent_span_id == b""
    (log,) = tmp_path.glob("*/weft.log")
    assert "TRACEPARENT" not in log.read_text()
