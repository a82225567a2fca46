"""A File is a place and a name."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from weft.values.files import File


@pytest.mark.parametrize(
    ("url", "scheme", "netloc", "path", "filename"),
    [
        ("data/a.txt", "file", "", "data/a.txt", "a.txt"),
        ("/data/a.txt", "file", "", "/data/a.txt", "a.txt"),
        ("file:///data/a%20b.txt", "file", "", "/data/a b.txt", "a b.txt"),
        ("HTTP://host/x/a.txt?q=1", "http", "host", "/x/a.txt", "a.txt"),
        ("ftp://user@host:21/a.txt", "ftp", "user@host:21", "/a.txt", "a.txt"),
        ("odd 1://name", "file", "", "odd 1://name", "name"),
        ("1a://name", "file", "", "1a://name", "name"),
        ("with space.txt", "file", "", "with space.txt", "with space.txt"),
    ],
)
def test_the_parts_of_a_url(url: str, scheme: str, netloc: str, path: str, filename: str) -> None:
    file = File(url)

    assert (file.scheme, file.netloc, file.path, file.filename) == (scheme, netloc, path, filename)


def test_it_is_made_of_paths_and_of_files() -> None:
    assert File(Path("/a/b.txt")) == File("/a/b.txt")
    assert File(File("/a/b.txt")) == File("/a/b.txt")


def test_it_opens_like_a_path(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("here")

    with open(File(str(tmp_path / "a.txt")), encoding="utf-8") as file:  # noqa: PTH123
        assert file.read() == "here"
    assert File(str(tmp_path / "a.txt")).as_path() == tmp_path / "a.txt"


def test_a_remote_file_has_a_path_once_it_is_placed() -> None:
    file = File("http://host/a.txt")

    with pytest.raises(ValueError, match="not on this machine"):
        os.fspath(file)
    placed = file.placed("/here/a.txt")
    assert (os.fspath(placed), str(placed), placed.url) == (
        "/here/a.txt",
        "/here/a.txt",
        "http://host/a.txt",
    )
    assert str(file) == "http://host/a.txt"


def test_it_travels_and_counts_as_one_by_what_it_says() -> None:
    file = File("http://host/a.txt").placed("/x")

    assert pickle.loads(pickle.dumps(file)) == file
    assert len({File("a"), File("a"), File("b")}) == 2
