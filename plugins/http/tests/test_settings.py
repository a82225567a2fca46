"""Options that cannot work are refused where they are written, and none shows a secret."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from weft_http.settings import Http, checked_sum

SUM = "9f" * 32


@pytest.mark.parametrize(
    ("option", "value", "why"),
    [
        ("connect_timeout", 0, "must be > 0"),
        ("read_timeout", "60", "must be"),
        ("connections", 0, "must be >= 1"),
        ("max_redirects", -1, "must be >= 0"),
        ("tokens", ["data.example.org"], "tokens says for each host"),
        ("tokens", {"https://data.example.org": "env:X"}, "no host"),
        ("tokens", {"data.example.org": "the-secret"}, "does not say for 'data.example.org'"),
        ("tokens", {"data.example.org": "env:not a name"}, "never the token itself"),
        ("plain_hosts", "localhost", "is a sequence of hosts"),
        ("plain_hosts", ["http://localhost"], "is a sequence of hosts"),
        ("checksums", {"https://h/x": "sha256:12"}, "64 hexadecimal digits"),
        ("checksums", {"https://h/x": f"crc32:{SUM}"}, "does not begin with one of sha512"),
        ("checksums", {"https://h/x": 7}, "no text"),
    ],
)
def test_an_option_that_cannot_work_is_refused(option: str, value: Any, why: str) -> None:
    with pytest.raises((ValueError, TypeError), match=why) as caught:
        Http(**{option: value})
    assert "the-secret" not in str(caught.value)


def test_options_travel_to_other_machines() -> None:
    made = Http(
        tokens={"localhost:8443": "env:OUR_TOKEN", "[::1]": "file:~/.token"},
        plain_hosts=["localhost"],
        checksums={"https://h/x": f"SHA-256:{SUM.upper()}"},
    )
    assert pickle.loads(pickle.dumps(made)) == made
    assert made.plain_hosts == ("localhost",)


@pytest.mark.parametrize("text", [f"sha256:{SUM}", f"sha256={SUM}", f" SHA-256 : {SUM.upper()} "])
def test_checksums_are_read_as_people_write_them(text: str) -> None:
    assert checked_sum(text) == ("sha256", SUM)
