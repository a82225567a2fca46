"""What users do with a real server: logins, certificates, redirects, ranges, and its refusals."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from tests.systems.http.rig import Work
from weft.errors import StagingError
from weft.interfaces.stager import Way
from weft.values.files import File
from weft.values.problem import Severity
from weft_http.checks import checks
from weft_http.settings import Http

if TYPE_CHECKING:
    from tests.systems.http.nginx import Nginx

MAKE = Callable[..., Work]
CONTENT = bytes(n * n % 251 for n in range(3_000_000))


@pytest.fixture
def there(nginx: Nginx) -> Nginx:
    """The server, with a file."""
    (nginx.files / "file").write_bytes(CONTENT)
    os.utime(nginx.files / "file", (1_000_000_000, 1_000_000_000))
    return nginx


@pytest.mark.parametrize("where", ["files", "norange", "moved"])
def test_a_file_comes_by_tls(there: Nginx, trusting: Work, where: str) -> None:
    assert trusting.bring(f"{there.https}/{where}/file") == CONTENT


def test_a_file_comes_without_tls(there: Nginx, work: Work) -> None:
    assert work.bring(f"{there.http}/files/file") == CONTENT


def test_a_certificate_that_is_not_trusted_is_refused(there: Nginx, work: Work) -> None:
    error = work.refused(f"{there.https}/files/file")
    assert not error.again
    assert "is not trusted: unable to get local issuer certificate" in error.reason
    assert "ca_file" in str(error)


def test_a_certificate_of_another_host_is_refused(there: Nginx, trusting: Work) -> None:
    error = trusting.refused(f"{there.https.replace('localhost', '127.0.0.1')}/files/file")
    assert not error.again
    assert "is not trusted: IP address mismatch" in error.reason


def test_doctor_tells_of_a_certificate_that_has_expired(
    there: Nginx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Http(ca_file=str(there.ca), netrc="", proxies=False)
    assert list(checks(settings, tmp_path)) == []
    late = time.time() + 90 * 86400
    monkeypatch.setattr("weft_http.checks.time", SimpleNamespace(time=lambda: late))
    (one,) = checks(settings, tmp_path)
    assert one.severity is Severity.WARNING
    assert "that of 'weft test authority'" in one.what


def test_files_of_options_that_are_none_are_told(there: Nginx, working: MAKE) -> None:
    url = f"{there.https}/files/file"
    for options, why in (
        ({"ca_file": "/not/there.pem"}, "No such file"),
        ({"ca_file": str(there.files / "file")}, "of the option ca_file cannot be used"),
        (
            {"ca_file": str(there.ca), "client_certificate": "/not/there.pem"},
            "'/not/there.pem' of the option client_certificate",
        ),
    ):
        error = working(**options).refused(url)
        assert not error.again
        assert why in error.reason


def test_a_password_is_taken_from_netrc(there: Nginx, trusting: Work, tmp_path: Path) -> None:
    url = f"{there.https}/auth/file"
    error = trusting.refused(url)
    assert "answered 401" in error.reason
    assert "~/.netrc" in str(error)
    assert not error.again
    (tmp_path / ".netrc").write_text("machine localhost login weft password wrong\n")
    error = trusting.refused(url)
    assert "The password was sent" in str(error)
    assert "wrong" not in str(error)
    (tmp_path / ".netrc").write_text("machine localhost login weft password secret\n")
    assert trusting.bring(url) == CONTENT
    assert trusting.stager.validator(File(url))


@pytest.mark.parametrize("kind", ["env", "file"])
def test_a_token_is_taken_from_where_it_is(
    there: Nginx, working: MAKE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    source = "env:OUR_TOKEN" if kind == "env" else f"file:{tmp_path / 'token'}"
    work = working(ca_file=str(there.ca), tokens={"localhost": source})
    url = f"{there.https}/token/file"
    error = work.refused(url)
    assert "The token for localhost:" in error.reason
    monkeypatch.setenv("OUR_TOKEN", "weft-token")
    (tmp_path / "token").write_text("weft-token\n")
    assert work.bring(url) == CONTENT


def test_a_user_is_known_by_a_certificate(there: Nginx, trusting: Work, working: MAKE) -> None:
    url = f"{there.https}/known/file"
    assert "answered 403" in trusting.refused(url).reason
    at = there.folder
    work = working(
        ca_file=str(there.ca),
        client_certificate=str(at / "user.pem"),
        client_key=str(at / "user.key"),
    )
    assert work.bring(url) == CONTENT


def test_a_redirect_out_of_tls_is_followed_only_if_that_is_wanted(
    there: Nginx, trusting: Work, working: MAKE
) -> None:
    url = f"{there.https}/plain/file"
    error = trusting.refused(url)
    assert not error.again
    assert "leads from https to http" in error.reason
    assert working(ca_file=str(there.ca), allow_downgrade=True).bring(url) == CONTENT


def test_a_redirect_without_end_ends(there: Nginx, trusting: Work) -> None:
    error = trusting.refused(f"{there.https}/loop")
    assert not error.again
    assert "say more than 10 times that the file is elsewhere" in error.reason
    assert there.logged("GET /loop", 11) == 11


@pytest.mark.parametrize(
    ("path", "again", "why"),
    [
        ("files/not-there", False, "answered 404 Not Found."),
        ("fault/500", True, "answered 500 Internal Server Error."),
        ("fault/429", True, "answered 429 Too Many Requests. It asks to come back in 7 seconds."),
        ("fault/503", True, "It asks to come back in 120 seconds."),
        ("close", True, "it was closed without an answer"),
    ],
)
def test_what_it_refuses_is_told(
    there: Nginx, trusting: Work, path: str, again: bool, why: str
) -> None:
    error = trusting.refused(f"{there.https}/{path}")
    assert error.again is again
    assert why in error.reason
    assert not [name for name in trusting.left() if not name.endswith("file")]


@pytest.mark.parametrize(
    ("path", "seconds"), [("fault/429", 7.0), ("fault/503", 120.0), ("fault/500", 0.0)]
)
def test_how_long_it_wants_to_be_left_alone_is_told(
    there: Nginx, trusting: Work, path: str, seconds: float
) -> None:
    assert trusting.refused(f"{there.https}/{path}").retry_after == seconds


@pytest.mark.parametrize(
    ("path", "why", "todo"),
    [
        ("norange/file", "answered 405", "takes no files by PUT here"),
        ("once/file", "answered 403 Forbidden", "may not"),
    ],
)
def test_what_it_does_not_take_is_told(
    there: Nginx, trusting: Work, path: str, why: str, todo: str
) -> None:
    error = trusting.refused(f"{there.https}/{path}", Way.OUT)
    assert not error.again
    assert why in error.reason
    assert todo in str(error)


def test_what_a_task_made_goes_and_comes_back(there: Nginx, trusting: Work) -> None:
    url = f"{there.https}/files/a%20folder/made%3F.bin"
    trusting.send(CONTENT, url)
    assert (there.files / "a folder" / "made?.bin").read_bytes() == CONTENT
    assert trusting.bring(url) == CONTENT


def test_a_validator_is_another_one_when_the_file_is(there: Nginx, trusting: Work) -> None:
    file = File(f"{there.https}/files/file")
    first = trusting.stager.validator(file)
    assert first is not None
    assert trusting.stager.validator(file) == first
    (there.files / "file").write_bytes(b"other")
    assert trusting.stager.validator(file) != first
    with pytest.raises(StagingError, match="404"):
        trusting.stager.validator(File(f"{there.https}/files/not-there"))


def test_a_connection_is_used_again(there: Nginx, trusting: Work) -> None:
    """Also after what was refused; of the connections of TLS each would cost milliseconds."""
    for n in range(5):
        trusting.bring(f"{there.https}/files/file")
        trusting.refused(f"{there.https}/files/not-there-{n}")
    managers = trusting.stager._connections._managers
    pools = [managers[""].pools[key] for key in managers[""].pools.keys()]  # noqa: SIM118
    assert [pool.num_connections for pool in pools] == [1]


def test_a_proxy_of_the_environment_is_used(
    there: Nginx, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This server is no proxy, but has the file under the path that a proxy is asked for.
    monkeypatch.setenv("HTTP_PROXY", there.http)
    assert work.bring("http://far.invalid/files/file") == CONTENT
    monkeypatch.setenv("NO_PROXY", "far.invalid")
    assert "No address is known" in work.refused("http://far.invalid/files/file").reason
    monkeypatch.setenv("HTTP_PROXY", "http://user:secret@127.0.0.1:1")
    error = work.refused("http://elsewhere.invalid/files/file")
    assert "The proxy on the way to elsewhere.invalid failed" in error.reason
    assert "secret" not in str(error)
