"""Who may look."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from weft_dashboard.guard import Access, is_loopback

if TYPE_CHECKING:
    from plugins.dashboard.tests.conftest import Log, Server

TOKEN = "a-token-of-tests"


@pytest.mark.parametrize(
    ("bound", "host", "known"),
    [
        ("127.0.0.1", "127.0.0.1:8787", True),
        ("127.0.0.1", "localhost:99", True),
        ("127.0.0.1", "[::1]:99", True),
        ("127.0.0.1", "evil.example", False),
        ("127.0.0.1", "localhost.evil.example", False),
        ("127.0.0.1", "10.0.0.3", False),
        ("127.0.0.1", "", False),
        ("127.0.0.1", "[::1", False),
        ("0.0.0.0", "10.0.0.3:8787", True),
        ("0.0.0.0", "login1.site.example:8787", True),
        ("0.0.0.0", "evil.example", False),
    ],
)
def test_only_its_own_names_are_known(bound: str, host: str, known: bool) -> None:
    access = Access(bound, TOKEN, frozenset({"login1.site.example"}))

    assert access.knows(host) is known


def test_loopback_is_what_no_other_machine_reaches() -> None:
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "node1", ""))


def test_the_token_is_in_no_representation_and_not_in_the_cookie() -> None:
    access = Access("127.0.0.1", TOKEN)

    assert TOKEN not in repr(access)
    assert TOKEN not in access.pass_ + access.cookie


def test_the_token_opens_once_and_the_cookie_after_that(log: Log, server: Server) -> None:
    status, text, headers = server.get(f"/runs/0000?token={TOKEN}", token=None)

    assert status == 200
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert 'content="0; url=/runs/0000"' in text
    assert server.get("/api/runs", token=None, cookie=cookie.partition(";")[0])[0] == 200


@pytest.mark.parametrize("path", ["/", "/api/runs", "/api/events", "/static/main.js", "/healthz"])
def test_without_the_token_nothing_is_shown(log: Log, server: Server, path: str) -> None:
    access = Access("127.0.0.1", TOKEN)

    for cookie in ("", "a=b", f"{access.cookie}=wrong", f"{access.cookie}={TOKEN}", "\xff;;="):
        status, text, _ = server.get(path, token=None, cookie=cookie)
        assert status == 403, cookie
        assert "token" in text
    assert server.get(f"{path}?token=wrong")[0] == 403
    assert server.get(f"{path}?token=", token=None)[0] == 403


def test_strangers_are_refused_though_they_have_the_cookie(log: Log, server: Server) -> None:
    home = f"127.0.0.1:{server.port}"

    assert server.get("/api/runs", host="evil.example")[0] == 421
    assert server.get("/api/runs", host=home, origin="http://evil.example")[0] == 403
    assert server.get("/api/runs", host=home, origin="null")[0] == 403
    assert server.get("/api/runs", sec_fetch_site="cross-site")[0] == 403
    assert server.get("/", sec_fetch_site="cross-site", sec_fetch_mode="navigate")[0] == 200
    assert server.get("/api/runs", host=home, origin=f"http://{home}")[0] == 200
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        assert server.get("/api/runs", method=method)[0] == 405


def test_each_answer_forbids_scripts_from_elsewhere(log: Log, server: Server) -> None:
    for path in ("/", "/api/runs", "/static/main.js", "/nowhere"):
        _, _, headers = server.get(path)
        policy = headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'" in policy, path
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../guard.py", "/static/%2e%2e/guard.py", "/static//etc/passwd",
        "/api/runs/..%2f..%2fetc/overview", "/api/runs/%2e%2e/overview", "/api/runs/0001/overview",
        "/api/runs/0000/secrets", "/api/runs/0000/task?task=zero", "/api/runs/0000/task",
        "/api/runs/0000/graph?open=" + "9" * 900, "/runs/0000/tasks/x", "/nowhere",
    ],
)  # fmt: skip
def test_what_is_not_there_is_said_to_be_not_there(log: Log, server: Server, path: str) -> None:
    status, text, _ = server.get(path)

    assert status in (400, 404)
    assert "root:" not in text
