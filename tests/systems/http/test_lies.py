"""What no real server says on purpose: wrong lengths, silence at every stage, changing files."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import resource
import signal
import socket
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.systems.http.rig import Work
from tests.systems.http.servers import BOUND, Request, Server, answer
from weft.errors import StagingError
from weft.interfaces.stager import Transfer, Way
from weft.values.files import File

CONTENT = bytes(n * n % 251 for n in range(3_000_000))
TAG = {"ETag": '"one"'}


def whole(content: bytes, **headers: object) -> Callable[[socket.socket, Request], bool]:
    """A server that has one file, and knows ranges."""

    def script(connection: socket.socket, request: Request) -> bool:
        start = request.start
        if "range" in request.headers and request.headers.get("if-range") == headers.get("ETag"):
            said = f"bytes {start}-{len(content) - 1}/{len(content)}"
            text = answer("206 Partial", content[start:], Content_Range=said, **headers)
        else:
            text = answer("200 OK", content, **headers)
        if request.method == "HEAD":
            text = text.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        connection.sendall(text)
        return True

    return script


def cut(content: bytes, after: int, **headers: object) -> Callable[[socket.socket, Request], None]:
    """One that ends the connection in the middle of the file."""

    def script(connection: socket.socket, request: Request) -> None:
        connection.sendall(answer("200 OK", content, **headers)[: -len(content) + after])

    return script


def says(text: bytes) -> Callable[[socket.socket, Request], bool]:
    """One that always says the same."""

    def script(connection: socket.socket, request: Request) -> bool:
        connection.sendall(text)
        return True

    return script


def in_turn(*scripts: Callable[[socket.socket, Request], bool | None]) -> Any:
    """Each answers one request; the last one all that follow."""
    waiting = list(scripts)

    def script(connection: socket.socket, request: Request) -> bool | None:
        one = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return one(connection, request)

    return script


# ------------------------------------------------------------------------------------------ length


def test_a_file_that_ends_early_is_no_file(work: Work) -> None:
    with Server(cut(CONTENT, 1_000)) as server:
        error = work.refused(server.url())
    assert error.again
    assert "broke: it ended 2,999,000 bytes short" in error.reason
    assert not work.left(), "without a condition there is nothing to go on with"


def test_chunks_that_end_early_are_no_file(work: Work) -> None:
    def script(connection: socket.socket, request: Request) -> None:
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n9\r\nhal"
        )

    with Server(script) as server:
        error = work.refused(server.url())
    assert error.again
    assert "broke" in error.reason
    assert not work.left()


def test_a_server_that_sends_more_than_it_said_is_not_believed(work: Work) -> None:
    first, last = CONTENT[:200_000], CONTENT[200_000:210_000]

    def script(connection: socket.socket, request: Request) -> bool:
        connection.sendall(answer("200 OK", first, Content_Length=len(first) + len(last)))
        # In one piece of the network with what goes too far.
        connection.sendall(last + b"and more")
        return True

    with Server(script) as server:
        error = work.refused(server.url())
    assert error.again
    assert "sends more than the 210000 bytes that it named" in error.reason
    assert not work.left()


@pytest.mark.parametrize("length", ["10, 20", "-1", "1e3", "ten"])
def test_lengths_that_are_none_are_an_error(work: Work, length: str) -> None:
    with Server(lambda c, r: c.sendall(answer("200 OK", b"content", Content_Length=length))) as one:
        error = work.refused(one.url())
    assert error.again
    assert not work.left()


@pytest.mark.parametrize("options", [{}, {"unknown_length": True}])
def test_without_a_length_a_file_comes_only_if_that_is_wanted(
    working: Callable[..., Work], options: dict[str, bool]
) -> None:
    work = working(**options)
    with Server(lambda c, r: c.sendall(b"HTTP/1.1 200 OK\r\n\r\ncontent")) as server:
        if options:
            assert work.bring(server.url()) == b"content"
        else:
            error = work.refused(server.url())
            assert not error.again
            assert "does not say how long the file is" in error.reason
            assert "unknown_length=True" in str(error)
        # A checksum says it as well.
        sum_ = hashlib.sha256(b"content").hexdigest()
        assert work.bring(f"{server.url()}#sha256={sum_}") == b"content"


# ----------------------------------------------------------------------------------------- silence


def _says(text: bytes) -> Callable[[Server], Callable[[socket.socket, Request], None]]:
    def made(server: Server) -> Callable[[socket.socket, Request], None]:
        def script(connection: socket.socket, request: Request) -> None:
            connection.sendall(text)
            server.over.wait(BOUND)

        return script

    return made


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"HTTP/1.",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        answer("200 OK", b"", Content_Length=1_000_000),
        answer("200 OK", b"the beginning", Content_Length=1_000_000),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    ],
    ids=["nothing", "status", "header", "no content", "content", "chunk"],
)
def test_silence_ends(working: Callable[..., Work], text: bytes) -> None:
    work = working(read_timeout=0.3)
    server: Server

    def script(connection: socket.socket, request: Request) -> None:
        _says(text)(server)(connection, request)

    server = Server(script)
    with server:
        error = work.refused(server.url())
    assert error.again
    assert "was silent for as long as read_timeout allows" in error.reason
    assert not work.left()


def test_a_server_that_does_not_take_what_is_sent_is_not_waited_for(
    working: Callable[..., Work],
) -> None:
    work = working(read_timeout=0.3)
    server: Server

    def script(connection: socket.socket, request: Request) -> None:
        server.over.wait(BOUND)

    server = Server(script, bodies=False)
    with server, pytest.raises(StagingError) as caught:
        work.send(bytes(64 << 20), server.url())
    assert caught.value.again
    assert "was silent for as long as read_timeout allows" in caught.value.reason


def test_a_server_that_never_speaks_tls_is_not_waited_for(working: Callable[..., Work]) -> None:
    work = working(connect_timeout=0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = work.refused(f"https://127.0.0.1:{silent.getsockname()[1]}/file")
    assert error.again
    assert "did not accept a connection for as long as connect_timeout allows" in error.reason


def test_nobody_who_listens_is_told(work: Work) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    error = work.refused(f"http://127.0.0.1:{port}/file")
    assert error.again
    assert f"127.0.0.1:{port} refused the connection." in error.reason


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "closed without an answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0-OpenSSH"),
        (b"HTTP/1.1 abc OK\r\n\r\n", "abc"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000, "header line"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "headers"),
        (bytes(range(256)) * 4, "broke"),
    ],
    ids=["closed", "ssh", "status", "long", "many", "noise"],
)
def test_what_is_no_http_is_told(work: Work, text: bytes, why: str) -> None:
    with Server(lambda c, r: c.sendall(text)) as server:
        error = work.refused(server.url())
    assert error.again
    assert why in error.reason
    assert error.reason.isprintable()
    assert not work.left()


# ---------------------------------------------------------------------------------------- going on


def test_a_file_that_was_cut_off_is_gone_on_with(work: Work) -> None:
    with Server(in_turn(cut(CONTENT, 2_000_000, **TAG), whole(CONTENT, **TAG))) as server:
        assert work.refused(server.url()).again
        assert len(work.left()) == 2, "the part and its note"
        assert work.bring(server.url()) == CONTENT
    asked = server.requests[1].headers
    assert asked["if-range"] == '"one"'
    # What is asked for again is compared; what came before that is not sent twice.
    assert asked["range"] == f"bytes={2_000_000 - 64 * 1024}-"
    assert len(work.left()) == 1
    done = [(done, total) for _, done, total in work.context.went]
    assert done[-1] == (len(CONTENT), len(CONTENT))
    assert [one for one, _ in done if one < 1_000_000], "the first try has told, too"


def test_what_had_come_is_gone_on_with_by_another_stager(working: Callable[..., Work]) -> None:
    with Server(in_turn(cut(CONTENT, 2_000_000, **TAG), whole(CONTENT, **TAG))) as server:
        assert working().refused(server.url()).again
        assert working().bring(server.url()) == CONTENT
    assert "range" in server.requests[1].headers


def test_nothing_is_kept_where_that_is_not_wanted(working: Callable[..., Work]) -> None:
    work = working(resume=False)
    with Server(in_turn(cut(CONTENT, 2_000_000, **TAG), whole(CONTENT, **TAG))) as server:
        assert work.refused(server.url()).again
        assert not work.left()
        assert work.bring(server.url()) == CONTENT
    assert "range" not in server.requests[1].headers


@pytest.mark.parametrize("tag", ['W/"weak"', "no-quotes", ""])
def test_what_is_not_sure_to_be_the_same_is_not_gone_on_with(work: Work, tag: str) -> None:
    with Server(cut(CONTENT, 2_000_000, ETag=tag)) as server:
        assert work.refused(server.url()).again
    assert not work.left()


def test_a_time_long_past_will_do(work: Work) -> None:
    said = {
        "Last_Modified": "Tue, 03 Nov 2026 10:00:00 GMT",
        "Date": "Tue, 03 Nov 2026 10:00:09 GMT",
    }
    with Server(cut(CONTENT, 2_000_000, **said)) as server:
        assert work.refused(server.url()).again
        assert work.refused(server.url()).again
    assert server.requests[1].headers["if-range"] == said["Last_Modified"]


def _other_range(connection: socket.socket, request: Request) -> bool:
    said = f"bytes 7-{len(CONTENT) - 1}/{len(CONTENT)}"
    connection.sendall(answer("206 Partial", CONTENT[7:], Content_Range=said, **TAG))
    return True


def _other_tag(connection: socket.socket, request: Request) -> bool:
    return whole(CONTENT, ETag='"two"')(
        connection,
        Request("GET", "/", {"range": request.headers["range"], "if-range": '"two"'}, b""),
    )


@pytest.mark.parametrize(
    "second",
    [
        whole(CONTENT[::-1], ETag='"two"'),  # it knows that the file is another
        whole(CONTENT[::-1], **TAG),  # it does not: the end of what had come is another
        whole(CONTENT[:1_500_000], **TAG),
        says(answer("416 Range Not Satisfiable")),
        _other_range,
        _other_tag,
    ],
    ids=["changed", "changed in secret", "shorter in secret", "416", "other range", "other tag"],
)
def test_what_does_not_fit_what_had_come_is_brought_from_its_start(work: Work, second: Any) -> None:
    now = CONTENT[::-1]
    scripts = (cut(CONTENT, 2_000_000, **TAG), second, whole(now, ETag='"three"'))
    with Server(in_turn(*scripts)) as server:
        assert work.refused(server.url()).again
        got = work.bring(server.url())
    if "range" in server.requests[-1].headers:  # the second answer was all of it
        assert got == now
    else:
        assert len(server.requests) == 3
        assert got == now
    assert len(work.left()) == 1


def test_a_range_that_contradicts_itself_is_not_used(work: Work) -> None:
    def script(connection: socket.socket, request: Request) -> bool:
        said = f"bytes {request.start}-{request.start + 9}/{len(CONTENT)}"
        connection.sendall(answer("206 Partial", b"x" * 20, Content_Range=said, **TAG))
        return True

    with Server(in_turn(cut(CONTENT, 2_000_000, **TAG), script, whole(CONTENT))) as server:
        work.refused(server.url())
        assert work.bring(server.url()) == CONTENT
    assert len(work.left()) == 1


@pytest.mark.parametrize(("status", "kept"), [("503 Busy", True), ("500 No ranges", False)])
def test_what_a_server_cannot_stand_is_not_asked_again(work: Work, status: str, kept: bool) -> None:
    bad = answer(status)
    scripts = (cut(CONTENT, 2_000_000, **TAG), says(bad), whole(CONTENT, **TAG))
    with Server(in_turn(*scripts)) as server:
        work.refused(server.url())
        assert work.refused(server.url()).again
        assert work.bring(server.url()) == CONTENT
    assert ("range" in server.requests[2].headers) is kept


def test_a_range_that_ends_early_is_gone_on_with(work: Work) -> None:
    def short(connection: socket.socket, request: Request) -> bool:
        end = request.start + 500_000
        said = f"bytes {request.start}-{end - 1}/{len(CONTENT)}"
        piece = CONTENT[request.start : end]
        connection.sendall(answer("206 Partial", piece, Content_Range=said, **TAG))
        return True

    with Server(in_turn(cut(CONTENT, 2_000_000, **TAG), short, whole(CONTENT, **TAG))) as server:
        work.refused(server.url())
        error = work.refused(server.url())
        assert error.again
        assert "of 3,000,000" in error.reason
        assert work.bring(server.url()) == CONTENT


def test_a_part_that_nobody_asked_for_is_no_file(work: Work) -> None:
    def script(connection: socket.socket, request: Request) -> None:
        connection.sendall(answer("206 Partial", b"x", Content_Range="bytes 0-0/10"))

    with Server(script) as server:
        error = work.refused(server.url())
    assert "answered 206" in error.reason
    assert not work.left()


def test_what_failed_for_good_leaves_nothing_of_an_earlier_try(work: Work) -> None:
    gone = answer("404 Not Found")
    with Server(in_turn(cut(CONTENT, 2_000_000, **TAG), lambda c, r: c.sendall(gone))) as server:
        assert work.refused(server.url()).again
        assert work.left()
        assert not work.refused(server.url()).again
    assert not work.left()


def test_two_that_bring_one_file_do_not_meet(
    working: Callable[..., Work], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one finds the part of the first one locked, and goes its own way."""
    first, second = working(), working()
    halfway, on = threading.Event(), threading.Event()

    def slow(connection: socket.socket, request: Request) -> None:
        text = answer("200 OK", CONTENT, **TAG)
        connection.sendall(text[:2_000_000])
        assert on.wait(BOUND)
        connection.sendall(text[2_000_000:])

    got: list[bytes] = []
    with Server(in_turn(slow, whole(CONTENT, **TAG))) as server:
        plan = first.plan(server.url())
        real = first.stager._progress

        def told(transfer: Transfer, done: int, total: int | None) -> None:
            halfway.set()
            real(transfer, done, total)

        monkeypatch.setattr(first.stager, "_progress", told)
        mover = threading.Thread(target=lambda: got.append(first.bring(server.url())))
        mover.start()
        try:
            assert halfway.wait(BOUND)
            second.stager.move(plan)
            assert plan.placed.as_path().read_bytes() == CONTENT
        finally:
            on.set()
            mover.join(BOUND)
    assert got == [CONTENT]
    assert first.left() == [plan.placed.as_path().name]


