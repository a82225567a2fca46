"""What is in the index, and what becomes of it while the server is away, busy, slow or picky."""

from __future__ import annotations

import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import weft
from weft.testing import FakeContext
from weft.values.events import Event, Notice, RunEnded, TaskMoved, TaskSubmitted
from weft.values.states import TaskState
from weft.values.task import TaskId
from weft_elasticsearch import documents, writer
from weft_elasticsearch.monitor import ElasticsearchMonitor
from weft_elasticsearch.settings import Elasticsearch
from weft_testkit.rig import until

if TYPE_CHECKING:
    from contrib.elasticsearch.tests.conftest import Server

BOUND = 60.0
"""Seconds after which what should come about at once has not."""

Start = Callable[..., tuple[ElasticsearchMonitor, FakeContext]]


def life_of(task: int) -> list[Event]:
    return [
        TaskSubmitted(1.0, TaskId(task), "sum", ()),
        TaskMoved(2.0, TaskId(task), "sum", TaskState.LAUNCHED, 1, "cpu"),
        TaskMoved(3.0, TaskId(task), "sum", TaskState.DONE, 1),
    ]


def warnings(context: FakeContext) -> list[str]:
    return [text for level, text in context.notices if level == "warning"]


def seqs(server: Server) -> list[int]:
    return sorted(one["seq"] for one in server.documents())


