"""What URLs name, who one is, and what errors mean: without a server."""

from __future__ import annotations

import errno
import ftplib
import socket
import ssl
from pathlib import Path

import pytest

from weft_ftp.address import Address, BadAddress, Server, understood
from weft_ftp.login import Login, LoginUnknown, login_for
from weft_ftp.settings import FTP
from weft_ftp.words import code_of
from weft_ftp.words import understood as trouble_of

HOST = Server(tls=False, host="host")


# -------------------------------------------------------------------------------------------- URLs


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("ftp://host/a/b", Address(HOST, "a/b")),
        ("FTP://host/a%20b?c#d", Address(HOST, "a b?c#d")),
        ("ftp://host//a/b", Address(HOST, "/a/b")),
        ("ftp://host/%2Fa/b", Address(HOST, "/a/b")),
        ("ftp://host/a;type=i", Address(HOST, "a")),
        ("ftp://host/-n", Address(HOST, "./-n")),
        ("ftp://host/%20a", Address(HOST, "./ a")),
        (
            "ftps://me@host:2121/a",
            Address(Server(tls=True, host="host", port=2121, user="me"), "a"),
        ),
        ("ftp://m%40e@[::1]/a", Address(Server(tls=False, host="::1", user="m@e"), "a")),
    ],
)
def test_a_url_names_a_file_of_a_server(url: str, address: Address) -> None:
    assert understood(url) == address


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://me:word@host/a", "holds a password"),
        ("ftp:///a", "names no host"),
        ("ftp://ho st/a", "no name of a host"),
        ("ftp://-x/a", "no name of a host"),
        ("ftp://host:0/a", "no name of a host"),
        ("ftp://host:99999/a", "no name of a host"),
        ("ftp://host/", "names no file"),
        ("ftp://host", "names no file"),
        ("ftp://host/a/", "names no file"),
        ("ftp://host/../a", "'..'"),
        ("ftp://host/a/%2e%2e/b", "'..'"),
        ("ftp://host/a%0D%0ADELE%20b", "control character"),
        ("ftp://host/a%00b", "control character"),
    ],
)
def test_what_names_no_file_is_refused(url: str, why: str) -> None:
    with pytest.raises(BadAddress, match=why) as caught:
        understood(url)
    assert caught.value.todo


# ------------------------------------------------------------------------------------------ logins


@pytest.fixture
def netrc(tmp_path: Path) -> Path:
    file = tmp_path / "netrc"
    file.touch(mode=0o600)
    file.write_text("machine host login me password word\n")
    return file


def test_a_login_is_that_of_the_file(netrc: Path) -> None:
    assert login_for("host", "", str(netrc)) == Login("me", "word")
    assert login_for("host", "me", str(netrc)) == Login("me", "word")
    assert "word" not in repr(login_for("host", "", str(netrc)))


def test_who_is_not_in_the_file_is_nobody_in_particular(netrc: Path) -> None:
    assert login_for("other", "", str(netrc)) == Login("anonymous", "anonymous@")
    assert login_for("host", "anonymous", str(netrc)) == Login("anonymous", "anonymous@")


def test_the_file_is_that_of_the_environment(netrc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETRC", str(netrc))
    assert login_for("host", "", None) == Login("me", "word")
    monkeypatch.setenv("NETRC", str(netrc.with_name("none")))
    assert login_for("host", "", None).user == "anonymous"


def test_a_user_without_a_password_is_told(netrc: Path) -> None:
    with pytest.raises(LoginUnknown, match="'you' at 'host'") as caught:
        login_for("host", "you", str(netrc))
    assert "machine host login you" in caught.value.todo


@pytest.mark.parametrize(
    ("text", "mode", "why"),
    [
        ("machine host login me password word\n", 0o644, "Others can read"),
        ("mashine host\n", 0o600, "bad toplevel token"),
    ],
)
def test_a_bad_file_is_told(netrc: Path, text: str, mode: int, why: str) -> None:
    netrc.write_text(text)
    netrc.chmod(mode)
    with pytest.raises(LoginUnknown, match=why) as caught:
        login_for("host", "", str(netrc))
    assert caught.value.todo


def test_a_file_that_was_named_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(LoginUnknown, match="There is no file"):
        login_for("host", "", str(tmp_path / "none"))


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("error", "why", "again"),
    [
        (ftplib.error_temp("421 too many"), "421 too many", True),
        (ftplib.error_temp("452 full"), "452 full", True),
        (ftplib.error_perm("530 no"), "530 no", False),
        (ftplib.error_perm("550 no"), "550 no", False),
        (ftplib.error_proto("HTTP"), "does not speak FTP", False),
        (ftplib.error_reply("200 what"), "does not speak FTP", False),
        (EOFError(), "ended the connection", True),
        (TimeoutError(), "silent for too long", True),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "refused", True),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "not known", True),
        (OSError(errno.EACCES, "Permission denied"), "Permission denied", False),
        (ssl.SSLEOFError(8, "EOF"), "TLS", True),
        (ssl.SSLError(1, "wrong version"), "TLS", False),
        (KeyError("x"), "KeyError", False),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Exception) else None,
)
def test_errors_become_sentences(error: BaseException, why: str, again: bool) -> None:
    trouble = trouble_of(error, "host:21")

    assert why in trouble.why
    assert trouble.again == again


def test_codes_are_read() -> None:
    assert code_of(ftplib.error_perm("550 no")) == 550
    assert code_of(ftplib.error_perm("550-no\n550 more")) == 550
    assert code_of(ftplib.error_proto("hello")) == 0
    assert code_of(EOFError("550 no")) == 0


@pytest.mark.parametrize(
    ("option", "value"),
    [("connections", 0), ("connect_timeout", 0), ("read_timeout", -1), ("netrc", ""), ("idle", -1)],
)
def test_settings_are_looked_at(option: str, value: object) -> None:
    with pytest.raises(ValueError, match=option):
        FTP(**{option: value})  # type: ignore[arg-type]
