"""What a collector gets, by its own decoding; and what becomes of it while it is away or slow."""

from __future__ import annotations

import runpy
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import weft
from weft.testing import FakeContext
from weft.values.events import Event, RunEnded, RunStarted, TaskMoved, TaskSubmitted
from weft.values.states import TaskState
from weft.values.task import TaskId
from weft_opentelemetry import sender
from weft_opentelemetry.monitor import OpenTelemetryMonitor
from weft_opentelemetry.settings import OpenTelemetry
from weft_testkit.rig import until

if TYPE_CHECKING:
    from contrib.opentelemetry.tests.conftest import Receiver

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
BOUND = 60.0
"""Seconds after which what should come about at once has not."""

Start = Callable[..., tuple[OpenTelemetryMonitor, FakeContext]]


def life_of(task: int) -> list[Event]:
    return [
        TaskSubmitted(1.0, TaskId(task), "sum", ()),
        TaskMoved(2.0, TaskId(task), "sum", TaskState.LAUNCHED, 1, "cpu"),
        TaskMoved(3.0, TaskId(task), "sum", TaskState.DONE, 1, begun=2.0, seconds=0.5),
    ]


@pytest.fixture
def start(receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts monitors that do not wait long, and closes them."""
    monkeypatch.setattr(sender, "GATHER", 0.01)
    monkeypatch.setattr(sender, "PAUSES", (0.01,) * 5)
    made: list[OpenTelemetryMonitor] = []

    def begin(**options: Any) -> tuple[OpenTelemetryMonitor, FakeContext]:
        context = FakeContext(tmp_path)
        patient: dict[str, Any] = {"endpoint": receiver.url, "closing": BOUND, "timeout": BOUND}
        monitor = OpenTelemetryMonitor(OpenTelemetry(**{**patient, **options}))
        made.append(monitor)
        monitor.start(context)
        return monitor, context

    yield begin
    receiver.free.set()
    for monitor in made:
        monitor.close()


def warnings(context: FakeContext) -> list[str]:
    return [text for level, text in context.notices if level == "warning"]


def test_a_run_of_a_session(receiver: Receiver, tmp_path: Path) -> None:
    @weft.python_app
    def first() -> int:
        return 1

    @weft.python_app
    def fails(_: int) -> int:
        raise ValueError("told you so")

    monitor = weft.monitor("opentelemetry", endpoint=receiver.url, service="survey", closing=BOUND)
    with weft.load(weft.Config(run_dir=tmp_path, retries=1, monitors=[monitor])):
        failed = fails(first())
        assert isinstance(failed.exception(BOUND), ValueError)
    spans = {span.name: span for span in receiver.wait_for(6)}
    assert {"first", "first try 1", "fails", "fails try 1", "fails try 2"} < set(spans)
    (run,) = [span for span in spans.values() if not span.parent_span_id]
    assert {span.trace_id for span in spans.values()} == {run.trace_id}
    assert spans["fails"].parent_span_id == run.span_id
    assert spans["fails try 2"].parent_span_id == spans["fails"].span_id
    assert [link.span_id for link in spans["fails"].links] == [spans["first"].span_id]
    assert spans["fails"].status.code == 2
    assert "told you so" in spans["fails"].status.message
    assert all(
        span.start_time_unix_nano >= run.start_time_unix_nano
        and span.end_time_unix_nano <= run.end_time_unix_nano
        for span in spans.values()
    )
    assert {one["service.name"] for one in receiver.resources} == {"survey"}
    assert all(len(span.trace_id) == 16 and len(span.span_id) == 8 for span in spans.values())


def test_the_example_of_the_guide(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (EXAMPLES / "guide_opentelemetry.py").read_text()
    shown = 'endpoint="http://localhost:4318"'
    assert shown in text
    # With patience for a busy machine.
    here = f"endpoint={receiver.url!r}, timeout={BOUND}, closing={BOUND}"
    script = tmp_path / "survey.py"
    script.write_text(text.replace(shown, here))
    monkeypatch.chdir(tmp_path)

    @weft.python_app
    def simulate(seed: int) -> int:
        return seed * seed

    with weft.load(runpy.run_path(str(script))["config"]):
        assert simulate(3).result(BOUND) == 9
    assert "simulate" in {span.name for span in receiver.wait_for(3)}
    assert {one["service.name"] for one in receiver.resources} == {"survey"}


def test_variables_of_opentelemetry_hold(
    receiver: Receiver, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20sesame")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "night-shift")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
    monitor, _ = start()
    monitor.handle(life_of(1))
    receiver.wait_for(2)
    assert receiver.headers[-1]["authorization"] == "Bearer sesame"
    assert receiver.headers[-1]["content-encoding"] == "gzip"
    (resource,) = receiver.resources
    assert resource["service.name"] == "night-shift"
    assert resource["deployment.environment"] == "test"
    assert resource["service.instance.id"] == "run-1"


def test_spans_come_while_the_run_goes_on(receiver: Receiver, start: Start) -> None:
    monitor, context = start()
    monitor.handle(life_of(1))
    assert [span.name for span in receiver.wait_for(2)] == ["sum try 1", "sum"]
    monitor.close()
    assert warnings(context) == []


def test_what_a_collector_cannot_take_now_is_sent_again(
    receiver: Receiver, start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    monitor, context = start()
    receiver.answers = [503, 400]  # after the first one, the exporter tries again by itself
    monitor.handle(life_of(1))
    receiver.wait_for(2)
    monitor.close()
    assert sorted(span.name for span in receiver.spans) == ["sum", "sum try 1", "test"]
    (told,) = warnings(context)
    assert receiver.url in told
    assert "The run goes on" in told
    assert capfd.readouterr().err == ""  # what the exporter logs of it is in the notice


def test_what_a_collector_never_takes_is_counted(
    receiver: Receiver, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "PAUSES", (0.0, 0.0))
    monitor, context = start()
    receiver.answers = [400, 400, 400]
    monitor.handle(life_of(1))
    receiver.wait_until_asked(4)  # with the one at the start
    monitor.handle(life_of(2))
    receiver.wait_for(2)
    monitor.close()
    assert sorted(span.name for span in receiver.spans) == ["sum", "sum try 1", "test"]
    first, last = warnings(context)
    assert "400" in first
    assert last.startswith("2 spans could not be sent to")


def test_a_collector_that_hangs_holds_up_neither_the_run_nor_its_end(
    receiver: Receiver, start: Start
) -> None:
    monitor, context = start(timeout=0.5, closing=0.5, backlog=1000)
    receiver.free.clear()
    monitor.handle(life_of(0))
    receiver.wait_until_asked(2)
    for task in range(1, 2001):  # while it hangs, and would for ever
        monitor.handle(life_of(task))
    monitor.handle([RunEnded(9.0, "run-1", 2001, 0, 0)])
    monitor.close()
    assert any("behind by 1000 events" in told for told in warnings(context))
    assert "could not be sent" in warnings(context)[-1]
    until(
        lambda: "weft-opentelemetry" not in {thread.name for thread in threading.enumerate()},
        BOUND,
        "its thread goes on",
    )


def test_what_does_not_fit_is_left_out_and_the_run_itself_is_not(
    receiver: Receiver, start: Start
) -> None:
    monitor, context = start(backlog=1000)
    monitor.handle([RunStarted(0.5, "run-1", "/runs/1", "test", "0.9")])
    receiver.free.clear()
    monitor.handle(life_of(0))
    receiver.wait_until_asked(2)
    for task in range(1, 1001):
        monitor.handle(life_of(task))
    monitor.handle([RunEnded(9.0, "run-1", 1001, 0, 0)])
    receiver.free.set()
    monitor.close()
    spans = {span.span_id: span for span in receiver.spans}
    assert len(spans) == len(receiver.spans)  # none twice
    (run,) = [span for span in spans.values() if not span.parent_span_id]
    tasks = [span for span in spans.values() if span.parent_span_id == run.span_id]
    assert 300 <= len(tasks) <= 334
    assert "left out" in warnings(context)[0]
    assert "events come to could not be sent" in warnings(context)[-1]


def test_a_collector_that_is_away_is_an_error_at_the_start(tmp_path: Path) -> None:
    import socket

    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        options: dict[str, Any] = {"endpoint": url, "timeout": 0.2, "closing": 0.5}
        with pytest.raises(weft.errors.ConfigurationError) as raised:
            OpenTelemetryMonitor(OpenTelemetry(**options)).start(FakeContext(tmp_path))
        assert url in raised.value.what
        assert raised.value.why
        assert "required=False" in raised.value.todo

        context = FakeContext(tmp_path)
        monitor = OpenTelemetryMonitor(OpenTelemetry(**options, required=False))
        monitor.start(context)
        monitor.handle(life_of(1))
        context.wait_until(lambda: context.notices, BOUND)
        monitor.close()
    assert len(warnings(context)) == 2
    assert "The run goes on" in warnings(context)[0]
    assert warnings(context)[1].startswith("3 spans could not be sent")


def test_what_is_no_event_at_all_is_counted_and_the_rest_is_sent(
    receiver: Receiver, start: Start
) -> None:
    monitor, context = start()
    wrong: Any = TaskSubmitted(1.0, TaskId(1), b"not a text", ())  # type: ignore[arg-type]
    monitor.handle([wrong, TaskMoved(2.0, TaskId(1), "sum", TaskState.DONE)])
    context.wait_until(lambda: context.notices, BOUND)
    monitor.handle(life_of(2))
    receiver.wait_for(2)
    monitor.close()
    assert sorted(span.name for span in receiver.spans) == ["sum", "sum try 1", "test"]
    first, last = warnings(context)
    assert "cannot be sent" in first
    assert last.startswith("what 2 events come to could not be sent")


def test_any_text_can_be_sent(receiver: Receiver, start: Start) -> None:
    monitor, context = start()
    texts = ["lone \ud800 half", "l" * 100_000, "zero \0", ""]
    monitor.handle([TaskSubmitted(1.0, TaskId(n), text, ()) for n, text in enumerate(texts)])
    monitor.close()
    names = {span.name for span in receiver.spans}
    assert {"lone ? half", "l" * 4096, "zero \0"} < names
    assert warnings(context) == []
