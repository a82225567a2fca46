"""The server: what is live, what appears and vanishes, what is damaged, and many at once."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from weft.eventlog.writer import NAME
from weft.values.events import Notice, TaskMoved, TaskSubmitted
from weft.values.states import TaskState
from weft_dashboard.guard import Access

if TYPE_CHECKING:
    from plugins.dashboard.tests.conftest import Log, Server

BOUND = 60.0
TOKEN = "a-token-of-tests"


def done_are(number: int) -> Callable[[Any], bool]:
    """Whether a view tells of so many tasks that are done."""
    return lambda data: bool(data["run"]["counts"].get("done") == number)


def test_a_view_is_live_and_comes_in_patches(log: Log, server: Server) -> None:
    log.tasks("fetch", 1, 50)
    client = server.listen("run=0000&view=overview")
    client.until(lambda data: data["run"]["counts"].get("done") == 50)
    size = len(json.dumps(client.data))
    log.tasks("join", 51, 5)
    data = client.until(lambda data: data["run"]["counts"].get("done") == 55)

    assert client.kinds[0] == "snapshot"
    assert set(data["apps"]) == {"fetch", "join"}
    assert data == server.view("/api/runs/0000/overview")
    # A client that a busy machine lets lag behind gets all of it again, so not each one is a patch.
    for number in range(56, 156):
        log.tasks("join", number, 1)
        client.until(done_are(number))
        if client.kinds[-1] == "patch":
            break
    assert client.kinds[-1] == "patch"
    assert client.sizes[-1] < size
    log.end()
    client.until(lambda data: data["run"]["state"] == "ended")
    client.close()


def test_many_events_are_few_and_small_updates(log: Log, server: Server) -> None:
    client = server.listen("run=0000&view=overview")
    client.next()
    begun = monotonic()
    for number in range(200):
        log.tasks("fetch", 50 * number, 50)
    client.until(lambda data: data["run"]["counts"].get("done") == 10_000)

    assert len(client.kinds) <= (monotonic() - begun) / 0.25 + 2
    assert max(client.sizes[1:]) < 20_000
    client.close()


def test_clients_of_one_view_share_it(log: Log, server: Server) -> None:
    clients = [server.listen("view=tasks&run=0000&order=oldest&app=fetch") for _ in range(3)]
    for client in clients:
        client.next()
    log.tasks("fetch", 1, 3)
    seen = [client.until(lambda data: data["found"] == 3) for client in clients]

    assert seen[0] == seen[1] == seen[2]
    for client in clients:
        client.close()


def test_a_run_that_appears_and_vanishes_is_seen(log: Log, server: Server, tmp_path: Path) -> None:
    from plugins.dashboard.tests.conftest import Log as Another

    listing = server.listen("view=runs")
    listing.until(lambda data: set(data["runs"]) == {"0000"})
    assert listing.data["runs"]["0000"]["state"] == "running"
    other = Another(tmp_path / "0001")
    listing.until(lambda data: set(data["runs"]) == {"0000", "0001"})
    watched = server.listen("run=0001&view=overview")
    watched.until(lambda data: data["run"]["state"] == "running")
    other.path.unlink()
    other.close()
    other.folder.rmdir()
    listing.until(lambda data: set(data["runs"]) == {"0000"})
    watched.until(lambda data: data["run"]["state"] == "gone")

    assert server.get("/api/runs/0002/overview")[0] == 404
    listing.close()
    watched.close()


def test_one_folder_of_a_run_is_shown_alone(log: Log, tmp_path: Path) -> None:
    from weft_dashboard.shelf import Shelf

    shelf = Shelf(log.folder)
    assert list(shelf.folders()) == ["0000"]
    assert Shelf(tmp_path / "nowhere").folders() == {}
    book = shelf.book("0000")
    assert shelf.book("0000") is book
    with pytest.raises(KeyError):
        shelf.book("../0000")
    shelf.close()


def test_of_many_books_few_stay_open(tmp_path: Path) -> None:
    from plugins.dashboard.tests.conftest import Log as Another
    from weft_dashboard.shelf import Shelf

    for number in range(20):
        Another(tmp_path / f"{number:04}").close()
    shelf = Shelf(tmp_path)
    found = shelf.summaries(60)
    shelf.put_back({"0003"})

    assert {name: short.state for name, (short, _) in found.items()} == {
        f"{number:04}": "broken off" for number in range(20)
    }
    assert len(shelf._books) <= 9
    assert shelf.summaries(0).keys() == found.keys()
    shelf.close()


def test_a_log_that_is_cut_anywhere_is_shown_up_to_there(log: Log, server: Server) -> None:
    for number in range(4):
        log.tasks("fetch", 10 * number, 10)
    log.end()
    whole = log.path.read_bytes()
    cuts = sorted({0, 1, 20, len(whole) - 1, *range(30, len(whole), max(1, len(whole) // 40))})
    for number, cut in enumerate(cuts, 1):
        folder = server.folder / f"{number:04}"
        folder.mkdir()
        (folder / NAME).write_bytes(whole[:cut])
    done = []
    for number in range(1, len(cuts) + 1):
        status, text, _ = server.get(f"/api/runs/{number:04}/overview")
        if cuts[number - 1] in range(1, whole.index(b"\n")) and status == 404:
            assert "no event log" in text  # so little of the first line tells nothing
            continue
        assert status == 200, (cuts[number - 1], text)
        run = json.loads(text)["run"]
        assert run["state"] in ("broken off", "ended")
        done.append(run["counts"].get("done", 0))

    assert done == sorted(done)
    assert set(done) >= {0, 10, 20, 30, 40}
    listed = server.view("/api/runs")["runs"]
    assert len(listed) == len(cuts) + 1


def test_what_is_no_log_is_said_to_be_none(log: Log, server: Server) -> None:
    (server.folder / "0001").mkdir()
    (server.folder / "0001" / NAME).write_bytes(b"junk\n" * 40)

    status, text, _ = server.get("/api/runs/0001/overview")
    assert status == 404
    assert "no event log" in text
    assert "no event log" in server.view("/api/runs")["runs"]["0001"]["problem"]
    client = server.listen("run=0001&view=overview")
    client.next()
    assert client.kinds == ["trouble"]
    client.close()


def test_a_run_that_is_killed_is_shown_as_broken_off(server: Server) -> None:
    script = (
        "import sys, weft\n"
        "@weft.python_app\n"
        "def one(n): return n\n"
        "with weft.load(weft.Config(run_dir=sys.argv[1])):\n"
        "    assert [one(n).result() for n in range(5)]\n"
        "    print('ready', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", script, str(server.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert run.stdout is not None
        assert run.stdout.readline() == b"ready\n"
        client = server.listen("run=0000&view=overview")
        client.until(lambda data: data["run"]["counts"].get("done") == 5)
        assert client.data["run"]["state"] == "running"
        run.kill()
        run.wait(BOUND)
        client.until(lambda data: data["run"]["state"] == "broken off")
        client.close()
    finally:
        run.kill()
        run.wait(BOUND)
        assert run.stdin is not None
        run.stdin.close()
        assert run.stdout is not None
        run.stdout.close()


def _last_word(data: Any) -> str:
    """The text of the newest notice of a run; the first view of it may be older than any."""
    return str(data["notices"][-1]["text"]) if data["notices"] else ""


def _growth(server: Server, log: Log, rounds: int, seen: Any) -> int:
    """Bytes that this process grew by while a run went on for so many updates."""
    before = psutil.Process().memory_info().rss
    for number in range(rounds):
        text = f"round {number} " + "x" * 4000
        log.write(*(Notice(log.now, "info", "test", text) for _ in range(30)))
        seen.until(lambda data, text=text: _last_word(data) == text)
    return int(psutil.Process().memory_info().rss - before)


def test_a_client_that_never_reads_gets_all_at_once_when_it_does(log: Log, server: Server) -> None:
    """What it does not read is not kept for it: 120 kB each time would be 5 MB for each of ten."""
    seen = server.listen("run=0000&view=overview")
    _growth(server, log, 2, seen)
    access = Access("127.0.0.1", TOKEN)
    asleep = []
    for _ in range(10):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(BOUND)
        client.connect(("127.0.0.1", server.port))
        client.sendall(
            b"GET /api/events?run=0000&view=overview HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            + f"Cookie: {access.cookie}={access.pass_}\r\n\r\n".encode()
        )
        asleep.append(client)
    assert select.select(asleep[-1:], [], [], BOUND)[0]
    _growth(server, log, 10, seen)
    assert _growth(server, log, 10, seen) < 10 * 10 * 120_000

    # The one that wakes up has missed most of it, and soon has the newest.
    log.write(Notice(log.now, "info", "test", "the last word"))
    seen.until(lambda data: _last_word(data) == "the last word")
    data = b""
    while b"the last word" not in data:
        got = asleep[0].recv(1 << 20)
        assert got, "the server has closed the stream"
        data += got
    assert data.count(b"event: ") < 15
    assert data.count(b"event: snapshot") > 1
    for one in asleep:
        one.close()
    seen.close()


@pytest.mark.slow
def test_a_thousand_watch_at_once(log: Log, server: Server) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 3000:
        pytest.skip("this machine allows too few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 3000), hard))
    access = Access("127.0.0.1", TOKEN)
    asked = (
        "GET /api/events?run=0000&view=overview HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Cookie: {access.cookie}={access.pass_}\r\n\r\n"
    ).encode()
    clients: dict[int, socket.socket] = {}
    got: dict[int, bytearray] = {}
    poll = select.epoll()
    try:
        for _ in range(1000):
            client = socket.create_connection(("127.0.0.1", server.port), timeout=BOUND)
            client.sendall(asked)
            client.setblocking(False)
            clients[client.fileno()] = client
            got[client.fileno()] = bytearray()
            poll.register(client, select.EPOLLIN)

        def all_have(text: bytes) -> None:
            left = {number for number, data in got.items() if text not in data}
            while left:
                ready = poll.poll(BOUND)
                assert ready, f"{len(left)} of 1000 heard nothing"
                for number, _ in ready:
                    got[number] += clients[number].recv(1 << 20)
                    if text in got[number]:
                        left.discard(number)

        all_have(b"event: snapshot")
        log.tasks("a_late_app", 1, 2)
        all_have(b"a_late_app")
        assert server.get("/healthz")[0] == 200
    finally:
        poll.close()
        for client in clients.values():
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_too_many_views_at_once_are_refused(
    log: Log, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weft_dashboard.topics._TOPICS", 1)
    client = server.listen("run=0000&view=overview")
    client.next()

    assert server.get("/api/events?run=0000&view=nodes")[0] == 503
    same = server.listen("run=0000&view=overview")
    same.next()
    same.close()
    client.close()


def test_a_view_that_cannot_be_made_ends_no_other(
    log: Log, server: Server, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from weft_dashboard import views

    def broken(book: object, asked: object) -> dict[str, Any]:
        raise RuntimeError("a fault in a page")

    monkeypatch.setattr(views, "VIEWS", {**views.VIEWS, "nodes": broken})
    client = server.listen("run=0000&view=overview")
    client.next()
    status, text, _ = server.get("/api/runs/0000/nodes")
    log.tasks("fetch", 1, 2)
    client.until(lambda data: data["run"]["counts"].get("done") == 2)

    assert status == 500
    assert "a fault in a page" in text
    assert "RuntimeError" in capfd.readouterr().err
    client.close()


def test_a_killed_dashboard_harms_no_run_and_a_new_one_shows_all(log: Log) -> None:
    def started() -> tuple[subprocess.Popen[str], int]:
        code = "import sys; from weft_dashboard.cli import main; sys.exit(main(sys.argv[1:]))"
        words = [str(log.folder.parent), "--port", "0", "--token", TOKEN]
        made = subprocess.Popen(
            [sys.executable, "-c", code, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert made.stdout is not None
        for line in made.stdout:
            if "http://127.0.0.1:" in line:
                return made, int(line.split(":")[2].split("/")[0])
        raise AssertionError("the dashboard named no address")

    from plugins.dashboard.tests.conftest import Server as Shown

    log.tasks("fetch", 1, 20)
    first, port = started()
    client = Shown(port, log.folder).listen("run=0000&view=overview")
    client.until(lambda data: data["run"]["counts"].get("done") == 20)
    size = log.path.stat().st_size
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=BOUND)
    client.close()
    assert log.path.stat().st_size == size
    log.tasks("fetch", 21, 10)
    log.end()
    second, port = started()
    data = Shown(port, log.folder).view("/api/runs/0000/overview")
    second.send_signal(signal.SIGINT)
    said, _ = second.communicate(timeout=BOUND)

    assert data["run"]["counts"] == {"done": 30}
    assert data["run"]["state"] == "ended"
    assert "Traceback" not in said


def test_what_tasks_say_stays_text(log: Log, server: Server) -> None:
    """Markup comes as JSON, never in a page; and no page has a script of its own in it."""
    evil = "</script><img src=x onerror=alert(1)>\ud800\u2028"
    log.write(
        TaskSubmitted(log.now, 1, evil, ()),
        TaskMoved(log.now, 1, evil, TaskState.LAUNCHED, 1, "pool"),
        TaskMoved(log.now, 1, evil, TaskState.FAILED, 1, "", f"ValueError: {evil}"),
    )
    _, text, headers = server.get("/api/runs/0000/tasks")

    assert headers["content-type"] == "application/json"
    assert text.isascii()
    assert json.loads(text)["tasks"][0]["app"].startswith("</script>")
    assert "<script>" not in server.get("/runs/0000/tasks")[1]
