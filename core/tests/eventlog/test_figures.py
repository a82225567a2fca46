"""Figures of runs: what is counted once is counted once, in any pieces and at any length."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.eventlog.figures import (
    BINS,
    Timeline,
    figures_of,
    histogram,
    parts_of,
    spread_of,
)
from weft.eventlog.story import RunStory
from weft.values.events import (
    ExecutorStarted,
    ExecutorStopped,
    ManagerChanged,
    RunEnded,
    RunStarted,
    TaskMoved,
    TaskSubmitted,
)
from weft.values.states import TaskState as S
from weft.values.task import TaskId

START = 1_700_000_000.0

durations = st.floats(0, 1e5, allow_nan=False)


@st.composite
def runs(draw: st.DrawFn) -> list[Any]:
    """The events of a run in the order of their times: tasks wait, are launched, run and end."""
    events: list[Any] = [RunStarted(START, "id", "folder", "x.py", "0.1")]
    scale = draw(st.sampled_from([1e-4, 1.0, 1e4]))
    for number in range(draw(st.integers(0, 12))):
        name = f"app{number % 3}"
        task = TaskId(number)
        called = START + scale * draw(st.floats(0, 10))
        events.append(TaskSubmitted(called, task, name, ()))
        launched = called + scale * draw(st.floats(0, 3))
        events.append(TaskMoved(launched, task, name, S.LAUNCHED, 1, "here"))
        queued, ran, back = (scale * draw(st.floats(0, 5)) for _ in range(3))
        end = draw(st.sampled_from([S.DONE, S.FAILED]))
        ended = launched + queued + ran + back
        place = f"worker {number % 4} on node{number % 2}"
        begun = launched + queued
        events.append(TaskMoved(ended, task, name, end, 1, "", "ValueError: no", place, begun, ran))
    return sorted(events, key=lambda event: event.time)


@given(events=runs(), cut=st.integers(0, 40))
@settings(deadline=None, max_examples=60)
def test_the_curves_hold_the_time_of_all_tasks_in_whatever_pieces_they_come(
    events: list[Any], cut: int
) -> None:
    story, timeline = RunStory().fold(events), Timeline().fold(events)
    figures = figures_of(story, timeline)
    split = story.split()
    assert sum(timeline.launched) == pytest.approx(split.launched, rel=1e-6, abs=1e-6)
    assert sum(timeline.waiting) == pytest.approx(split.waited + split.staged, rel=1e-6, abs=1e-6)
    assert sum(timeline.ran) == pytest.approx(split.ran, rel=1e-6, abs=1e-6)
    assert split.sent + split.ran + split.returned == pytest.approx(
        split.launched, rel=1e-6, abs=1e-6
    )
    assert sum(figures.ended) == figures.tasks
    assert sum(figures.failed) == figures.counts[S.FAILED]
    assert len(figures.launched) == timeline.bins <= BINS
    assert math.fsum(part.share for part in figures.parts) == pytest.approx(
        1.0 if split.total else 0.0
    )
    pieces = Timeline().fold(events[:cut]).fold(events[cut:])
    assert vars(pieces).keys() == vars(timeline).keys()
    assert (pieces.launched, pieces.ran, pieces.width) == (
        timeline.launched,
        timeline.ran,
        timeline.width,
    )


@given(given_durations=st.lists(durations, min_size=1))
def test_a_spread_is_of_the_durations_themselves(given_durations: list[float]) -> None:
    spread = spread_of(given_durations)
    assert spread is not None
    assert spread.least <= spread.median <= spread.p95 <= spread.most
    count = len(given_durations)
    for rank, part in ((spread.median, 0.5), (spread.p95, 0.95)):
        assert rank in given_durations
        assert sum(one <= rank for one in given_durations) >= part * count
        assert sum(one < rank for one in given_durations) < part * count
    assert spread_of([]) is None


@given(given_durations=st.lists(durations), least=durations, most=durations)
def test_a_histogram_counts_each_duration_once(
    given_durations: list[float], least: float, most: float
) -> None:
    found = histogram(given_durations, least, most)
    assert sum(found.counts) == len(given_durations)
    assert len(found.edges) == len(found.counts) + 1
    assert list(found.edges) == sorted(found.edges)
    assert found.edges[0] > 0


def test_durations_are_in_the_bins_between_whose_edges_they_lie() -> None:
    found = histogram([1.0, 1.5, 10.0, 100.0], 1.0, 100.0, bins=2)
    assert found.counts == (2, 2)
    assert found.edges == pytest.approx((1.0, 10.0, 100.0))


def test_a_clock_that_differs_moves_no_time_beyond_the_launch_and_the_end() -> None:
    for begun in (START - 3600, START + 3600):
        story = RunStory().fold(
            [
                TaskMoved(START, TaskId(1), "a", S.LAUNCHED, 1, "far"),
                TaskMoved(START + 10, TaskId(1), "a", S.DONE, 1, "", "", "w on n", begun, 4.0),
            ]
        )
        split = story.tasks[TaskId(1)].split
        assert (split.ran, split.sent + split.returned) == (4.0, 6.0)
        assert 0.0 in (split.sent, split.returned)
        timeline = Timeline().fold([RunStarted(START, "id", "f", "x.py", "0.1")])
        timeline.fold(
            [
                TaskMoved(START, TaskId(1), "a", S.LAUNCHED, 1, "far"),
                TaskMoved(START + 10, TaskId(1), "a", S.DONE, 1, "", "", "w on n", begun, 4.0),
            ]
        )
        assert sum(timeline.ran) == pytest.approx(4.0)


def test_a_long_run_takes_no_more_bins_than_a_short_one() -> None:
    timeline = Timeline()
    for day in range(365):
        time = START + 86_400 * day
        timeline.fold(
            [
                TaskMoved(time, TaskId(day), "a", S.LAUNCHED, 1, "far"),
                TaskMoved(time + 60, TaskId(day), "a", S.DONE, 1, "", "", "w", time, 60.0),
            ]
        )
    assert timeline.bins <= BINS == len(timeline.ran)
    assert sum(timeline.ended) == 365
    assert sum(timeline.ran) == pytest.approx(365 * 60)


def a_manager(time: float, state: str, workers: int = 4, name: str = "m1") -> ManagerChanged:
    return ManagerChanged(START + time, "far", "b", name, "node1", state, workers=workers)


def test_workers_are_counted_for_as_long_as_their_managers_are_there() -> None:
    events = [
        RunStarted(START, "id", "f", "x.py", "0.1"),
        ExecutorStarted(START, "far", "htex"),
        a_manager(10, "working"),
        TaskMoved(START + 12, TaskId(1), "a", S.LAUNCHED, 1, "far"),
        TaskMoved(START + 30, TaskId(1), "a", S.DONE, 1, "", "", "w on n", START + 14, 16.0),
        a_manager(20, "away"),
        a_manager(50, "lost"),
        RunEnded(START + 100, "id", 1, 0, 0),
    ]
    (executor,) = figures_of(RunStory().fold(events), Timeline().fold(events)).executors
    assert executor.told
    assert (executor.busy, executor.available) == (16.0, 4 * 40.0)
    assert executor.utilisation == pytest.approx(0.1)


def test_of_an_executor_without_managers_those_workers_count_that_ran_something() -> None:
    events: list[Any] = [ExecutorStarted(START, "here", "threads")]
    for number in range(4):
        events += [
            TaskMoved(START, TaskId(number), "a", S.LAUNCHED, 1, "here"),
            TaskMoved(
                START + 5, TaskId(number), "a", S.DONE, 1, "", "", f"w{number % 2}", START, 5.0
            ),
        ]
    events.append(ExecutorStopped(START + 20, "here"))
    (executor,) = figures_of(RunStory().fold(events), Timeline().fold(events)).executors
    assert not executor.told
    assert (executor.workers, executor.available) == (2, 40.0)
    assert executor.utilisation == pytest.approx(0.5)


def test_nothing_at_all_has_figures_too() -> None:
    figures = figures_of(RunStory(), Timeline())
    assert (figures.tasks, figures.parts, figures.launched, figures.apps) == (0, (), (), ())
    assert parts_of(RunStory().split()) == ()


def test_the_tasks_that_an_executor_has_are_known_the_longest_first() -> None:
    story = RunStory()
    for number in range(3):
        story.fold([TaskMoved(START + number, TaskId(number), "a", S.LAUNCHED, 1, "here")])
    story.fold([TaskMoved(START + 5, TaskId(0), "a", S.FAILED, 1, "", "ValueError: no")])
    assert list(story.launched) == [1, 2]
    assert story.last_failed is story.tasks[TaskId(0)]
