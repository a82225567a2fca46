"""What is told of managers."""

from __future__ import annotations

from typing import Any

from weft_htex.managers import Managers
from weft_htex.messages import News


def manager(**different: Any) -> dict[str, Any]:
    fields = {
        "block": "b",
        "host": "node1",
        "pid": 7,
        "workers": 4,
        "python": "3.11.7",
        "packages": {"weft-htex": "0.1", "dill": "", "cloudpickle": "3"},
        "state": "working",
        "held": 0,
    }
    return {**fields, **different}


def news(managers: dict[str, dict[str, Any]], *gone: list[str]) -> News:
    return News(managers=managers, waiting=0, ignored=0, gone=gone)


def told(managers: Managers, said: News, now: float = 1.0) -> list[tuple[str, str, str]]:
    return [(one.manager, one.state, one.reason) for one in managers.changes(said, now)]


def test_each_change_is_told_once_with_what_the_manager_is() -> None:
    managers = Managers("far")
    (came,) = managers.changes(news({"m-1": manager()}), 5.0)

    assert (came.time, came.executor, came.block, came.manager) == (5.0, "far", "b", "m-1")
    assert (came.host, came.pid, came.workers, came.python) == ("node1", 7, 4, "3.11.7")
    assert (came.state, came.reason) == ("working", "")
    assert came.packages == "cloudpickle==3,dill,weft-htex==0.1"
    assert told(managers, news({"m-1": manager(held=3)})) == []
    assert told(managers, news({"m-1": manager(state="draining")})) == [("m-1", "draining", "")]
    assert told(managers, news({}, ["m-1", "ended", "It ended."])) == [
        ("m-1", "ended", "It ended.")
    ]
    assert told(managers, news({}, ["m-1", "ended", "It ended."])) == []


def test_with_the_interchange_all_are_gone() -> None:
    managers = Managers("far")
    list(managers.changes(news({"m-1": manager(), "m-2": manager(state="away")}), 1.0))
    gone = {(one.manager, one.state, one.reason) for one in managers.over("lost", "It fell.", 2.0)}

    assert gone == {("m-1", "lost", "It fell."), ("m-2", "lost", "It fell.")}
    assert list(managers.over("lost", "Again.", 3.0)) == []