# --------------------------------------------------------------------------------------- checksums


def _base64(name: str, content: bytes) -> str:
    return b64encode(hashlib.new(name, content).digest()).decode()


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Repr_Digest", lambda c: f"sha-256=:{_base64('sha256', c)}:"),
        ("Repr_Digest", lambda c: f"unknown=:AAAA:, sha-512=:{_base64('sha512', c)}:"),
        ("Content_Digest", lambda c: f"sha-256=:{_base64('sha256', c)}:"),
        ("Digest", lambda c: f"SHA-256={_base64('sha256', c)}"),
        ("Digest", lambda c: f"SHA={_base64('sha1', c)}, md5={_base64('md5', c)}"),
        ("Content_MD5", lambda c: _base64("md5", c)),
        ("X_Checksum_Sha1", lambda c: hashlib.sha1(c).hexdigest()),
        ("X_Goog_Hash", lambda c: f"crc32c=AAAAAA==,md5={_base64('md5', c)}"),
        ("X_Amz_Checksum_Sha256", lambda c: _base64("sha256", c)),
    ],
)
def test_checksums_of_the_server_are_looked_at(work: Work, header: str, value: Any) -> None:
    said = {header: value(b"content")}
    with Server(whole(b"content", **said)) as server:
        assert work.bring(server.url()) == b"content"
    with Server(whole(b"spoilt!", **said)) as server:
        error = work.refused(server.url("other"))
    assert error.again
    assert "of what came is" in error.reason
    assert "and the server says" in error.reason
    assert len(work.left()) == 1


