"""What is folded by columns comes to the same as its events, one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.tests.eventlog.test_story import whole
from weft.eventlog.format import chunks_of, header_line
from weft.eventlog.reader import EventLogReader
from weft.eventlog.story import RunStory
from weft.eventlog.writer import NAME
from weft.values.events import BEGUN, DONE, LogLine, RunStarted, TaskMoved, TaskSubmitted, TryEnded
from weft.values.states import TaskState
from weft.values.task import TaskId

PLACES = ("worker 1 on n1", "worker 2 on n1", "worker 1 on n2", "alone", "")


@st.composite
def lives(draw: st.DrawFn) -> list[Any]:
    """What is told of some tasks, mixed; times are eighths, so that sums of them are exact."""
    told: list[list[Any]] = []
    for number in range(draw(st.integers(1, 8))):
        app, pool = draw(st.sampled_from("ab")), draw(st.sampled_from(["x", "y"]))
        place = draw(st.sampled_from(PLACES))
        task, ran = TaskId(number), draw(st.sampled_from([None, 0.0, 0.125, 4.0]))
        begun = draw(st.sampled_from([0.0, 1.5, 3.0]))
        begin: Any = (BEGUN, 0.0, task, app, pool)
        end: Any = (DONE, 0.0, task, app, 1, place, begun, ran)
        again: list[Any] = [
            TryEnded(0.0, task, app, 1, pool, "raised", "ValueError: x", 0.5),
            TaskMoved(0.0, task, app, TaskState.PENDING, 1, "", "", place, begun, ran),
            TaskMoved(0.0, task, app, TaskState.LAUNCHED, 2, "z"),
        ]
        life = draw(
            st.sampled_from(
                [
                    [begin, end],
                    [begin],
                    [begin, LogLine(0.0, task, 1, pool, "OUT", "", "hello"), end],
                    [begin, *again, (DONE, 0.0, task, app, 2, place, begun, ran)],
                    [begin, TaskMoved(0.0, task, app, TaskState.FAILED, 1, "", "E: x", place)],
                    [TaskSubmitted(0.0, task, app, (TaskId(99),)), *again, end],
                    [end],
                    [begin, again[2]],
                ]
            )
        )
        told.append([*life])
    mixed: list[Any] = [RunStarted(1.0, "run", "f", "p.py", "0.1")]
    now = 1.0
    while any(told):
        life = draw(st.sampled_from([one for one in told if one]))
        now += draw(st.sampled_from([0.0, 0.125, 1.0]))
        mixed.append(_at(now, life.pop(0)))
    return mixed


def _at(time: float, told: Any) -> Any:
    """The same at a time."""
    if isinstance(told, tuple):
        return (told[0], time, *told[2:])
    values = [getattr(told, name) for name in type(told).__slots__]
    return type(told)(time, *values[1:])


def written(folder: Path, told: list[Any], cuts: list[int]) -> Path:
    """The log of what was told, in chunks that end where it is cut."""
    ends = [*sorted(cut for cut in cuts if cut < len(told)), len(told)]
    chunks: list[bytes] = []
    begin = 0
    for end in ends:
        chunks += chunks_of(told[begin:end], len(chunks))
        begin = end
    (folder / NAME).write_bytes(header_line({}) + b"".join(chunks))
    return folder


def taken(folder: Path) -> tuple[RunStory, int]:
    """The story by columns, and how many tasks that were done it took so."""
    story, straight = RunStory(), 0
    with EventLogReader(folder) as reader:
        for batch in reader.batches(final=True):
            back = story.take(batch)
            assert len(back) == len(batch) == len(list(batch.events())) == len(list(back.events()))
            straight += len(back.done.tasks) if back.done else 0
    return story, straight


def folded(folder: Path) -> RunStory:
    with EventLogReader(folder) as reader:
        return RunStory().fold(reader.new(final=True))


@settings(
    max_examples=60,
    deadline=None,
    # A busy machine makes examples slowly, and the log is written anew for each.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(lives(), st.lists(st.integers(0, 40), max_size=6))
def test_columns_come_to_what_events_come_to(
    tmp_path: Path, told: list[Any], cuts: list[int]
) -> None:
    folder = written(tmp_path, told, cuts)
    story, events = taken(folder)[0], folded(folder)
    assert whole(story) == {**whole(events), "tasks": whole(story)["tasks"]}
    assert {n: whole(story)["tasks"][n] for n in events.tasks} == whole(events)["tasks"]
    assert set(story.tasks) == set(events.tasks)
    assert set(story.launched) == set(events.launched)
    assert {name: one.holds for name, one in story.executors.items()} == {
        name: one.holds for name, one in events.executors.items()
    }
    assert {name: one.longest for name, one in story.apps.items()} == {
        name: one.longest for name, one in events.apps.items()
    }
    assert (story.last_cause() is None) == (events.last_cause() is None)


def test_a_task_that_went_straight_through_is_kept_by_columns(tmp_path: Path) -> None:
    told: list[Any] = [(BEGUN, 1.0 + n, n, "a", "x") for n in range(5)]
    told += [(DONE, 8.0, n, "a", 1, "worker 1 on n1", 7.0, 0.5) for n in range(3)]
    story, straight = taken(written(tmp_path, told, [4]))

    assert straight == 3
    assert [story.tasks.is_straight(TaskId(n)) for n in range(6)] == [True] * 5 + [False]
    assert list(story.launched) == [3, 4]
    assert story.launched[TaskId(3)].state is TaskState.LAUNCHED
    assert len(story.launched) == 2
    with pytest.raises(KeyError):
        story.launched[TaskId(0)]
    one = story.tasks[TaskId(1)]
    assert (one.state, one.place, one.since) == (TaskState.DONE, "worker 1 on n1", 8.0)
    assert (one.split.launched, one.split.ran, one.split.sent, one.split.returned) == (
        6.0, 0.5, 5.0, 0.5,
    )  # fmt: skip
    assert story.tasks.get(TaskId(7)) is None


def test_what_is_told_twice_is_no_other_task(tmp_path: Path) -> None:
    begin, end = (BEGUN, 1.0, 0, "a", "x"), (DONE, 2.0, 0, "a", 1, "", 0.0, 0.5)
    for told in ([begin, begin, end, end], [end, end, begin], [begin, end, begin, end] * 2):
        for cuts in ([], [1, 2, 3], [2]):
            story, _ = taken(written(tmp_path, told, cuts))
            assert sum(story.counts.values()) == len(story.tasks) == 1
            assert min(story.counts.values()) >= 0
            assert story.events == sum(2 if one is begin else 1 for one in told)


@pytest.mark.parametrize(
    "told",
    [
        (BEGUN, float("nan"), 0, "a", "x"),
        (BEGUN, 1e300, 0, "a", "x"),
        (BEGUN, 1.0, 0, "a", "x" * 70_000),
        (DONE, float("inf"), 0, "a", 1, "", 0.0, None),
        (DONE, 1.0, 2**70, "a", 1, "", 0.0, None),
        (DONE, 1.0, 0, "a", 1, "", float("nan"), float("inf")),
    ],
)
def test_values_that_cannot_be_come_to_what_they_come_to_as_events(
    tmp_path: Path, told: Any
) -> None:
    others = [(BEGUN, 1.0, 7, "a", "x"), (DONE, 2.0, 7, "a", 1, "", 0.0, 0.5)]
    folder = written(tmp_path, [RunStarted(1.0, "r", "f", "p", "0"), told, *others], [])
    assert whole(taken(folder)[0]) == whole(folded(folder))
