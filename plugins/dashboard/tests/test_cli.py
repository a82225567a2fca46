"""``weft dashboard``: what it refuses, and what it says."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import click
import pytest

from weft.values.plugin import Kind
from weft_dashboard import cli
from weft_dashboard.app import STATIC, Serving
from weft_dashboard.manifest import dashboard


@pytest.fixture
def unserved(monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the serving itself."""
    monkeypatch.setattr(Serving, "run", lambda self, sockets: None)
    monkeypatch.setattr(cli, "_raise_limit", lambda: None)
    monkeypatch.delenv("WEFT_DASHBOARD_TOKEN", raising=False)


def test_it_is_a_command_of_weft() -> None:
    assert (dashboard.kind, dashboard.name) == (Kind.COMMAND, "dashboard")
    assert dashboard.factory == "weft_dashboard.cli:main"


def test_a_new_token_is_in_the_address_each_time(
    unserved: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = set()
    for _ in range(2):
        assert cli.main([str(tmp_path), "--port", "0"]) == 0
        said = capsys.readouterr().out
        found = re.search(r"http://127\.0\.0\.1:(\d+)/\?token=([\w-]{20,})", said)
        assert found, said
        assert f"ssh -N -L {found[1]}:localhost:{found[1]}" in said
        tokens.add(found[2])
    assert len(tokens) == 2


def test_a_token_that_was_given_is_not_said(
    unserved: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WEFT_DASHBOARD_TOKEN", "a-long-secret")

    assert cli.main([str(tmp_path), "--port", "0"]) == 0
    assert "a-long-secret" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--no-token", "--host", "0.0.0.0"], "loopback"),
        (["--no-token", "--token", "a-long-secret"], "contradicts"),
        (["--token", "short"], "8 characters"),
        (["--token", ""], "8 characters"),
        (["--port", "70000"], "70000"),
    ],
)
def test_what_would_not_be_safe_is_refused(
    unserved: None, tmp_path: Path, words: list[str], why: str
) -> None:
    with pytest.raises(click.UsageError, match=why):
        cli.main([str(tmp_path), *words])


def test_a_port_that_is_taken_is_said_to_be(unserved: None, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(cli.CannotServe, match=f"port {port}") as told:
            cli.main([str(tmp_path), "--port", str(port)])
    assert "--port" in told.value.todo


def test_pages_ask_for_nothing_from_elsewhere_and_make_no_markup_of_text() -> None:
    own = [path for path in STATIC.rglob("*") if path.suffix in {".js", ".html", ".css"}]
    own = [path for path in own if path.parent.name != "vendor"]
    assert len(own) > 15
    for path in own:
        text = path.read_text()
        assert not re.search(r"https?://|(^|[\"'(])//\w", text), path
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", text), (
            path
        )
        assert not re.search(r"<script>|\son\w+=\"", text), path


def test_what_pages_import_is_there() -> None:
    for path in STATIC.rglob("*.js"):
        for name in re.findall(r"^import .* from \"(.+)\";$", path.read_text(), re.MULTILINE):
            assert (path.parent / name).is_file(), (path, name)
    page = (STATIC / "index.html").read_text()
    for name in re.findall(r"(?:src|href)=\"/static/(.+?)\"", page):
        assert (STATIC / name).is_file(), name
    assert "MIT" in (STATIC / "vendor" / "uplot-LICENSE.txt").read_text()