def test_a_checksum_of_the_url_is_looked_at(working: Callable[..., Work]) -> None:
    wanted = hashlib.sha256(b"content").hexdigest()
    with Server(whole(b"content")) as server:
        work = working(checksums={server.url("by-option"): f"sha256:{wanted}"})
        for url in (server.url("by-option"), f"{server.url()}#sha256={wanted}"):
            assert work.bring(url) == b"content"
            assert work.stager.validator(File(url)) == f"sha256:{wanted}"
        assert {one.method for one in server.requests} == {"GET"}, "nobody is asked for it"
        error = work.refused(f"{server.url()}#sha256={'0' * 64}")
        assert not error.again
        assert f"is {wanted}, and you expect {'0' * 64}" in error.reason
        error = work.refused(f"{server.url()}#sha256=123")
        assert "is no checksum" in error.reason
        work.send(b"content", f"{server.url()}#sha256={wanted}")
    assert server.requests[-1].body == b"content"
    assert "#" not in server.requests[-1].path


def test_what_a_task_made_is_not_sent_if_it_is_not_what_it_should_be(work: Work) -> None:
    with Server(lambda c, r: c.sendall(answer("201 Created"))) as server:
        error = work.refused(f"{server.url()}#sha256={'0' * 64}", Way.OUT)
    assert not error.again
    assert "and you expect" in error.reason
    assert not server.requests, "it never came to its end"


