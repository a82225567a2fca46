"""What events are as documents."""

from __future__ import annotations

import enum
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from weft.values import blocks, jobs, task
from weft.values.events import Event, Notice, ResourceSample, RunStarted, TaskMoved
from weft.values.states import TaskState
from weft.values.task import TaskId
from weft_elasticsearch.documents import LONGEST, MAPPINGS, RENAMED, document
from weft_testkit.monitor import all_events

_KINDS = {
    str: {"keyword", "text"},
    int: {"long"},
    float: {"double"},
    bool: {"boolean"},
}


def plain(kind: Any) -> type:
    """What a value of an annotated type is on the wire."""
    if isinstance(kind, UnionType):
        (kind,) = [one for one in get_args(kind) if one is not type(None)]
    if get_origin(kind) is tuple:
        kind = get_args(kind)[0]
    while hasattr(kind, "__supertype__"):
        kind = kind.__supertype__
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return str  # by its label, or as the text it is
    assert isinstance(kind, type), kind
    return kind


def fields() -> list[tuple[str, str, Any]]:
    """Every field of every class of events: the class, the name in documents, the type."""
    names = {**vars(blocks), **vars(jobs), **vars(task), "TaskState": TaskState}
    found = []
    for cls in get_args(Event):
        for name, kind in get_type_hints(cls, localns=names).items():
            known = RENAMED.get(cls.__name__, {}).get(name, name)
            found.append((cls.__name__, "task" if name == "id" else known, kind))
    return [one for one in found if one[1] != "time"]


@pytest.mark.parametrize(("cls", "name", "kind"), fields(), ids=str)
def test_each_field_is_mapped_to_what_all_classes_have_in_it(
    cls: str, name: str, kind: Any
) -> None:
    known = MAPPINGS["properties"].get(name)
    if known is None:
        # A server maps it as the first class did that had it: all others have to agree.
        kinds = {plain(other) for _, named, other in fields() if named == name}
        assert kinds == {plain(kind)}, f"{cls}.{name} is also something else; see RENAMED"
    else:
        assert known["type"] in _KINDS[plain(kind)]


def test_no_field_is_mapped_that_nothing_has() -> None:
    own = {"@timestamp", "run", "recorder", "seq", "event"}
    assert set(MAPPINGS["properties"]) <= {name for _, name, _ in fields()} | own


def test_a_document_has_what_the_event_says() -> None:
    at = 1_700_000_000.123456
    event = TaskMoved(at, TaskId(7), "align", TaskState.DONE, 2, "", "", "worker 1", at - 2, 1.5)
    assert document(event) == {
        "@timestamp": "2023-11-14T22:13:20.123456Z",
        "event": "TaskMoved",
        "task": 7,
        "app": "align",
        "state": "done",
        "attempt": 2,
        "place": "worker 1",
        "begun": at - 2,
        "seconds": 1.5,
    }


def test_names_that_mean_two_things_are_told_apart() -> None:
    sample = document(ResourceSample(1.0, TaskId(1), 1, "cpu", user=0.5, system=0.25))
    assert (sample["cpu_user"], sample["cpu_system"]) == (0.5, 0.25)
    started = document(RunStarted(1.0, "r", "/runs", "p", "0.9", user="ada", command=("p", "-x")))
    assert started["user"] == "ada"
    assert started["command"] == ["p", "-x"]


def test_texts_are_ones_that_can_be_sent() -> None:
    made = document(Notice(1.0, "info", "test", "lone \ud800 half" + "l" * 2 * LONGEST))
    assert made["text"].startswith("lone ? half")
    assert len(made["text"]) == LONGEST


def test_values_that_no_event_has_cost_no_more_than_themselves() -> None:
    odd: Any = {1}
    assert document(Notice(1.0, "info", "test", odd))["text"] == "{1}"
    never = TaskMoved(1.0, TaskId(7), "align", TaskState.DONE, seconds=float("nan"))
    assert "seconds" not in document(never)


def test_every_class_of_events_has_a_document() -> None:
    made = [document(event) for event in all_events()]
    assert all(one["@timestamp"].endswith("Z") for one in made)
    assert {one["event"] for one in made} <= {cls.__name__ for cls in get_args(Event)}
