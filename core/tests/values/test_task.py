"""What is asked of weft is checked where it is asked."""

from __future__ import annotations

import pickle
from typing import Any

import attrs
import pytest

from weft.values.task import (
    NEEDS_NOTHING,
    Ended,
    Needs,
    Outcome,
    Resources,
    Task,
    split_place,
)


@pytest.mark.parametrize(
    ("place", "worker", "node"),
    [
        ("worker 3 (pid 4711) on node17", "worker 3 (pid 4711)", "node17"),
        ("worker 3 of manager-2 on node17.site", "worker 3 of manager-2", "node17.site"),
        ("odd on worker on node", "odd on worker", "node"),
        ("worker 3", "worker 3", ""),
        ("", "", ""),
    ],
)
def test_a_place_is_a_worker_and_its_node(place: str, worker: str, node: str) -> None:
    assert split_place(place) == (worker, node)


@pytest.mark.parametrize(
    "wrong", [{"cores": 0}, {"cores": -1}, {"memory": 0}, {"accelerators": -0.5}]
)
def test_resources_are_amounts(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Resources(**wrong)


@pytest.mark.parametrize("walltime", [0, -1.0])
def test_a_walltime_is_positive(walltime: float) -> None:
    with pytest.raises(ValueError, match="walltime"):
        Needs(walltime=walltime)


def test_what_was_asked_is_listed_in_the_order_of_the_fields() -> None:
    assert Resources(accelerators=1, cores=0.5, options={"licence": 1}).asked() == (
        "cores",
        "accelerators",
        "licence",
    )
    assert Resources().asked() == ()


@pytest.mark.parametrize(
    "value",
    [Resources(cores=2), Needs(priority=3)],
    ids=lambda value: type(value).__name__,
)
def test_what_users_make_is_frozen(value: Any) -> None:
    name = attrs.fields(type(value))[0].name

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(value, name, None)


def test_tasks_and_outcomes_travel() -> None:
    task = Task(3, 1, "align", len, ([1],), {}, NEEDS_NOTHING)
    outcome = Outcome(3, 1, Ended.VALUE, [1], "node")

    back = pickle.loads(pickle.dumps((task, outcome)))

    assert back[0].args == ([1],)
    assert (back[1].id, back[1].ended, back[1].value) == (3, Ended.VALUE, [1])