def test_what_was_spoilt_before_the_cut_is_found_by_its_checksum(work: Work) -> None:
    wanted = hashlib.sha256(CONTENT).hexdigest()
    spoilt = bytes([CONTENT[0] ^ 1]) + CONTENT[1:]
    with Server(in_turn(cut(spoilt, 2_000_000, **TAG), whole(CONTENT, **TAG))) as server:
        url = f"{server.url()}#sha256={wanted}"
        assert work.refused(url).again
        error = work.refused(url)
        assert error.again, "from the start it may come right"
        assert "and you expect" in error.reason
        assert not work.left()
        assert work.bring(url) == CONTENT
    assert "range" not in server.requests[2].headers


# ----------------------------------------------------------------------------------------- packing


def test_what_was_packed_on_its_way_is_unpacked(work: Work) -> None:
    packed = gzip.compress(CONTENT)
    with Server(whole(packed, Content_Encoding="gzip", **TAG)) as server:
        assert work.bring(server.url("a.csv")) == CONTENT
        assert work.bring(server.url("a.csv.gz")) == packed
        assert server.requests[0].headers["accept-encoding"] == "identity"
    with Server(whole(packed, Content_Encoding="br")) as server:
        error = work.refused(server.url())
        assert "packed as 'br', although it was asked not to" in error.reason
        assert not error.again
    with Server(whole(b"no gzip at all", Content_Encoding="gzip")) as server:
        error = work.refused(server.url())
        assert "cannot be unpacked" in error.reason
    assert len(work.left()) == 2


