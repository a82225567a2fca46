"""A story becomes a picture: complete, plain, and small however large the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plugins.jupyter.tests.conftest import BEGAN, Log
from weft.eventlog.runs import RunState, open_run
from weft.eventlog.story import RunStory
from weft.values.blocks import BlockState
from weft.values.events import (
    BlockChanged,
    ExecutorStarted,
    ExecutorStopped,
    ManagerChanged,
    TaskMoved,
    TaskSubmitted,
)
from weft.values.states import TaskState
from weft_jupyter.picture import Edges, Failures, Pace, picture_of


def picture(story: RunStory, state: Any = "running") -> dict[str, Any]:
    made = picture_of(
        story,
        state,
        now=BEGAN + 7,
        folder="/runs/0000",
        edges=Edges().fold(story),
        failures=Failures().fold(story),
        pace=Pace(),
    )
    assert json.loads(json.dumps(made, allow_nan=False)) == made, "it is not plain"
    return made


def test_apps_have_their_counts_columns_and_edges(log: Log) -> None:
    log.tasks("read", 1, 3)
    log.tasks("align", 4, 3, needs=(1, 2, 3))
    log.tasks("tree", 7, 1, needs=(4,))
    with open_run(log.folder) as run:
        made = picture(run.story)

    assert [(one["name"], one["tasks"], one["level"]) for one in made["apps"]] == [
        ("read", 3, 0),
        ("align", 3, 1),
        ("tree", 1, 2),
    ]
    assert made["edges"] == [[0, 1, 3], [1, 2, 1]]
    assert made["counts"] == {"done": 7}
    assert made["last"] is None


def test_failures_name_their_root_cause_and_the_dead_are_counted(log: Log) -> None:
    log.tasks("read", 1, 2, failing=(2,))
    log.tasks("align", 3, 2, needs=(1, 2), bad=(2,))
    log.tasks("tree", 5, 1, needs=(4,), bad=(4,))
    with open_run(log.folder) as run:
        made = picture(run.story)

    read, align, tree = made["apps"]
    root = {"task": 2, "app": "read", "error": "ValueError: no <b>strand</b> 2"}
    assert [one["dead"] for one in made["apps"]] == [0, 1, 1]
    assert [(one["task"], one["tries"], "root" in one) for one in read["failed"]] == [(2, 1, False)]
    assert align["failed"][0]["root"] == {**root, "place": "worker 1 on node1"}
    assert tree["failed"][0]["root"]["task"] == 2
    assert made["last"]["task"] == 5


def test_what_is_folded_piece_by_piece_is_what_is_folded_at_once(tmp_path: Path) -> None:
    log = Log(tmp_path / "0001")
    edges, failures = Edges(), Failures()
    with open_run(log.folder) as run:
        for number in range(5):
            log.tasks("a", 10 * number, 4, failing=(10 * number,))
            log.tasks("b", 10 * number + 4, 4, needs=(10 * number, 10 * number + 1))
            edges.fold(run.refresh())
            failures.fold(run.story)
        log.close()
        run.refresh()

        assert edges.needs == Edges().fold(run.story).needs == {("a", "b"): 20}
        assert failures.shown == Failures().fold(run.story).shown
        assert len(failures.shown["a"]) == 5


def test_apps_that_wait_for_one_another_in_a_circle_have_a_column_each() -> None:
    story = RunStory().fold(
        [
            TaskSubmitted(BEGAN, 1, "a", ()),
            TaskSubmitted(BEGAN, 2, "b", (1,)),
            TaskSubmitted(BEGAN, 3, "a", (2, 1)),
        ]
    )

    made = picture(story)
    assert [one["level"] for one in made["apps"]] == [0, 1]
    assert sorted(made["edges"]) == [[0, 0, 1], [0, 1, 1], [1, 0, 1]]


def test_a_picture_is_small_however_large_the_run() -> None:
    story = RunStory()
    long = "x" * 5000
    for app in range(300):
        story.fold([ExecutorStarted(BEGAN, f"{long}{app}", "threads")])
        for task in range(app * 30, app * 30 + 30):
            story.fold(
                [
                    TaskSubmitted(BEGAN, task, f"{long}{app}", ()),
                    TaskMoved(BEGAN, task, f"{long}{app}", TaskState.FAILED, 1, "", long),
                ]
            )

    made = picture(story)
    assert len(json.dumps(made)) < 300_000
    assert len(made["apps"]) == 40
    assert made["more_apps"] == 260
    assert len(made["executors"]) == 12


def test_executors_show_workers_that_are_there_and_blocks_by_state() -> None:
    story = RunStory().fold(
        [
            ExecutorStarted(BEGAN, "cpu", "htex"),
            ExecutorStarted(BEGAN, "local", "threads"),
            BlockChanged(BEGAN, "cpu", "cpu-1", "4711", BlockState.READY),
            BlockChanged(BEGAN, "cpu", "cpu-2", "4712", BlockState.QUEUED),
            ManagerChanged(BEGAN, "cpu", "cpu-1", "m1", "node1", "working", 7, 8),
            ManagerChanged(BEGAN, "cpu", "cpu-1", "m2", "node2", "lost", 8, 8),
            TaskMoved(BEGAN, 1, "a", TaskState.LAUNCHED, 1, "cpu"),
            ExecutorStopped(BEGAN + 1, "local"),
        ]
    )

    cpu, local = picture(story)["executors"]
    assert (cpu["workers"], cpu["launched"]) == (8, 1)
    assert cpu["blocks"] == {"ready": 1, "queued": 1}
    assert (local["workers"], local["stopped"]) == (None, True)


@pytest.mark.parametrize(
    ("seen", "rate"),
    [
        ([], 0.0),
        ([(1.0, 5)], 0.0),
        ([(1.0, 5), (1.0, 9)], 0.0),
        ([(1.0, 5), (3.0, 9)], 2.0),
        ([(0.0, 0), (10.0, 1000), (70.0, 1000), (110.0, 1020)], 0.5),
    ],
)
def test_the_pace_is_that_of_the_last_half_minute(
    seen: list[tuple[float, int]], rate: float
) -> None:
    pace = Pace()
    for time, ended in seen:
        pace.add(time, ended)

    assert pace.rate == pytest.approx(rate)


def test_the_rest_is_reckoned_by_the_pace_while_the_run_goes_on(log: Log) -> None:
    log.tasks("a", 1, 10)
    log.write(TaskSubmitted(log.now, 99, "a", ()))
    pace = Pace()
    pace.add(BEGAN, 0)
    pace.add(BEGAN + 5, 10)
    states: tuple[RunState, RunState] = ("running", "broken off")
    with open_run(log.folder) as run:
        story = run.story
        live, ended = (
            picture_of(
                story,
                state,
                now=BEGAN + 1000,
                folder="",
                edges=Edges(),
                failures=Failures(),
                pace=pace,
            )
            for state in states
        )

    assert (live["rate"], live["left"], live["seconds"]) == (2.0, 0.5, 1000)
    assert (ended["left"], ended["seconds"]) == (None, story.seconds)
    assert ended["rate"] == pytest.approx(10 / story.seconds)
