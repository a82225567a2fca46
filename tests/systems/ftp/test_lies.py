"""Whatever a server says, the stager ends, says what it was, and leaves nothing half-done."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.systems.ftp.liar import Liar, liar
from weft.errors import StagingError
from weft.interfaces.stager import Place, Transfer, Way
from weft.testing import FakeContext
from weft.values.files import File
from weft_ftp.settings import FTP
from weft_ftp.stager import FTPStager, build


class Desk:
    def __init__(self, stager: FTPStager, context: FakeContext, folder: Path) -> None:
        self.stager, self.context, self.folder = stager, context, folder

    def plan(self, url: str, way: Way = Way.IN) -> Transfer:
        return self.stager.plan(way, File(url), Place(executor="test", folder=self.folder))

    def bring(self, server: Liar, path: str = "a/b") -> bytes:
        plan = self.plan(f"ftp://127.0.0.1:{server.port}/{path}")
        self.stager.move(plan)
        return plan.placed.as_path().read_bytes()

    def send(self, server: Liar, content: bytes = b"content", path: str = "a/b") -> None:
        plan = self.plan(f"ftp://127.0.0.1:{server.port}/{path}", Way.OUT)
        plan.placed.as_path().write_bytes(content)
        self.stager.move(plan)

    def left(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def desks(tmp_path: Path) -> Iterator[Callable[[float], Desk]]:
    """Makes desks that wait for so many seconds for a word of a server."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    (tmp_path / "netrc").touch(mode=0o600)
    with FakeContext(tmp_path) as context, contextlib.ExitStack() as open_ones:

        def desk(patience: float) -> Desk:
            stager = build(
                FTP(netrc=str(tmp_path / "netrc"), connect_timeout=patience, read_timeout=patience)
            )
            stager.start(context)
            open_ones.callback(stager.close)
            return Desk(stager, context, folder)

        yield desk


@pytest.fixture
def desk(desks: Callable[[float], Desk]) -> Desk:
    """One for servers that say something."""
    return desks(60.0)


def patience(replies: Mapping[str, str | None]) -> float:
    """How long a server is waited for: where it is to be silent, not for long."""
    return 1.0 if None in replies.values() else 60.0


def test_ways_for_data_lead_to_the_host_of_the_commands(desk: Desk) -> None:
    with liar({}) as server:  # whose replies to PASV name another host
        assert desk.bring(server) == b"content"
        desk.send(server, b"written")

        assert server.connections == 1
        assert list(server.stored.values()) == [b"written"]
        renamed = [line for line in server.heard if line.startswith("RN")]
        assert [line.partition(" ")[0] for line in renamed] == ["RNFR", "RNTO"]
        assert renamed[0].startswith("RNFR a/.")
        assert renamed[1] == "RNTO a/b"
    assert server.heard[:2] == ["USER anonymous", "PASS anonymous@"]


@pytest.mark.parametrize(
    ("replies", "why", "again"),
    [
        ({"": "421 too many"}, "421 too many", True),
        ({"": "HTTP/1.1 400 Bad Request"}, "does not speak FTP", False),
        ({"": "220 " + "x" * 10_000}, "does not speak FTP", False),
        ({"": None}, "silent for too long", True),
        ({"": ""}, "does not speak FTP|ended the connection", None),
        ({"PASS": "530 no"}, "530 no", False),
        ({"PASS": None}, "silent for too long", True),
        ({"PASS": ""}, "ended the connection", True),
        ({"RETR": "550 no such file"}, "550 no such file", False),
        ({"RETR": "450 busy"}, "450 busy", True),
        ({"RETR": "451 error"}, "451 error", True),
        ({"RETR": "425 no way"}, "425 no way", True),
        ({"RETR": None}, "silent for too long", True),
        ({"RETR": ""}, "ended the connection", True),
        ({"PASV": "227 here"}, "does not speak FTP", False),
        ({"PASV": "227 here (999,0,0,1,0,0)"}, "", None),
        ({"done": "426 cut"}, "426 cut", True),
        ({"done": ""}, "ended the connection", True),
        ({"SIZE": "213 5"}, "changed while it was brought", True),
        ({"SIZE": "213 50"}, "sent 7 bytes of a file that it says has 50", True),
    ],
)  # fmt: skip
def test_what_a_server_says_in_vain_is_told(
    desks: Callable[[float], Desk], replies: dict[str, str | None], why: str, again: bool | None
) -> None:
    desk = desks(patience(replies))
    with (
        liar(replies) as server,
        pytest.raises(StagingError) as caught,
    ):
        desk.bring(server)

    assert re.search(why, caught.value.reason), caught.value.reason
    if again is not None:
        assert caught.value.again == again
    assert not [name for name in desk.left() if not name.startswith(".")]


