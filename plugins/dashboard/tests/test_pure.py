"""Patches, pieces of time, the moves of tasks, and where nodes are drawn."""

from __future__ import annotations

import json
import math
from random import Random
from typing import Any

import pytest

from plugins.dashboard.tests.conftest import patched
from weft.eventlog.batches import Batch, Begun, Done
from weft.eventlog.story import RunStory
from weft.values.events import (
    FileMoved,
    FileNotMoved,
    RunStarted,
    TaskMoved,
    TaskSubmitted,
    TryEnded,
)
from weft.values.message import as_mapping
from weft.values.states import TaskState
from weft_dashboard.annals import BINS, Annals, Bins, NodeUse, scheme_of
from weft_dashboard.changes import as_json, patch
from weft_dashboard.layout import placed


def invented(chance: Random, depth: int = 3) -> Any:
    """Plain data without ``None``, of which some is equal to what another call makes."""
    kind = chance.randrange(6 if depth else 3)
    if kind < 3:
        return (True, chance.randrange(4), chance.choice(["", "a", "é"]))[kind]
    if kind == 3:
        return [invented(chance, depth - 1) for _ in range(chance.randrange(3))]
    return {name: invented(chance, depth - 1) for name in "abc" if chance.random() < 0.6}


def test_a_patch_makes_the_one_of_the_other() -> None:
    chance = Random(7)
    patches = 0
    for _ in range(500):
        before, after = ({name: invented(chance) for name in "xyz"[: chance.randrange(4)]}
                         for _ in range(2))  # fmt: skip
        new = json.loads(as_json(patch(before, after)))
        patches += bool(new)

        assert patched(before, new) == after
        assert patch(after, after) == {}
    assert patches > 400


def test_numbers_that_json_does_not_have_become_0() -> None:
    assert json.loads(as_json({"a": [math.inf, {"b": math.nan}], "c": 1.5})) == {
        "a": [0.0, {"b": 0.0}],
        "c": 1.5,
    }


def test_pieces_of_time_lose_nothing_and_stay_few() -> None:
    chance = Random(7)
    for _ in range(50):
        bins = Bins("n")
        times = [chance.uniform(-10, 10 ** chance.uniform(0, 7)) for _ in range(30)]
        for time in times:
            bins.add("n", 1.8e9 + time)

        assert sum(bins.rows["n"]) == len(times)
        assert len(bins.rows["n"]) <= BINS


def test_a_stretch_is_spread_over_the_pieces_that_it_lies_in() -> None:
    chance = Random(7)
    for _ in range(200):
        bins = Bins("busy", start=1000.0)
        seconds = 10 ** chance.uniform(-3, 4)
        bins.spread("busy", 1000.0 + chance.uniform(0, 1000), seconds)

        assert sum(bins.rows["busy"]) == pytest.approx(seconds, abs=1e-6)
        assert max(bins.rows["busy"]) <= bins.width + 1e-6


def test_the_moves_of_a_task_come_back_as_they_were_told() -> None:
    story = RunStory()
    annals = Annals(story)
    events = [
        TaskSubmitted(1.0, 3, "a", ()),
        TaskMoved(2.0, 3, "a", TaskState.LAUNCHED, 1, "pool"),
        TryEnded(3.0, 3, "a", 1, "pool", "raised", "ValueError: x", 0.5),
        TaskMoved(3.0, 3, "a", TaskState.PENDING, 1, "", "", "worker 1 on n1", 2.2, 0.5),
        TaskSubmitted(3.0, 4, "b", (3,)),
        TaskMoved(4.0, 3, "a", TaskState.LAUNCHED, 2, "pool"),
        TaskMoved(5.0, 3, "a", TaskState.DONE, 2, "", "", "worker 2 on n2", 4.1, 0.0),
    ]
    story.fold(events)
    annals.fold(events)

    moves = annals.moves(3)
    assert [(move.time, move.state, move.attempt) for move in moves] == [
        (2.0, TaskState.LAUNCHED, 1),
        (3.0, TaskState.PENDING, 1),
        (4.0, TaskState.LAUNCHED, 2),
        (5.0, TaskState.DONE, 2),
    ]
    assert [move.seconds for move in moves] == [None, 0.5, None, 0.0]
    assert [move.place for move in moves] == ["", "worker 1 on n1", "", "worker 2 on n2"]
    assert annals.moves(4) == []
    assert annals.edges == {("a", "b"): 1}
    assert list(annals.dependants(3)) == [4]
    assert {name: node.tries for name, node in annals.nodes.items()} == {"n1": 1, "n2": 1}
    assert sum(annals.time.rows["launched"]) == 0


