"""What URLs name, and which are refused."""

from __future__ import annotations

import pytest

from weft_zip.address import Address, place_name, understood
from weft_zip.settings import Zip
from weft_zip.trouble import Trouble


@pytest.mark.parametrize(
    ("url", "archive", "member"),
    [
        ("zip:///d/a.zip/m", "/d/a.zip", "m"),
        ("ZIP://localhost/d/a.zip/b/c.csv", "/d/a.zip", "b/c.csv"),
        ("zip:///d/A.ZIP/m", "/d/A.ZIP", "m"),
        ("zip:///d//a.zip/b.zip/m", "/d/a.zip", "b.zip/m"),
        ("zip:///d/a%20b.zip/c%2Fd%23e?f", "/d/a b.zip", "c/d#e?f"),
        ("zip:///d/model.npz#weights.npy", "/d/model.npz", "weights.npy"),
        ("zip:///old.zip/a.zip#m", "/old.zip/a.zip", "m"),
        ("zip:///d/a.jar#b/c%20d", "/d/a.jar", "b/c d"),
        ("zip:///d/%FF.zip/m", "/d/\udcff.zip", "m"),
        ("zip:///d/a.zip/back\\slash", "/d/a.zip", "back\\slash"),
        ("zip:///d/a.zip/http:", "/d/a.zip", "http:"),
        ("zip:///d/a.zip/..x", "/d/a.zip", "..x"),
    ],
)
def test_a_url_names_a_member(url: str, archive: str, member: str) -> None:
    assert understood(url) == Address(archive, member)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("zip://host/a.zip/m", "an archive is looked for on this machine only"),
        ("zip://me:word@host/a.zip/m", "an archive is looked for on this machine only"),
        ("zip://", "names no archive"),
        ("zip:///", "No part of its path ends in '.zip'"),
        ("zip:///d/a.tar/m", "No part of its path ends in '.zip'"),
        ("zip:///#m", "names no archive"),
        ("zip:///d/a.zip", "no member of it"),
        ("zip:///d/a.zip/", "no member of it"),
        ("zip:///d/a.jar#", "no member of it"),
        ("zip:///d/../a.zip/m", "'.' or '..'"),
        ("zip:///d/%2e%2e/a.zip/m", "'.' or '..'"),
        ("zip:///d/a%00.zip/m", "zero byte"),
        ("zip:///d/a.zip/../m", "leads out of the folder by '..'"),
        ("zip:///d/a.zip/b/%2e%2e/m", "leads out of the folder by '..'"),
        ("zip:///d/a.zip/b%2F..%2Fm", "leads out of the folder by '..'"),
        ("zip:///d/a.zip/..\\m", "leads out of the folder by '..'"),
        ("zip:///d/a.jar#..", "leads out of the folder by '..'"),
        ("zip:///d/a.zip//etc/m", "not relative"),
        ("zip:///d/a.zip/%2Fetc/m", "not relative"),
        ("zip:///d/a.zip/\\etc", "not relative"),
        ("zip:///d/a.zip/C:m", "not relative"),
        ("zip:///d/a.zip/c%3A\\m", "not relative"),
        ("zip:///d/a.zip/b/", "names a folder"),
        ("zip:///d/a.zip/b//m", "empty or '.'"),
        ("zip:///d/a.zip/./m", "empty or '.'"),
        ("zip:///d/a.zip/m%00.txt", "holds a zero byte"),
        ("zip:///d/a.zip/%FF", "no text in UTF-8"),
        ("zip:///d/a.zip/" + "m" * 65536, "longer than the 65535 bytes"),
    ],
)
def test_what_names_no_member_is_refused(url: str, why: str) -> None:
    with pytest.raises(Trouble) as caught:
        understood(url)
    assert why in caught.value.why
    assert caught.value.todo
    assert not caught.value.again


def test_two_ways_to_write_a_url_are_one_file() -> None:
    one, other = (understood(url) for url in ("zip:///d/a.zip/b/c.npy", "zip:///d/a.zip#b%2Fc.npy"))
    assert place_name(one) == place_name(other)
    assert place_name(one).endswith("-c.npy")


def test_two_members_never_have_one_place() -> None:
    names = {
        place_name(Address(archive, member))
        for archive, member in (
            ("/a.zip", "b/c"),
            ("/a.zip/b", "c"),
            ("/a.zip", "b%2Fc"),
            ("/a.zip", "c"),
            ("/b.zip", "c"),
            ("/b.zip", "C"),
        )
    }
    assert len(names) == 6


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_size", -1),
        ("max_ratio", 0),
        ("compression", "bzip2"),
        ("lock_timeout", -1.0),
        ("lock_timeout", float("inf")),
        ("lock_timeout", float("nan")),
    ],
)
def test_settings_are_looked_at(option: str, value: object) -> None:
    with pytest.raises(ValueError, match=option):
        Zip(**{option: value})  # type: ignore[arg-type]
