"""The story of a run: what its events come to, from any beginning, in any pieces."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
from weft.eventlog.reader import OtherEvent, read_events
from weft.eventlog.story import RunStory
from weft.status import Status
from weft.values.blocks import BlockState
from weft.values.events import (
    BlockChanged,
    ExecutorStarted,
    FileMoved,
    FileNotMoved,
    Notice,
    RunStarted,
    TaskMoved,
    TaskSubmitted,
    TryEnded,
)
from weft.values.states import TaskState
from weft.values.task import TaskId

S = TaskState


def whole(story: RunStory) -> dict[str, Any]:
    """All that a story says, to be compared."""
    return {
        "times": (story.first, story.last, story.events),
        "counts": story.counts,
        "tasks": {
            number: [
                getattr(task, name) if name != "split" else vars_of(task.split)
                for name in task.__slots__
            ]
            for number, task in story.tasks.items()
        },
        "apps": {name: (app.counts, vars_of(app.split)) for name, app in story.apps.items()},
        "causes": [str(cause) for cause in story.causes()],
        "executors": {label: one.launched for label, one in story.executors.items()},
        "notices": len(story.notices),
    }


def vars_of(slotted: Any) -> list[Any]:
    return [getattr(slotted, name) for name in slotted.__slots__]


@weft.python_app
def shaky(number: int) -> int:
    if number % 3 == 0:
        raise ValueError(f"no strand {number}")
    return number


@weft.python_app
def after(*values: int) -> int:
    return sum(values)


@weft.python_app(cache=True)
def known(number: int) -> int:
    return number


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], Status]:
    """The events of a real run, and what its session said of it."""
    config = weft.Config(run_dir=tmp_path_factory.mktemp("runs"), retries=1)
    with weft.Session(config) as session:
        first, then = shaky.options(session=session), after.options(session=session)
        firsts = [first(number) for number in range(12)]
        nexts = [then(*firsts[number : number + 2]) for number in range(10)]
        lasts = [then(*nexts[number : number + 2]) for number in range(8)]
        nexts += [known.options(session=session)(1) for _ in range(3)]
        for future in (*firsts, *nexts, *lasts):
            future.exception(60)
    return list(read_events(session.run_folder)), session.status()


def test_a_story_counts_as_the_session_did(run: tuple[list[Any], Status]) -> None:
    events, status = run
    story = RunStory().fold(events)

    assert story.counts == status.counts
    assert {name: app.counts for name, app in story.apps.items()} == {
        name: dict(counts) for name, counts in status.apps.items()
    }
    assert {name: app.from_memory for name, app in story.apps.items() if app.from_memory} == dict(
        status.from_memory
    )
    assert story.started is not None
    assert story.ended is not None
    assert story.ended.failed == story.counts[S.FAILED]
    assert story.unfinished == 0
    assert story.apps["shaky"].lost_tries == 4
    launched = story.executors["threads"].launched
    assert launched == 12 + 4 + sum(
        task.attempt for task in story.tasks.values() if task.app != "shaky"
    )


def test_a_story_finds_what_failed_first(run: tuple[list[Any], Status]) -> None:
    events, _ = run
    story = RunStory().fold(events)
    (cause,) = story.causes()
    assert (cause.app, cause.error, cause.count) == ("shaky", "ValueError", 4)
    assert cause.example.startswith("ValueError: no strand")
    assert cause.others == story.apps["after"].counts[S.FAILED]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_story_folded_in_pieces_is_the_story(
    run: tuple[list[Any], Status], data: st.DataObject
) -> None:
    events, _ = run
    end = data.draw(st.integers(0, len(events)))
    cuts = sorted(data.draw(st.lists(st.integers(0, end), max_size=5)))
    story = RunStory()
    for begin, stop in zip([0, *cuts], [*cuts, end], strict=True):
        story.fold(iter(events[begin:stop]))
        assert sum(story.counts.values()) == len(story.tasks)
    assert whole(story) == whole(RunStory().fold(events[:end]))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_story_bears_gaps_and_another_order(
    run: tuple[list[Any], Status], data: st.DataObject
) -> None:
    events, _ = run
    some = data.draw(st.lists(st.sampled_from(events), max_size=40))
    story = RunStory().fold(some)
    assert sum(story.counts.values()) == len(story.tasks)
    assert min(story.counts.values()) >= 0
    for app in story.apps.values():
        assert min(app.counts.values()) >= 0
    for cause in story.causes():
        assert story.tasks[cause.task].state is S.FAILED


def life(number: int, *states: S, at: float = 0.0, app: str = "f") -> Iterator[Any]:
    yield TaskSubmitted(at, number, app, ())
    for step, state in enumerate(states, 1):
        yield TaskMoved(at + step, number, app, state, 1, "cpu" if state is S.LAUNCHED else "")


def test_time_is_split_by_where_it_went() -> None:
    events = [
        *life(1, S.STAGING_IN, S.LAUNCHED, S.JOINING, S.STAGING_OUT, S.DONE, at=10.0),
        *life(2, S.LAUNCHED, at=12.0),
        TaskMoved(20.0, 2, "f", S.DONE, 1),
    ]
    story = RunStory().fold(events)
    one = story.tasks[1].split
    assert (one.waited, one.staged, one.launched, one.joined, one.total) == (1, 2, 1, 1, 5)
    all_of_it = story.split()
    assert (all_of_it.waited, all_of_it.launched) == (2, 8)
    assert story.apps["f"].longest == 7
    assert story.seconds == 10


def failing(number: int, needs: Sequence[int], attempt: int = 0) -> Iterator[Any]:
    yield TaskSubmitted(1.0, number, "f", tuple(needs))
    yield TaskMoved(2.0, number, "f", S.FAILED, attempt, "", "KeyError: 'x'")


def test_a_long_chain_of_failures_has_one_root() -> None:
    events = list(failing(0, (), attempt=1))
    for number in range(1, 20_000):
        events += failing(number, [number - 1])
    story = RunStory().fold(events)
    (cause,) = story.causes()
    assert (cause.count, cause.others, cause.task) == (1, 19_999, 0)
    assert story.root_of(story.tasks[19_999]).id == 0


def test_failures_that_need_one_another_are_no_endless_chain() -> None:
    story = RunStory().fold([*failing(0, [1]), *failing(1, [0]), *failing(2, [2])])
    assert sum(cause.count for cause in story.causes()) >= 1
    assert story.root_of(story.tasks[2]).id == 2


def test_all_other_events_have_their_place() -> None:
    story = RunStory().fold(
        [
            RunStarted(1.0, "id", "folder", "x.py", "0.1"),
            ExecutorStarted(2.0, "cpu", "htex"),
            BlockChanged(3.0, "cpu", "b-1", "7", BlockState.QUEUED),
            BlockChanged(4.0, "cpu", "b-1", "7", BlockState.READY),
            FileMoved(5.0, "file:///x", "in", "cpu", 1, 0.5),
            FileMoved(5.0, "file:///z", "in", "cpu", 1, 0.5, 70),
            FileNotMoved(5.0, "file:///y", "in", "cpu", 1, "no", None),
            Notice(6.0, "warning", "x", "y"),
            TryEnded(7.0, 3, "f", 1, "cpu", "lost", "gone", 0.0),
            OtherEvent(8.0, "ManagerDreamt", {}),
        ]
    )
    assert story.executors["cpu"].plugin == "htex"
    assert [one.state for one in story.blocks.values()] == [BlockState.READY]
    assert (story.moved, story.unmoved, story.moving) == (2, 1, 1.0)
    assert (story.moved_bytes, story.unsized) == (70, 1)
    assert len(story.notices) == 1
    assert (story.tasks[3].lost_tries, story.tasks[3].error) == (1, "gone")
    assert story.others == {"ManagerDreamt": 1}
    assert (story.first, story.last, story.events) == (1.0, 8.0, 10)


def test_what_could_not_start_for_a_task_that_had_failed_before_the_call_has_it_as_its_root() -> (
    None
):
    """Such a task waits for nothing, so that its needs do not name the other."""
    story = RunStory().fold(
        [
            TaskMoved(1.0, TaskId(1), "first", S.LAUNCHED, 1, "here"),
            TaskMoved(2.0, TaskId(1), "first", S.FAILED, 1, "", "ValueError: no"),
            TaskSubmitted(3.0, TaskId(2), "then", ()),
            TaskMoved(
                3.0,
                TaskId(2),
                "then",
                S.FAILED,
                0,
                "",
                "DependencyError: then (task 2) was not started, because an input failed: "
                "then (task 2) <- first (task 1).",
            ),
        ]
    )
    assert story.root_of(story.tasks[TaskId(2)]).id == 1
    ((count, others),) = [(cause.count, cause.others) for cause in story.causes()]
    assert (count, others) == (1, 1)