# ----------------------------------------------------------------------------- statuses, redirects


def test_a_server_in_trouble_may_be_asked_again(work: Work) -> None:
    bad = answer("500 Internal Server Error", b"disk on fire", Content_Type="text/plain")
    with Server(says(bad)) as server:
        for _ in range(3):
            error = work.refused(server.url())
            assert error.again
            assert "answered 500 Internal Server Error: disk on fire." in error.reason
    assert len(server.requests) == 3, "it is not for the stager to try again"


@pytest.mark.parametrize(
    ("status", "again", "todo"),
    [
        ("400 Bad Request", False, ""),
        ("401 Unauthorized", False, "~/.netrc"),
        ("403 Forbidden", False, "may not have it"),
        ("404 Not Found", False, "spelling"),
        ("408 Request Timeout", True, ""),
        ("429 Too Many Requests", True, "connections"),
        ("502 Bad Gateway", True, ""),
        ("507 Insufficient Storage", True, "Make room"),
        ("999 Whatever", True, ""),
    ],
)
def test_each_refusal_says_what_to_do(work: Work, status: str, again: bool, todo: str) -> None:
    with Server(lambda c, r: c.sendall(answer(status, b"<html>"))) as server:
        error = work.refused(server.url())
    assert error.again is again
    assert f"answered {status}." in error.reason
    assert todo in str(error)
    assert "<html>" not in str(error)


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("7", "in 7 seconds"),
        ("Tue, 03 Nov 2026 10:02:00 GMT", "in 120 seconds"),
        ("soon", "Service Unavailable."),
    ],
)
def test_it_is_told_when_to_come_back(work: Work, value: str, wait: str) -> None:
    date = "Tue, 03 Nov 2026 10:00:00 GMT"
    bad = answer("503 Service Unavailable", Retry_After=value, Date=date)
    with Server(lambda c, r: c.sendall(bad)) as server:
        error = work.refused(server.url())
    assert error.again
    assert wait in error.reason


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("", "names 'no place'"),
        ("ftp://127.0.0.1/file", "names 'ftp'"),
        ("http://[::1/", "cannot be looked for"),
        ("http://user:secret@127.0.0.1/", "cannot be looked for"),
        ("/again?sig=secret", "more than 10 times"),
    ],
)
def test_redirects_that_lead_nowhere_are_told(work: Work, location: str, why: str) -> None:
    with Server(says(answer("302 Found", Location=location))) as server:
        error = work.refused(server.url())
    assert not error.again
    assert why in error.reason
    assert "secret" not in str(error)
    assert len(server.requests) <= 11


