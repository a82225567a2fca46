"""URLs are asked for as they are meant, and those that harm are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.errors import StagingError
from weft.interfaces.stager import Place, Way
from weft.values.files import File
from weft_http.addresses import expected_sum, follow, parse
from weft_http.settings import Http
from weft_http.stager import build
from weft_http.trouble import Trouble

SUM = "9f" * 32


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("https://Data.Example.org/a", "https://data.example.org/a"),
        ("https://h", "https://h/"),
        ("https://h:443/a", "https://h/a"),
        ("http://h:443/a", "http://h:443/a"),
        ("https://h/a b/ü.txt?q=1 2", "https://h/a%20b/%C3%BC.txt?q=1%202"),
        ("https://h/a%20b%2Fc", "https://h/a%20b%2Fc"),
        ("https://h/a#sha256=12", "https://h/a"),
        ("https://[::1]:8443/a", "https://[::1]:8443/a"),
        ("https://münchen.example/a", "https://xn--mnchen-3ya.example/a"),
    ],
)
def test_a_url_is_asked_for_as_it_is_meant(url: str, asked: str) -> None:
    assert parse(url).url == asked


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https:///a", "names no host"),
        ("https://h:0/a", "names no host"),
        ("https://h:99999/a", "cannot be used"),
        ("https://[::1/a", "cannot be used"),
        ("https://h h/a", "names no host"),
        ("https://" + "ü" * 80 + "/a", "cannot be used"),
        ("https://h/a\nb", "line break"),
        ("https://h/\0", "control character"),
        ("https://user:secret@h/a", "user or a password"),
        ("https://user@h/a", "user or a password"),
    ],
)
def test_a_url_that_cannot_be_asked_for_is_refused_before_anything_is_done(
    url: str, why: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = Place(executor="test", folder=tmp_path_factory.getbasetemp())
    with pytest.raises(StagingError) as caught:
        build(Http()).plan(Way.IN, File(url), place)
    assert why in caught.value.reason
    assert caught.value.todo or caught.value.again is False
    assert "secret" not in str(caught.value)
    assert not caught.value.again


@given(st.text())
def test_any_text_is_a_url_or_a_trouble(text: str) -> None:
    try:
        found = parse("https://h/" + text)
    except Trouble:
        return
    assert found.url.isascii()
    assert found.host == "h"


@pytest.mark.parametrize(
    ("location", "leads"),
    [
        ("/b", "https://h/b"),
        ("b", "https://h/folder/b"),
        ("//other/b", "https://other/b"),
        ("https://other:8443/b?sig=1", "https://other:8443/b?sig=1"),
        ("/ü b".encode().decode("latin-1"), "https://h/%C3%BC%20b"),
    ],
)
def test_redirects_lead_where_they_say(location: str, leads: str) -> None:
    at = parse("https://h/folder/a")
    assert follow(at, location, method="GET", status=302, allow_downgrade=False).url == leads


def test_what_is_shown_of_where_one_is_led_has_no_signature() -> None:
    with pytest.raises(Trouble) as caught:
        follow(
            parse("https://h/a"),
            "http://h/b?sig=key",
            method="GET",
            status=302,
            allow_downgrade=False,
        )
    assert "http://h/b" in caught.value.reason
    assert "sig" not in caught.value.reason


def test_another_port_is_not_the_host_that_was_named() -> None:
    def named(url: str, location: str) -> bool:
        at = parse(url)
        return follow(at, location, method="GET", status=302, allow_downgrade=True).named

    assert named("http://h:8080/a", "/b")
    assert named("http://h/a", "https://h/a")
    assert not named("https://h/a", "https://h:8443/a")


def test_a_checksum_is_taken_from_the_url_or_the_options() -> None:
    options = {"https://h/a": f"sha256:{SUM}", "https://h/b#part": f"md5:{'0' * 32}"}
    assert expected_sum(f"https://h/x#sha256={SUM}", {}) == ("sha256", SUM)
    assert expected_sum("https://h/a", options) == ("sha256", SUM)
    assert expected_sum("https://h/a#top", options) == ("sha256", SUM)
    assert expected_sum("https://h/b#part", options) == ("md5", "0" * 32)
    assert expected_sum("https://h/x", options) is None
    with pytest.raises(Trouble, match="is no checksum"):
        expected_sum("https://h/x#sha256=short", {})