def test_a_size_that_is_no_number_is_not_known(desk: Desk) -> None:
    with liar({"SIZE": "213 many", "MDTM": "213 long ago"}) as server:
        assert desk.bring(server) == b"content"
    assert desk.context.went[-1][1:] == (7, 7)


def test_a_server_that_cannot_begin_within_a_file_sends_all_of_it(desk: Desk) -> None:
    with liar({"SIZE": "213 7", "REST": "502 no"}, b"cont") as server:
        with pytest.raises(StagingError, match="sent 4 bytes"):
            desk.bring(server)
        assert [name.endswith((".part", ".part-of")) for name in desk.left()] == [True, True]
        server.content = b"content"

        assert desk.bring(server) == b"content"

        assert server.heard.count("REST 4") == 1
    assert len(desk.left()) == 1


def test_what_is_left_is_gone_on_with_unless_the_file_has_changed(desk: Desk) -> None:
    with liar({"SIZE": "213 7"}, b"cont") as server:
        with pytest.raises(StagingError, match="sent 4 bytes"):
            desk.bring(server)
        server.content = b"ent"  # as a server does that begins at the fourth

        assert desk.bring(server) == b"content"

        server.content = b"cont"
        with pytest.raises(StagingError, match="sent 4 bytes"):
            desk.bring(server)
        server.replies["MDTM"] = "213 20210102030405"
        server.content = b"another"

        assert desk.bring(server) == b"another"
    assert len(desk.left()) == 1


@pytest.mark.parametrize(
    ("replies", "why", "again"),
    [
        ({"STOR": "553 no"}, "553 no", False),
        ({"STOR": "452 full"}, "452 full", True),
        ({"done": "552 full"}, "552 full", False),
        ({"done": "451 full"}, "451 full", True),
        ({"done": None}, "silent for too long", True),
        ({"SIZE": "213 3"}, "has 3 bytes of a file of 7", True),
        ({"RNTO": "550 no", "DELE": "550 no"}, "550 no", False),
    ],
)
def test_what_is_not_taken_is_deleted(
    desks: Callable[[float], Desk], replies: dict[str, str | None], why: str, again: bool
) -> None:
    desk = desks(patience(replies))
    with liar(replies) as server:
        with pytest.raises(StagingError) as caught:
            desk.send(server)
        deleted = [line for line in server.heard if line.startswith("DELE a/.")]
    assert why in caught.value.reason
    assert caught.value.again == again
    assert deleted


def test_folders_are_made_where_they_are_missing(desk: Desk) -> None:
    with liar({"STOR": "550 no such folder"}) as server, pytest.raises(StagingError):
        desk.send(server, path="a/b/c")
    assert [line for line in server.heard if line.startswith("MKD")] == ["MKD a", "MKD a/b"]


def test_more_connections_than_allowed_wait_for_one_another(tmp_path: Path) -> None:
    (tmp_path / "netrc").touch(mode=0o600)
    stager = build(FTP(netrc=str(tmp_path / "netrc"), connections=2))
    with FakeContext(tmp_path) as context, liar({}) as server:
        stager.start(context)
        desk = Desk(stager, context, tmp_path)
        threads = [
            threading.Thread(target=desk.bring, args=(server, f"a/{n}"), daemon=True)
            for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        assert server.connections <= 2
        assert sum(line.startswith("RETR") for line in server.heard) == 8
        stager.close()


def test_closing_ends_what_waits(tmp_path: Path) -> None:
    (tmp_path / "netrc").touch(mode=0o600)
    stager = build(FTP(netrc=str(tmp_path / "netrc"), read_timeout=600))
    with FakeContext(tmp_path) as context, liar({"RETR": None}) as server:
        stager.start(context)
        desk = Desk(stager, context, tmp_path)
        errors: list[BaseException] = []

        def work() -> None:
            try:
                desk.bring(server)
            except StagingError as error:
                errors.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        context.wait_until(lambda: context.went, 60)
        while not any(line.startswith("RETR") for line in list(server.heard)):
            thread.join(0.01)
        stager.close()
        thread.join(60)
        assert not thread.is_alive()
    assert len(errors) == 1


def test_a_port_where_nobody_listens_is_told(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    plan = desk.plan(f"ftp://127.0.0.1:{port}/a")
    with pytest.raises(StagingError, match="Connection refused") as caught:
        desk.stager.move(plan)
    assert caught.value.again