def test_annals_by_columns_are_those_of_the_events() -> None:
    """Times are eighths, so that sums of them are exact in any order."""
    chance = Random(7)
    for _ in range(40):
        story = RunStory().fold([RunStarted(1.0, "r", "f", "p", "0")])
        by_columns = Annals(story)
        tasks = range(chance.randrange(1, 40))
        begun = Begun(sorted(1.0 + chance.randrange(8) / 8 for _ in tasks), list(tasks),
                      ["a"] * len(tasks), ["x"] * len(tasks))  # fmt: skip
        ends = [number for number in tasks if chance.random() < 0.8]
        again = {number for number in ends if chance.random() < 0.2}
        others = [
            TaskMoved(2.0 + state / 8, number, "a", state, 1, executor, "", place, begin, seconds)
            for number in sorted(again)
            for state, executor, place, begin, seconds in [
                (TaskState.PENDING, "", "worker 1 on n1", 2.0, 0.125),
                (TaskState.LAUNCHED, "y", "", 0.0, None),
            ]
        ]
        seconds = [chance.choice([None, 0.0, 0.5, 40.0]) for _ in ends]
        done = Done([4.0 + chance.randrange(800) / 8 for _ in ends], ends, ["a"] * len(ends),
                    [2 if number in again else 1 for number in ends],
                    [chance.choice(["worker 2 on n1", "n2", ""]) for _ in ends],
                    [chance.choice([0.0, 3.0, 3.5]) for _ in ends], seconds)  # fmt: skip
        batch = Batch(begun, others, done)
        by_columns.take(story.take(batch))

        told = [RunStarted(1.0, "r", "f", "p", "0"), *batch.events()]
        whole = RunStory().fold(told)
        annals = Annals(whole)
        annals.fold(told)

        assert by_columns.time.width == annals.time.width
        assert by_columns.time.rows == annals.time.rows
        assert {name: _of_node(one) for name, one in by_columns.nodes.items()} == {
            name: _of_node(one) for name, one in annals.nodes.items()
        }
        for number in [*tasks, 99]:
            assert [as_mapping(one) for one in by_columns.moves(number)] == [
                as_mapping(one) for one in annals.moves(number)
            ]


def _of_node(one: NodeUse) -> tuple[Any, ...]:
    return one.tries, one.failed, one.seconds, one.workers, one.busy.width, one.busy.rows


def test_files_are_summed_by_way_executor_and_scheme() -> None:
    annals = Annals(RunStory())
    annals.fold(
        [
            FileMoved(1.0, "https://a.example/x", "in", "pool", 1, 0.5, 70),
            FileMoved(2.0, "https://b.example/y", "in", "pool", 1, 1.5),
            FileNotMoved(3.0, "/data/z", "out", "pool", 1, "no room", None),
        ]
    )

    sums = {key: (one.moved, one.failed, one.seconds) for key, one in annals.traffic.items()}
    assert sums == {("in", "pool", "https"): (2, 0, 2.0), ("out", "pool", "file"): (0, 1, 0.0)}
    assert {(one.bytes, one.unsized) for one in annals.traffic.values()} == {(70, 1), (0, 0)}
    assert scheme_of("http://[::1") == "?"


def test_what_is_needed_stands_before_what_needs_it() -> None:
    chance = Random(7)
    nodes = [str(number) for number in range(30)]
    for _ in range(50):
        pairs = [sorted(chance.sample(range(30), 2)) for _ in range(chance.randrange(80))]
        forwards = [(str(before), str(after)) for before, after in pairs]

        where = placed(nodes, forwards)

        assert len(set(where.values())) == len(nodes)
        assert all(where[before][0] < where[after][0] for before, after in forwards)


def test_circles_are_drawn_too() -> None:
    where = placed("abc", [("a", "b"), ("b", "c"), ("c", "a"), ("c", "c")])

    assert [where[node][0] for node in "abc"] == [0, 1, 2]