def test_a_redirect_takes_no_secret_to_another_server(
    working: Callable[..., Work], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OUR_TOKEN", "the-token")
    (tmp_path / ".netrc").write_text("machine localhost login me password the-password\n")
    with Server(whole(b"content")) as other:
        leads = answer("307 Temporary", Location=other.url("there"))

        def lead(connection: socket.socket, request: Request) -> bool:
            connection.sendall(leads)
            return True

        with Server(lead) as server:
            name = f"localhost:{server.port}"
            for options in (
                {"tokens": {name: "env:OUR_TOKEN"}, "plain_hosts": [name]},
                {"plain_hosts": ["localhost"]},
            ):
                work = working(**options)
                assert work.bring(f"http://{name}/file") == b"content"
                # By its name alone, localhost is the server that the user named.
                leads = answer("307 Temporary", Location=f"http://localhost:{other.port}/x")
                assert work.bring(f"http://{name}/file") == b"content"
                work.send(b"made", f"http://{name}/out")
    sent = [one.headers["authorization"] for one in server.requests]
    assert set(sent) == {"Bearer the-token", "Basic bWU6dGhlLXBhc3N3b3Jk"}
    assert all("authorization" not in one.headers for one in other.requests)
    assert [one.body for one in other.requests if one.method == "PUT"] == [b"made", b"made"]


def test_a_secret_does_not_go_in_the_open(
    working: Callable[..., Work], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_TOKEN", "the-token")
    work = working(tokens={"127.0.0.1": "env:OUR_TOKEN"})
    with Server(lambda c, r: c.sendall(answer("401 Unauthorized"))) as server:
        error = work.refused(server.url())
    assert "authorization" not in server.requests[0].headers
    assert "is not sent by http" in error.reason
    assert "plain_hosts" in str(error)
    assert "the-token" not in str(error)


# -------------------------------------------------------------------------------------- validators


def test_a_file_that_is_refused_to_head_is_asked_for_by_get(work: Work) -> None:
    def script(connection: socket.socket, request: Request) -> bool:
        if request.method == "HEAD":
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\n")
        else:
            connection.sendall(answer("206 P", b"c", Content_Range="bytes 0-0/7", **TAG))
        return True

    with Server(script) as server:
        assert work.stager.validator(File(server.url())) == '"one"'
    assert [one.method for one in server.requests] == ["HEAD", "GET"]


def test_what_does_not_tell_whether_it_is_the_same_has_no_validator(work: Work) -> None:
    with Server(whole(b"content", ETag='W/"weak"')) as server:
        assert work.stager.validator(File(server.url())) is None
    with (
        Server(lambda c, r: c.sendall(answer("404 Not Found"))) as server,
        pytest.raises(StagingError, match="404"),
    ):
        work.stager.validator(File(server.url()))


# ----------------------------------------------------------------------------------------- sending


def test_a_refusal_before_all_was_sent_is_heard(work: Work) -> None:
    def script(connection: socket.socket, request: Request) -> None:
        connection.sendall(answer("413 Content Too Large", Connection="close"))
        while connection.recv(1 << 20):  # or the end of the connection would overtake the answer
            pass

    with Server(script, bodies=False) as server, pytest.raises(StagingError) as caught:
        work.send(bytes(8 << 20), server.url())
    assert not caught.value.again
    assert "413 Content Too Large" in caught.value.reason


def test_a_connection_that_breaks_while_a_file_is_sent_is_told(work: Work) -> None:
    with Server(lambda c, r: None, bodies=False) as server, pytest.raises(StagingError) as caught:
        work.send(bytes(8 << 20), server.url())
    assert caught.value.again
    assert "broke while the file was sent" in caught.value.reason


@pytest.mark.parametrize("change", [b"", b"x" * (9 << 20)], ids=["shorter", "longer"])
def test_what_changes_while_it_is_sent_is_not_sent(
    work: Work, change: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(lambda c, r: c.sendall(answer("201 Created"))) as server:
        plan = work.plan(server.url(), Way.OUT)
        path = plan.placed.as_path()
        path.write_bytes(bytes(8 << 20))
        monkeypatch.setattr(work.stager, "_progress", lambda *_: path.write_bytes(change))
        with pytest.raises(StagingError) as caught:
            work.stager.move(plan)
    assert caught.value.again
    assert "changes while it is sent" in caught.value.reason
    assert not server.requests, "it never came to its end"


@pytest.mark.parametrize(
    ("status", "todo"),
    [("202 Accepted", ""), ("303 See Other", "where files are put"), ("409 Conflict", "folder")],
)
def test_what_is_not_surely_stored_is_no_success(work: Work, status: str, todo: str) -> None:
    with Server(lambda c, r: c.sendall(answer(status, Location="/status"))) as server:
        error = work.refused(server.url(), Way.OUT)
    assert not error.again
    assert status.partition(" ")[0] in error.reason
    assert todo in str(error)


# ------------------------------------------------------------------------------------ this machine


@contextmanager
def _no_file_beyond(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_a_disk_that_is_full_is_told_and_left_empty(work: Work) -> None:
    with Server(whole(CONTENT, **TAG)) as server:
        with _no_file_beyond(1_000_000):
            error = work.refused(server.url())
        assert os.strerror(errno.EFBIG) in error.reason
        assert not work.left()
        assert work.bring(server.url()) == CONTENT


def test_a_transfer_that_nobody_waits_for_ends_and_leaves_nothing(work: Work) -> None:
    with Server(whole(CONTENT, **TAG)) as server:
        url = server.url()
        work.context.unwanted.add(url)
        error = work.refused(url)
    assert error is not None
    assert not work.left()


def test_a_stager_that_is_closed_ends_its_transfers(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(whole(CONTENT, **TAG)) as server:
        monkeypatch.setattr(work.stager, "_progress", lambda *_: work.stager.close())
        error = work.refused(server.url())
        assert "The run ends." in error.reason
        assert not work.left()
        assert "The run ends." in work.refused(server.url()).reason


# --------------------------------------------------------------------------------- several at once


def test_several_use_connections_again(working: Callable[..., Work]) -> None:
    work = working(connections=3)
    busy, most, lock = [0], [0], threading.Lock()
    used: set[int] = set()

    def script(connection: socket.socket, request: Request) -> bool:
        with lock:
            busy[0] += 1
            most[0] = max(most)
            most[0] = max(most[0], busy[0])
            used.add(connection.fileno())
        text = answer("404 No") if request.path.endswith("/7") else answer("200 OK", b"content")
        with lock:
            busy[0] -= 1
        connection.sendall(text)
        return True

    with Server(script) as server:
        plans = [work.plan(server.url(f"n/{n}")) for n in range(40)]
        outcomes = work.stager.move_all(plans)
    assert [n for n, one in enumerate(outcomes) if one is not None] == [7]
    assert isinstance(outcomes[7], StagingError)
    assert len(work.left()) == 39
    assert len(used) <= 3
    assert most[0] <= 3
