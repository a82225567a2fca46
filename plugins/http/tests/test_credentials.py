"""Each server is told what is meant for it, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from weft_http.addresses import parse
from weft_http.credentials import login_for
from weft_http.settings import Http
from weft_http.trouble import Trouble


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def told(url: str, **options: Any) -> str:
    return login_for(parse(url), Http(**options)).told


def test_a_login_is_that_of_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine h login a password b\ndefault login c password d\n")
    assert login_for(parse("https://h/x"), Http()).header == "Basic YTpi"
    assert told("https://other/x") == "", "what is for any host is for none"
    assert told("https://default/x") == ""
    assert told("http://h/x") == "kept"
    assert told("http://h/x", plain_hosts=["h"]) == "password"
    assert told("http://h:81/x", plain_hosts=["h:80"]) == "kept"
    assert told("https://h/x", netrc="") == ""
    other = tmp_path / "other"
    other.write_text("machine other login a password b\n")
    assert told("https://other/x", netrc=str(other)) == "password"
    monkeypatch.setenv("NETRC", str(other))
    assert told("https://other/x") == "password"


def test_a_token_comes_before_a_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine h login a password b\n")
    (tmp_path / "token").write_text("the-token\n")
    source = {"H": f"file:{tmp_path}/token"}
    login = login_for(parse("https://h/x"), Http(tokens=source))
    assert login.header == "Bearer the-token"
    assert "the-token" not in repr(login)
    monkeypatch.setenv("OURS", " the-token ")
    assert told("https://h:8443/x", tokens={"h:8443": "env:OURS", "h": "env:NONE"}) == "token"


def test_a_port_to_which_one_is_led_is_not_the_host_that_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine h login a password b\n")
    monkeypatch.setenv("OURS", "the-token")
    led = attrs.evolve(parse("https://h:8443/x"), named=False)
    assert login_for(led, Http()).told == ""
    assert login_for(led, Http(tokens={"h": "env:OURS"})).told == ""
    assert login_for(led, Http(tokens={"h:8443": "env:OURS"})).told == "token"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"tokens": {"h": "env:NOT_SET"}}, "is to be in the variable NOT_SET, which is not set"),
        ({"tokens": {"h": "file:/not/there"}}, "cannot be read from '/not/there'"),
        ({"tokens": {"h": "file:~/two"}}, "holds is no token"),
        ({"tokens": {"h": "file:~/noise"}}, "it is no text"),
        ({"netrc": "/not/there"}, "of the option netrc is not there"),
        ({"netrc": "~/wrong"}, "cannot be read at line 1"),
        ({"netrc": "~"}, "cannot be read: Is a directory"),
        ({"netrc": "~/noise"}, "it is no text"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, options: dict[str, Any], why: str) -> None:
    (tmp_path / "two").write_text("secret words\n")
    (tmp_path / "wrong").write_text("machin h secret\n")
    (tmp_path / "noise").write_bytes(b"\xff\xfe")
    with pytest.raises(Trouble) as caught:
        login_for(parse("https://h/x"), Http(**options))
    assert why in caught.value.reason
    assert "secret" not in caught.value.reason
    assert caught.value.todo
