"""What ``weft doctor`` finds before a file is asked for."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from weft.values.problem import Finding, Severity
from weft_http.checks import checks
from weft_http.settings import Http


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    trusted(monkeypatch, "/there")


def trusted(monkeypatch: pytest.MonkeyPatch, file: str | None) -> None:
    """Have the certificates of the system be in a file, or nowhere."""
    paths = (file, None, "SSL_CERT_FILE", "", "SSL_CERT_DIR", "")
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths_of(*paths))


paths_of: Any = ssl.DefaultVerifyPaths


def found(tmp_path: Path, **options: Any) -> list[Finding]:
    return list(checks(Http(**options), tmp_path))


def test_nothing_is_wrong_where_nothing_is(tmp_path: Path) -> None:
    assert found(tmp_path) == []


def test_a_system_that_trusts_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trusted(monkeypatch, None)
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda *_: None)
    (one,) = found(tmp_path)
    assert one.severity is Severity.WARNING
    assert "trusts no authority" in one.what
    assert "ca-certificates" in (one.remedy or "")


@pytest.mark.parametrize("option", ["ca_file", "client_certificate"])
def test_certificates_that_cannot_be_used(tmp_path: Path, option: str) -> None:
    file = tmp_path / "file.pem"
    for why in ("No such file", "PEM"):
        (one,) = found(tmp_path, **{option: str(file)})
        assert one.severity is Severity.ERROR
        assert option in one.what
        assert why in f"{one.what} {one.remedy}"
        file.write_text("no certificate")


@pytest.mark.parametrize("proxy", ["socks5://h:1", "http://user:geheim@[h", "h:port"])
def test_a_proxy_that_is_none(tmp_path: Path, proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", proxy)
    (one,) = found(tmp_path)
    assert one.severity is Severity.ERROR
    assert "none that can be used" in one.what
    assert "geheim" not in f"{one.what} {one.remedy}"
    assert found(tmp_path, proxies=False) == []


@pytest.mark.parametrize("proxy", ["proxy.example.org:3128", "http://user:word@proxy:80"])
def test_a_proxy_that_is_one(tmp_path: Path, proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", proxy)
    assert found(tmp_path) == []


def test_tokens_and_logins_that_are_not_there(tmp_path: Path) -> None:
    tokens = {"h": "env:WEFT_TEST_NO_TOKEN", "g": f"file:{tmp_path}/none"}
    ours = tmp_path / "netrc"
    ours.write_text("machine h login a pass\n")
    first, second, third = found(tmp_path, tokens=tokens, netrc=str(ours))
    assert (first.severity, second.severity) == (Severity.WARNING, Severity.WARNING)
    assert "WEFT_TEST_NO_TOKEN" in first.what
    assert "cannot be read" in second.what
    assert third.severity is Severity.ERROR
    assert "at line" in third.what
