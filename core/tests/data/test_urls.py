"""Passwords are not shown, and parts of files are known again."""

from __future__ import annotations

import pytest

from weft.data.urls import host_of, is_secret, masked, part_for


def test_a_part_is_known_by_name_and_validator() -> None:
    parts = {part_for(name, mark) for name in ("a", "b") for mark in ("1", "2")}

    assert len(parts) == 4
    assert all(part.startswith(".") and part.endswith(".part") for part in parts)
    assert part_for("a", "1") in parts


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ftp://me:word@host:21/a@b:c", "ftp://me:***@host:21/a@b:c"),
        ("ftp://me:w@rd@host/a", "ftp://me:***@host/a"),
        ("ftp://:word@host", "ftp://:***@host"),
        ("ftp://me@host/a", "ftp://me@host/a"),
        ("ftp://host/me:word@host", "ftp://host/me:word@host"),
        ("s3://bucket/key?a:b@c", "s3://bucket/key?a:b@c"),
    ],
)
def test_passwords_are_not_shown(url: str, shown: str) -> None:
    assert masked(url) == shown
    assert is_secret(url) == (url != shown)


def test_a_host_is_what_stands_before_the_path() -> None:
    assert host_of("a://b:1/c") == "b:1"
    assert host_of("a://b?c/d") == "b"
    assert not host_of("a:///c")
    assert not host_of("c")
