"""What events come to as numbers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from weft.values.blocks import BlockId, BlockState
from weft.values.events import (
    BlockChanged,
    Event,
    FileMoved,
    FileNotMoved,
    ManagerChanged,
    Notice,
    ResourceSample,
    RunEnded,
    RunStarted,
    TaskMoved,
    TaskSubmitted,
    TryEnded,
)
from weft.values.jobs import JobId
from weft.values.states import TaskState
from weft.values.task import TaskId
from weft_prometheus.metrics import OTHER, Metrics


def made(events: Sequence[Event], max_apps: int = 10) -> Metrics:
    metrics = Metrics(run_id="r1", program="survey.py", max_apps=max_apps)
    metrics.take(events)
    return metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def submitted(number: int, app: str = "align", at: float = 10.0) -> TaskSubmitted:
    return TaskSubmitted(at, TaskId(number), app, ())


def moved(number: int, state: TaskState, at: float, **more: object) -> TaskMoved:
    return TaskMoved(at, TaskId(number), "align", state, 1, **more)  # type: ignore[arg-type]


def test_a_task_on_its_way() -> None:
    metrics = made([submitted(1), submitted(2), moved(1, TaskState.LAUNCHED, 11.0)])
    assert value(metrics, "weft_tasks_submitted_total", app="align") == 2
    assert value(metrics, "weft_tasks", state="pending") == 1
    assert value(metrics, "weft_tasks", state="launched") == 1
    assert value(metrics, "weft_tasks", state="joining") == 0
    assert value(metrics, "weft_tasks_ended_total", app="align", state="done") == 0

    metrics.take([moved(1, TaskState.DONE, 20.0, begun=12.0, seconds=7.0)])
    assert value(metrics, "weft_tasks", state="launched") == 0
    assert value(metrics, "weft_tasks_ended_total", app="align", state="done") == 1
    assert value(metrics, "weft_task_run_seconds_sum", app="align") == 7.0
    assert value(metrics, "weft_task_start_delay_seconds_sum", app="align") == 1.0
    assert value(metrics, "weft_task_total_seconds_sum", app="align") == 10.0
    assert value(metrics, "weft_task_run_seconds_bucket", app="align", le="1.0") == 0
    assert value(metrics, "weft_task_run_seconds_bucket", app="align", le="10.0") == 1


@pytest.mark.parametrize(("begun", "delay"), [(5.0, 0.0), (12.5, 1.5), (500.0, 2.0)])
def test_a_delay_is_one_that_can_have_been_whatever_the_clock_of_a_node_says(
    begun: float, delay: float
) -> None:
    launched = moved(1, TaskState.LAUNCHED, 11.0)
    done = moved(1, TaskState.DONE, 20.0, begun=begun, seconds=7.0)
    metrics = made([submitted(1), launched, done])
    assert value(metrics, "weft_task_start_delay_seconds_sum", app="align") == delay


def test_a_task_that_is_tried_again() -> None:
    again = TryEnded(13.0, TaskId(1), "align", 1, "cpu", "lost", "gone", 1.0, "n1", 12.0, 0.5)
    metrics = made(
        [
            submitted(1),
            moved(1, TaskState.LAUNCHED, 11.0),
            again,
            moved(1, TaskState.PENDING, 13.0),
            moved(1, TaskState.LAUNCHED, 14.0),
            moved(1, TaskState.FAILED, 16.0, begun=14.5, seconds=1.0),
        ]
    )
    assert value(metrics, "weft_tries_ended_total", app="align", ended="lost") == 1
    assert value(metrics, "weft_tasks_ended_total", app="align", state="failed") == 1
    assert value(metrics, "weft_task_run_seconds_count", app="align") == 2
    assert value(metrics, "weft_task_start_delay_seconds_sum", app="align") == 0.5
    assert value(metrics, "weft_tasks", state="pending") == 0


def test_a_task_that_never_ran_has_no_time_of_running() -> None:
    metrics = made([submitted(1), moved(1, TaskState.DONE, 10.5, detail="memory")])
    assert value(metrics, "weft_tasks_ended_total", app="align", state="done") == 1
    assert value(metrics, "weft_task_run_seconds_count", app="align") == 0


def test_states_agree_again_when_a_run_ends_of_which_events_were_lost() -> None:
    metrics = made([submitted(1), moved(2, TaskState.LAUNCHED, 11.0)])
    assert value(metrics, "weft_tasks", state="launched") == 1
    metrics.take([RunEnded(30.0, "r1", 2, 0, 0, 2)])
    assert value(metrics, "weft_tasks", state="pending") == 0
    assert value(metrics, "weft_tasks", state="launched") == 0
    assert value(metrics, "weft_events_lost") == 2
    assert value(metrics, "weft_run_ended_timestamp_seconds") == 30.0


def test_the_run_says_what_it_is() -> None:
    metrics = made([RunStarted(5.0, "r1", "/runs/1", "survey.py", "0.9", "head", "ada")])
    assert value(metrics, "weft_run_started_timestamp_seconds") == 5.0
    facts = {"run_id": "r1", "program": "survey.py"}
    more = {"weft_version": "0.9", "host": "head", "user": "ada"}
    assert value(metrics, "weft_run_info", **facts, **more) == 1
    assert value(metrics, "weft_run_info", **facts) is None


def test_apps_beyond_the_limit_share_one_name() -> None:
    calls = [submitted(n, f"app{n}") for n in range(50)]
    failures = [TryEnded(1.0, TaskId(n), f"app{n}", 1, "cpu", "error", "", 0.0) for n in range(50)]
    metrics = made([*calls, *failures], max_apps=3)
    assert value(metrics, "weft_tasks_submitted_total", app="app2") == 1
    assert value(metrics, "weft_tasks_submitted_total", app="app3") is None
    assert value(metrics, "weft_tasks_submitted_total", app=OTHER) == 47
    assert value(metrics, "weft_tries_ended_total", app=OTHER, ended="error") == 47


def test_blocks_and_managers() -> None:
    def block(name: str, state: BlockState) -> Event:
        return BlockChanged(1.0, "cpu", BlockId(name), JobId("7"), state)

    def manager(name: str, state: str, workers: int = 0) -> Event:
        return ManagerChanged(1.0, "cpu", BlockId("b"), name, "node", state, 1, workers)

    metrics = made(
        [
            *(block(name, BlockState.QUEUED) for name in ("b1", "b2", "b3")),
            block("b1", BlockState.READY),
            block("b2", BlockState.FAILED),
            manager("m1", "working", 4),
            manager("m2", "working", 8),
            manager("m2", "away"),
            manager("m3", "working", 16),
            manager("m3", "lost"),
        ]
    )
    assert value(metrics, "weft_blocks", executor="cpu", state="queued") == 1
    assert value(metrics, "weft_blocks", executor="cpu", state="ready") == 1
    assert value(metrics, "weft_blocks_ended_total", executor="cpu", state="failed") == 1
    assert value(metrics, "weft_managers", executor="cpu", state="working") == 1
    assert value(metrics, "weft_managers", executor="cpu", state="away") == 1
    assert value(metrics, "weft_managers_ended_total", executor="cpu", state="lost") == 1
    assert value(metrics, "weft_workers", executor="cpu") == 4
    metrics.take([manager("m2", "working")])
    assert value(metrics, "weft_workers", executor="cpu") == 12


def test_files_samples_and_notices() -> None:
    sample = ResourceSample(1.0, TaskId(1), 1, "cpu", last=False, user=3.0, peak=1 << 30)
    last = ResourceSample(2.0, TaskId(1), 1, "cpu", last=True, user=4.0, peak=1 << 31)
    metrics = made(
        [
            FileMoved(1.0, "https://host/a", "in", "cpu", 1, 2.5, 4_000),
            FileMoved(1.0, "https://host/c", "in", "cpu", 1, 0.5, 500),
            FileMoved(1.0, "other://host/d", "in", "cpu", 1, 0.5),
            FileNotMoved(1.0, "https://host/b", "out", "cpu", 1, "gone", None),
            sample,
            last,
            Notice(1.0, "warning", "htex", "late"),
        ]
    )
    assert value(metrics, "weft_files_moved_total", executor="cpu", way="in") == 3
    assert value(metrics, "weft_file_bytes_total", executor="cpu", way="in") == 4_500
    assert value(metrics, "weft_file_seconds_sum", way="in") == 3.5
    assert value(metrics, "weft_file_failures_total", executor="cpu", way="out") == 1
    assert value(metrics, "weft_task_cpu_seconds_total", executor="cpu", mode="user") == 4.0
    assert value(metrics, "weft_task_cpu_seconds_total", executor="cpu", mode="system") is None
    assert value(metrics, "weft_task_peak_memory_bytes_count", executor="cpu") == 1
    assert value(metrics, "weft_notices_total", level="warning") == 1


def test_any_name_is_one_that_prometheus_can_read() -> None:
    awkward = ['"quoted"\n# forged 1', "lone \ud800 half", "l" * 10_000, ""]
    metrics = made([submitted(n, app) for n, app in enumerate(awkward)])
    text = generate_latest(metrics.registry).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    apps = {
        sample.labels["app"]
        for sample in families["weft_tasks_submitted"].samples
        if sample.name.endswith("_total")
    }
    assert apps == {'"quoted"\n# forged 1', "lone ? half", "l" * 200, ""}