@pytest.fixture
def start(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts monitors that try again soon, and closes them."""
    monkeypatch.setattr(writer, "PAUSES", (0.01,))
    made: list[ElasticsearchMonitor] = []

    def begin(**options: Any) -> tuple[ElasticsearchMonitor, FakeContext]:
        context = FakeContext(tmp_path)
        patient: dict[str, Any] = {"server": server.url, "closing": BOUND, "timeout": BOUND}
        monitor = ElasticsearchMonitor(Elasticsearch(**{**patient, **options}))
        made.append(monitor)
        monitor.start(context)
        return monitor, context

    yield begin
    server.free.set()
    for monitor in made:
        monitor.close()


def test_a_run_of_a_session(server: Server, tmp_path: Path) -> None:
    @weft.python_app
    def first() -> int:
        return 1

    @weft.python_app
    def fails(_: int) -> int:
        raise ValueError("told you so")

    monitor = weft.monitor("elasticsearch", server=server.url, closing=BOUND)
    with weft.load(weft.Config(run_dir=tmp_path, retries=1, monitors=[monitor])):
        assert isinstance(fails(first()).exception(BOUND), ValueError)
    there = server.wait_until(lambda one: one["event"] == "RunEnded")
    assert seqs(server) == list(range(1, len(there) + 1))
    (started,) = [one for one in there if one["event"] == "RunStarted"]
    assert {one["run"] for one in there} == {started["run_id"]}
    (called,) = [one for one in there if one["event"] == "TaskSubmitted" and one["app"] == "fails"]
    assert called["needs"] == [0]
    (again,) = [one for one in there if one["event"] == "TryEnded"]
    assert (again["task"], again["attempt"], again["ended"]) == (1, 1, "error")
    assert "told you so" in again["error"]
    states = [one["state"] for one in there if one["event"] == "TaskMoved" and one["task"] == 0]
    assert states[-1] == "done"
    (ended,) = [one for one in there if one["event"] == "RunEnded"]
    assert (ended["done"], ended["failed"], ended["lost_events"]) == (1, 1, 0)
    assert server.made_with["weft"] == documents.MAPPINGS
    (left,) = tmp_path.glob("*/monitor-*-elasticsearch/documents.json")
    assert stat.S_IMODE(left.stat().st_mode) == 0o600


def test_documents_come_while_the_run_goes_on(server: Server, start: Start) -> None:
    monitor, context = start()
    monitor.handle(life_of(1))
    assert [one["event"] for one in server.wait_for(3)] == ["TaskSubmitted", *["TaskMoved"] * 2]
    monitor.close()
    assert warnings(context) == []


def test_runs_share_an_index(server: Server, start: Start) -> None:
    several = [start()[0] for _ in range(3)]
    for task in range(20):
        for monitor in several:
            monitor.handle(life_of(task))
    for monitor in several:
        monitor.close()
    assert len(server.documents()) == 180
    assert len({one["recorder"] for one in server.documents()}) == 3


@pytest.mark.parametrize("code", [429, 503])
def test_a_server_that_is_busy_gets_the_same_again(server: Server, start: Start, code: int) -> None:
    monitor, context = start()
    server.answers = [code] * 3
    monitor.handle(life_of(1))
    server.wait_for(3)
    monitor.close()
    assert seqs(server) == [1, 2, 3]
    (told,) = warnings(context)
    assert f"it answers {code}" in told
    assert "The run goes on" in told


def test_documents_that_had_no_room_are_sent_again_and_no_others(
    server: Server, start: Start
) -> None:
    monitor, context = start()
    server.busy = 2
    monitor.handle(life_of(1))
    server.wait_for(3)
    monitor.close()
    assert [one["seq"] for one in server.documents()] == [3, 1, 2]
    assert server.asked == 2
    (told,) = warnings(context)
    assert "es_rejected_execution_exception: busy" in told


def test_a_document_that_is_refused_is_counted_and_the_others_are_there(
    server: Server, start: Start
) -> None:
    monitor, context = start()
    server.indices["weft"][0]["properties"]["app"] = {"type": "long"}
    monitor.handle(
        [Notice(1.0, "info", "test", "a"), *life_of(1), Notice(2.0, "info", "test", "b")]
    )
    monitor.close()
    assert seqs(server) == [1, 5]
    first, last = warnings(context)
    assert "document_parsing_exception: failed to parse field [app]" in first
    assert last == f"3 events could not be written to {server.url}/weft."


def test_what_is_no_time_is_counted_and_the_rest_is_there(server: Server, start: Start) -> None:
    monitor, context = start()
    wrong: Any = Notice("noon", "info", "test", "late")  # type: ignore[arg-type]
    monitor.handle([*life_of(1), wrong, *life_of(2)])
    monitor.close()
    assert seqs(server) == [1, 2, 3, 5, 6, 7]
    assert warnings(context)[-1].startswith("1 events could not be written")


def test_what_was_taken_though_the_answer_was_lost_is_there_once(
    server: Server, start: Start
) -> None:
    monitor, context = start()
    server.answers = [0]
    monitor.handle(life_of(1))
    server.wait_until_asked(2)
    monitor.close()
    assert seqs(server) == [1, 2, 3]
    assert len(warnings(context)) == 1  # that it did not answer, and nothing that is missing


def test_what_is_too_much_at_once_is_sent_in_parts(server: Server, start: Start) -> None:
    monitor, context = start()
    server.largest = 2000
    monitor.handle([Notice(1.0, "info", "test", f"{n} {'l' * 300}") for n in range(40)])
    monitor.handle([Notice(1.0, "info", "test", "l" * 3000)])
    monitor.close()
    assert seqs(server) == list(range(1, 41))
    assert warnings(context)[-1].startswith("1 events could not be written")


def test_many_at_once_come_in_requests_of_bounded_size(server: Server, start: Start) -> None:
    monitor, context = start()
    server.largest = writer.BYTES
    monitor.handle([Notice(1.0, "info", "test", "l" * documents.LONGEST) for _ in range(150)])
    monitor.handle([event for task in range(1000) for event in life_of(task)])
    monitor.close()
    assert seqs(server) == list(range(1, 3151))
    assert server.asked >= 7
    assert warnings(context) == []


def test_a_server_that_hangs_holds_up_neither_the_run_nor_its_end(
    server: Server, start: Start
) -> None:
    monitor, context = start(timeout=0.5, closing=0.5, backlog=1000)
    server.free.clear()
    for task in range(2000):
        monitor.handle(life_of(task))
    monitor.handle([RunEnded(9.0, "run-1", 2000, 0, 0)])
    monitor.close()
    until(
        lambda: "weft-elasticsearch" not in {thread.name for thread in threading.enumerate()},
        BOUND,
        "its thread goes on",
    )
    assert any("behind by 1000 events" in told for told in warnings(context))
    assert warnings(context)[-1] == f"6001 events could not be written to {server.url}/weft."


def test_a_server_that_comes_back_gets_what_waited(server: Server, start: Start) -> None:
    monitor, context = start(backlog=1000)
    server.free.clear()
    monitor.handle(life_of(0))
    server.wait_until_asked(1)
    for task in range(1, 1001):
        monitor.handle(life_of(task))
    monitor.handle([RunEnded(9.0, "run-1", 1001, 0, 0)])
    server.free.set()
    monitor.close()
    there = server.documents()
    assert there[-1]["event"] == "RunEnded"
    missed = int(warnings(context)[-1].split()[0])
    assert missed == 3004 - len(there)
    assert len(there) >= 999


def test_who_writes_is_said_by_variables(
    server: Server, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELASTICSEARCH_API_KEY", "c2VzYW1l")
    start()
    assert server.headers["authorization"] == "ApiKey c2VzYW1l"
    monkeypatch.delenv("ELASTICSEARCH_API_KEY")
    monkeypatch.setenv("ELASTICSEARCH_USERNAME", "me")
    monkeypatch.setenv("ELASTICSEARCH_PASSWORD", "sesame")
    start()
    assert server.headers["authorization"].startswith("Basic ")


def test_a_server_that_refuses_is_an_error_at_the_start(server: Server, tmp_path: Path) -> None:
    server.denied = True
    with pytest.raises(weft.errors.ConfigurationError) as raised:
        ElasticsearchMonitor(Elasticsearch(server=server.url)).start(FakeContext(tmp_path))
    assert raised.value.why == "it answers 403"  # a question whether something is there has no more
    assert "ELASTICSEARCH_API_KEY" in raised.value.todo


def test_what_the_server_says_when_it_refuses_is_told(server: Server, start: Start) -> None:
    monitor, context = start()
    server.denied = True
    monitor.handle(life_of(1))
    monitor.close()
    assert "it answers 403: security_exception: you are nobody" in warnings(context)[0]
    assert warnings(context)[1].startswith("3 events could not be written")


def test_certificates_that_are_not_there_are_an_error_at_the_start(tmp_path: Path) -> None:
    settings = Elasticsearch(server="https://127.0.0.1:9", ca_certs=str(tmp_path / "none.pem"))
    with pytest.raises(weft.errors.ConfigurationError) as raised:
        ElasticsearchMonitor(settings).start(FakeContext(tmp_path))
    assert "No such file" in raised.value.why
    assert "ca_certs" in raised.value.todo


def test_a_server_that_is_away_is_an_error_or_waited_for(tmp_path: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(weft.errors.ConfigurationError) as raised:
            ElasticsearchMonitor(Elasticsearch(server=url)).start(FakeContext(tmp_path))
        assert url in raised.value.what
        assert "refused" in raised.value.why
        assert "required=False" in raised.value.todo

        context = FakeContext(tmp_path)
        monitor = ElasticsearchMonitor(Elasticsearch(server=url, required=False, closing=0.5))
        monitor.start(context)
        monitor.handle(life_of(1))
        context.wait_until(lambda: context.notices, BOUND)
        monitor.close()
    assert len(warnings(context)) == 2
    assert "The run goes on" in warnings(context)[0]
    assert warnings(context)[1].startswith("3 events could not be written")


def test_an_index_that_could_not_be_made_at_the_start_is_made_later(
    server: Server, start: Start
) -> None:
    monitor, _ = start(required=False)
    assert server.indices == {}
    monitor.handle(life_of(1))
    server.wait_for(3)
    assert server.made_with["weft"] == documents.MAPPINGS
