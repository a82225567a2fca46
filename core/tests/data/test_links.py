"""Files put at another place."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from weft.data import links
from weft.data.links import copied, placed


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"content" * 1000)
    path.chmod(0o540)
    os.utime(path, ns=(5, 12345))
    return path


def refuse(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def no_link(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", no_link)


def test_a_link_where_that_is_possible(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    assert placed(str(source), str(target))
    assert target.samefile(source)
    assert placed(str(source), str(target))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


@pytest.mark.parametrize("kind", ["file", "link", "dangling"])
def test_what_is_there_is_replaced(source: Path, tmp_path: Path, kind: str) -> None:
    target, other = tmp_path / "target", tmp_path / "other"
    other.write_text("other")
    if kind == "file":
        target.write_text("old")
    else:
        target.symlink_to(source if kind == "link" else tmp_path / "nowhere")
    assert placed(str(source), str(target))
    assert target.samefile(source)
    assert not target.is_symlink()
    assert other.read_text() == "other"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "source", "target"]


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP])
@pytest.mark.parametrize("there", [False, True])
def test_a_copy_where_no_link_is_possible(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, there: bool
) -> None:
    refuse(monkeypatch, number)
    target = tmp_path / "target"
    if there:
        target.write_text("old")
    assert not placed(str(source), str(target))
    assert target.read_bytes() == source.read_bytes()
    assert not target.samefile(source)
    facts = target.stat()
    assert (facts.st_mode & 0o777, facts.st_mtime_ns) == (0o540, 12345)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EINVAL, errno.ENOSYS])
def test_a_copy_where_the_system_does_not_copy(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refused(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "copy_file_range", refused, raising=False)
    copied(str(source), str(tmp_path / "target"))
    assert (tmp_path / "target").read_bytes() == source.read_bytes()


def test_a_copy_of_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    copied(str(tmp_path / "empty"), str(tmp_path / "target"))
    assert (tmp_path / "target").read_bytes() == b""


def test_a_copy_that_fails_half_way_is_not_seen(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, errno.EXDEV)

    def full(_: int, writing: int) -> bool:
        os.write(writing, b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(links, "_shared", full)
    with pytest.raises(OSError, match="space"):
        placed(str(source), str(tmp_path / "target"))
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_no_pipe_is_copied(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        copied(str(tmp_path / "pipe"), str(tmp_path / "target"))
    assert not (tmp_path / "target").exists()


def test_a_source_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        placed(str(tmp_path / "gone"), str(tmp_path / "target"))
