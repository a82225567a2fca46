"""What has come of a file is found again by who can go on with it, and by nobody else."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Any

import pytest

from weft_http.parts import WORTH_KEEPING, Part

TAG, URL = '"one"', "https://h/file"
MUCH = WORTH_KEEPING


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def interrupted(final: Path, content: bytes = b"begin") -> None:
    part = Part(final, URL, keep=True)
    part.begin(TAG, MUCH)
    part.write(content, 0)
    part.leave()


def test_a_file_is_seen_when_it_is_whole(tmp_path: Path) -> None:
    part = Part(tmp_path / "file", URL, keep=True)
    for condition, total in ((TAG, MUCH), (TAG, 10), ("", MUCH), ("", None)):
        part.begin(condition, total)
        part.write(b"cont", 0)
        part.write(b"ent", 4)
        assert "file" not in names(tmp_path)
        assert part.read(3, 2) == b"nte"
        part.finish(sync=True)
        assert names(tmp_path) == {"file"}
        assert (tmp_path / "file").read_bytes() == b"content"
        (tmp_path / "file").unlink()


def test_what_was_left_is_found_again(tmp_path: Path) -> None:
    interrupted(tmp_path / "file")
    part = Part(tmp_path / "file", URL, keep=True)
    assert (part.condition, part.size) == (TAG, 5)
    part.write(b"ning", 5)
    part.finish(sync=False)
    assert names(tmp_path) == {"file"}
    assert (tmp_path / "file").read_bytes() == b"beginning"


@pytest.mark.parametrize(
    ("final", "url", "keep"),
    [("other", URL, True), ("file", "https://h/other", True), ("file", URL, False)],
)
def test_what_was_left_is_not_another_ones(
    tmp_path: Path, final: str, url: str, keep: bool
) -> None:
    interrupted(tmp_path / "file")
    part = Part(tmp_path / final, url, keep=keep)
    assert part.condition == ""
    part.drop()


def test_another_content_takes_its_place(tmp_path: Path) -> None:
    interrupted(tmp_path / "file")
    part = Part(tmp_path / "file", URL, keep=True)
    part.begin('"two"', MUCH)
    assert part.size == 0
    part.write(b"two", 0)
    part.leave()
    assert len(names(tmp_path)) == 2, "the note and one part"
    part = Part(tmp_path / "file", URL, keep=True)
    assert (part.condition, part.size) == ('"two"', 3)
    part.drop()
    assert not names(tmp_path)


def test_the_same_content_from_its_start_is_emptied_first(tmp_path: Path) -> None:
    interrupted(tmp_path / "file")
    part = Part(tmp_path / "file", URL, keep=True)
    part.begin(TAG, MUCH)
    part.write(b"new", 0)
    part.finish(sync=False)
    assert (tmp_path / "file").read_bytes() == b"new"


def test_what_is_small_or_nothing_is_not_left(tmp_path: Path) -> None:
    for total, content in ((MUCH - 1, b"begin"), (None, b"begin"), (MUCH, b"")):
        part = Part(tmp_path / "file", URL, keep=True)
        part.begin(TAG, total)
        part.write(content, 0)
        part.leave()
        assert not names(tmp_path)


def test_two_do_not_write_one_part(tmp_path: Path) -> None:
    first = Part(tmp_path / "file", URL, keep=True)
    first.begin(TAG, MUCH)
    first.write(b"first", 0)
    second = Part(tmp_path / "file", URL, keep=True)
    assert second.condition == "", "it is locked"
    second.begin(TAG, MUCH)
    assert second.path != first.path
    second.write(b"second", 0)
    first.finish(sync=False)
    assert (tmp_path / "file").read_bytes() == b"first"
    second.finish(sync=False)
    assert (tmp_path / "file").read_bytes() == b"second"
    assert names(tmp_path) == {"file"}


def test_a_note_without_a_part_is_nothing(tmp_path: Path) -> None:
    interrupted(tmp_path / "file")
    part = Part(tmp_path / "file", URL, keep=True)
    Path(part.path).unlink()
    part.leave()
    assert len(names(tmp_path)) == 1
    part = Part(tmp_path / "file", URL, keep=True)
    assert part.condition == ""
    assert not names(tmp_path)


def test_without_locks_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> None:
        raise OSError("this file system has no locks")

    monkeypatch.setattr(fcntl, "flock", none)
    part = Part(tmp_path / "file", URL, keep=True)
    part.begin(TAG, MUCH)
    part.write(b"content", 0)
    assert len(names(tmp_path)) == 1
    part.leave()
    assert not names(tmp_path)
