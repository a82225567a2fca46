"""What the pages of a run show, by invented logs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from weft.values.blocks import BlockState
from weft.values.events import (
    BlockChanged,
    LogLine,
    ManagerChanged,
    Notice,
    ResourceSample,
    TaskDetails,
    TaskMoved,
    TaskSubmitted,
    TryEnded,
)
from weft.values.states import TaskState
from weft_dashboard.book import Book
from weft_dashboard.views import shown

if TYPE_CHECKING:
    from plugins.dashboard.tests.conftest import Log


@pytest.fixture
def book(log: Log) -> Iterator[Book]:
    """Four of ``fetch``, of which number 2 fails; one of ``join``, dead for needing 1 and 2."""
    log.tasks("fetch", 1, 4, failing=frozenset({2}))
    log.tasks("join", 5, 1, failing=frozenset({2}), needs=(1, 2))
    log.write(
        ManagerChanged(log.now, "pool", "cpu-1", "m1", "node1", "working", 11, 4, "3.11.7"),
        BlockChanged(log.now, "pool", "cpu-1", "4711", BlockState.READY, "", 1),
        Notice(log.now, "warning", "pool", "slow <script>"),
        LogLine(log.now, 2, 1, "pool", "INFO", "mine", "near the end"),
        ResourceSample(log.now, 2, 1, "pool", resident=5_000_000, user=0.5),
    )
    made = Book(log.folder)
    made.read(60)
    yield made
    made.close()


def test_the_overview_counts_and_says_why(book: Book) -> None:
    data = shown(book, "overview", {})

    assert data["run"]["state"] == "running"
    assert data["run"]["counts"] == {"done": 3, "failed": 2}
    assert data["apps"]["fetch"]["counts"] == {"done": 3, "failed": 1}
    (cause,) = data["causes"]
    assert (cause["app"], cause["count"], cause["others"], cause["task"]) == ("fetch", 1, 1, 2)
    assert sum(data["time"]["done"].values()) == 3
    assert data["managers"] == {"pool": {"working": {"managers": 1, "workers": 4}}}
    assert data["blocks"]["pool cpu-1"]["state"] == "ready"
    assert data["notices"][0]["text"] == "slow <script>"
    assert data["pace"]["rate"] > 0


def test_nothing_in_a_view_is_none(book: Book) -> None:
    """A merge patch would take it for something to remove."""

    def nones(data: Any) -> bool:
        if isinstance(data, dict):
            return any(nones(value) for value in data.values())
        return data is None

    for view, asked in (
        ("overview", {}), ("tasks", {}), ("graph", {"open": "0,1"}), ("nodes", {}), ("files", {}),
        ("task", {"task": "2"}), ("task", {"task": "5"}),
    ):  # fmt: skip
        assert not nones(shown(book, view, asked)), view


def test_tasks_are_chosen_and_ordered(book: Book) -> None:
    def numbers(**asked: str) -> list[int]:
        return [one["id"] for one in shown(book, "tasks", asked)["tasks"]]

    assert numbers() == [5, 4, 3, 2, 1]
    assert numbers(order="oldest", app="fetch") == [1, 2, 3, 4]
    assert numbers(state="failed") == [5, 2]
    assert numbers(state="dead") == [5]
    assert numbers(words="STRAND 2") == [2]
    assert numbers(page="1") == []
    with pytest.raises(ValueError, match="no order"):
        numbers(order="random")
    with pytest.raises(ValueError, match="no state"):
        numbers(state="lazy")
    with pytest.raises(ValueError, match="a number"):
        numbers(page="-1")


def test_a_task_shows_its_try_its_root_and_what_it_said(book: Book) -> None:
    failed, dead = shown(book, "task", {"task": "2"}), shown(book, "task", {"task": "5"})

    (one,) = failed["tries"]
    assert (one["attempt"], one["executor"], one["place"]) == (1, "pool", "worker 1 on node1")
    assert (one["before"], one["ran"], one["after"]) == (0.25, 0.5, 0.25)
    assert one["error"] == "ValueError: no strand 2"
    assert failed["dead"] == 1
    assert failed["root"] == {}
    assert failed["lines"][0]["text"] == "near the end"
    assert failed["samples"][0]["resident"] == 5_000_000
    assert dead["task"]["dead"]
    assert dead["tries"] == []
    assert dead["root"]["id"] == 2
    assert [need["state"] for need in dead["needs"]] == ["done", "failed"]
    assert shown(book, "task", {"task": "99"})["task"] == {"id": 99, "known": False}


def test_each_try_is_shown_with_how_it_ended(log: Log) -> None:
    log.write(
        TaskSubmitted(log.now, 1, "a", ()),
        TaskMoved(log.now + 1, 1, "a", TaskState.LAUNCHED, 1, "pool"),
        TryEnded(log.now + 2, 1, "a", 1, "pool", "lost", "WorkerLost: gone", 3.0),
        TaskMoved(log.now + 2, 1, "a", TaskState.PENDING, 1),
        TaskMoved(log.now + 5, 1, "a", TaskState.LAUNCHED, 2, "pool"),
    )
    book = Book(log.folder)
    book.read(60)
    first, second = shown(book, "task", {"task": "1"})["tries"]
    book.close()

    assert (first["error"], first["how"], first["delay"]) == ("WorkerLost: gone", "lost", 3.0)
    assert "ended" not in second


def test_a_task_shows_its_call_its_files_and_its_tracebacks(log: Log) -> None:
    log.write(
        TaskSubmitted(log.now, 1, "a", (), ("in.fa",), tuple(f"{n}.bam" for n in range(60))),
        TaskMoved(log.now + 1, 1, "a", TaskState.LAUNCHED, 1, "pool"),
        TaskDetails(log.now + 2, 1, "a", 1, "'x\ud800'", None, "ValueError: one\n"),
        TaskDetails(log.now + 3, 1, "a", 2, "'y'", None, "ValueError: two\n"),
        TaskDetails(log.now + 3, 2, "b", 1, "", "7"),
        TaskMoved(log.now + 3, 2, "b", TaskState.DONE, 1),
    )
    book = Book(log.folder)
    book.read(60)
    failed, good = (shown(book, "task", {"task": number}) for number in ("1", "2"))
    book.close()

    assert failed["arguments"] == "'y'"
    assert "result" not in failed
    assert [one["text"] for one in failed["tracebacks"]] == [
        "ValueError: two\n",
        "ValueError: one\n",
    ]
    assert failed["inputs"] == ["in.fa"]
    assert (len(failed["outputs"]), failed["outputs_in_all"]) == (50, 60)
    assert (good["arguments"], good["result"], good["tracebacks"]) == ("", "7", [])


def test_the_clock_of_a_worker_is_held_within_what_the_script_saw(log: Log) -> None:
    log.write(
        TaskSubmitted(log.now, 1, "a", ()),
        TaskMoved(log.now, 1, "a", TaskState.LAUNCHED, 1, "pool"),
        TaskMoved(log.now + 2, 1, "a", TaskState.DONE, 1, "", "", "w on n", log.now - 500, 1.0),
    )
    book = Book(log.folder)
    book.read(60)
    (one,) = shown(book, "task", {"task": "1"})["tries"]
    book.close()

    assert (one["before"], one["ran"], one["after"]) == (0.0, 1.0, 1.0)


def test_the_graph_folds_apps_and_unfolds_tasks(book: Book) -> None:
    folded = shown(book, "graph", {})
    opened = shown(book, "graph", {"open": "0"})

    assert set(folded["nodes"]) == {"a0", "a1"}
    assert folded["edges"] == {"a0 a1": 2}
    assert folded["nodes"]["a0"]["x"] < folded["nodes"]["a1"]["x"]
    assert set(opened["nodes"]) == {"t1", "t2", "t3", "t4", "a1"}
    assert opened["edges"] == {"t1 a1": 1, "t2 a1": 1}
    assert shown(book, "graph", {"open": "1"})["nodes"]["t5"]["dead"]
    with pytest.raises(ValueError, match="numbers of apps"):
        shown(book, "graph", {"open": "x"})


def test_of_many_tasks_the_failed_ones_are_shown_and_the_rest_is_one_node(log: Log) -> None:
    log.tasks("many", 1, 3000, failing=frozenset({2999}))
    log.tasks("sum", 3001, 1, needs=range(1, 2901))
    book = Book(log.folder)
    book.read(60)
    data = shown(book, "graph", {"open": "0"})
    book.close()

    tasks = [node for node in data["nodes"] if node.startswith("t")]
    assert len(tasks) == 1500
    assert data["nodes"]["t2999"]["state"] == "failed"
    assert data["nodes"]["a0"]["tasks"] == 1500
    assert sum(data["edges"].values()) == 2900


def test_nodes_are_busy_for_as_long_as_functions_ran(book: Book) -> None:
    node = shown(book, "nodes", {})["nodes"]["node1"]

    assert (node["tries"], node["failed"], node["workers"], node["ran"]) == (4, 1, 4, 2.0)
    assert sum(node["busy"]["busy"].values()) == pytest.approx(2.0)
    assert node["managers"]["pool m1"]["python"] == "3.11.7"


def test_nodes_tell_what_sampled_tries_used_there(log: Log) -> None:
    start = log.now

    def sample(at: float, task: int, attempt: int, **amounts: Any) -> ResourceSample:
        return ResourceSample(start + at, task, attempt, "pool", **amounts)

    def end(at: float, task: int, attempt: int, state: TaskState, began: float) -> TaskMoved:
        ran = ("worker 1 on node1", start + began, at - began)
        return TaskMoved(start + at, task, "fit", state, attempt, "", "", *ran)

    log.write(
        *(TaskSubmitted(start, task, "fit", ()) for task in range(3)),
        *(TaskMoved(start, task, "fit", TaskState.LAUNCHED, 1, "pool") for task in range(3)),
        # Four seconds: 100 bytes for two of them, 300 for two.
        sample(3, 0, 1, user=1.0, system=0.5, resident=100, peak=100),
        sample(5, 0, 1, user=2.0, system=1.0, resident=300, peak=400, last=True),
        end(5, 0, 1, TaskState.DONE, 1),
        # A single sample, after all was given back; and a try that is made again.
        sample(2, 1, 1, user=0.25, resident=10, peak=500, last=True),
        end(2, 1, 1, TaskState.PENDING, 1),
        end(3, 2, 1, TaskState.DONE, 1),
    )
    book = Book(log.folder)
    book.read(60)

    node = shown(book, "nodes", {})["nodes"]["node1"]
    assert (node["tries"], node["processor"], node["peak"]) == (3, 3.25, 500)
    assert sum(node["memory"]["memory"].values()) == 2 * 100 + 2 * 300 + 500
    book.close()


def test_nodes_of_which_nothing_is_sampled_say_nothing_of_memory(log: Log) -> None:
    log.tasks("fetch", 1, 4)
    book = Book(log.folder)
    book.read(60)

    assert "memory" not in shown(book, "nodes", {})["nodes"]["node1"]
    book.close()


def test_a_book_says_when_its_folder_has_gone(log: Log, tmp_path: Path) -> None:
    book = Book(log.folder)
    book.read(60)
    log.folder.rename(tmp_path / "elsewhere")
    before = book.changes
    book.read(60)

    assert book.state == "gone"
    assert book.changes > before
    assert shown(book, "overview", {})["run"]["program"] == "survey.py"
    book.close()
