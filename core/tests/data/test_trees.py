"""Folders are packed and put back as they were, and nothing of them leads out."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from weft.data.trees import link_within, marked, packed, put, removed, settled, size_of, unpacked


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder of all that a folder may hold."""
    folder = tmp_path / "tree"
    (folder / "deep" / "deeper").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "plain").write_bytes(b"plain")
    (folder / "deep" / "tool").write_text("#!/bin/sh\n")
    (folder / "deep" / "tool").chmod(0o755)
    (folder / "deep" / "deeper" / "a\nb é").write_bytes(b"")
    (folder / "beside").symlink_to("plain")
    (folder / "deep" / "up").symlink_to(folder / "plain")  # absolute, and within
    (folder / "to_folder").symlink_to("deep")
    os.utime(folder / "plain", (1_000_000, 1_000_000))
    return folder


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def rest_of(folder: Path) -> list[str]:
    return [name for name in names(folder) if name.endswith((".part", ".old"))]


def test_a_folder_comes_out_as_it_went_in(tree: Path, tmp_path: Path) -> None:
    packed(tree, tmp_path / "archive")
    before = names(tree)
    removed(tree)  # so that no link can lead to where it was

    unpacked(tmp_path / "archive", tmp_path / "again")

    again = tmp_path / "again"
    assert names(again) == before
    assert (again / "plain").read_bytes() == b"plain"
    assert (again / "plain").stat().st_mtime == 1_000_000
    assert stat.S_IMODE((again / "deep" / "tool").stat().st_mode) == 0o755
    assert (again / "deep" / "up").read_bytes() == b"plain"
    assert not (again / "deep" / "up").readlink().is_absolute()
    assert (again / "to_folder" / "tool").is_file()
    assert rest_of(tmp_path) == []


def test_what_others_read_as_well_cannot_be_written_to(tree: Path, tmp_path: Path) -> None:
    packed(tree, tmp_path / "archive")
    unpacked(tmp_path / "archive", tmp_path / "again", read_only=True)

    found = [tmp_path / "again", *(tmp_path / "again").rglob("*")]

    assert not any(path.lstat().st_mode & 0o222 for path in found if not path.is_symlink())
    assert os.access(tmp_path / "again" / "deep" / "tool", os.X_OK)
    removed(tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_folder_takes_the_place_of_another_and_nothing_is_left_of_it(
    tree: Path, tmp_path: Path
) -> None:
    packed(tree, tmp_path / "archive")
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "old").write_text("old")

    unpacked(tmp_path / "archive", tmp_path / "again")

    assert names(tmp_path / "again") == names(tree)
    assert rest_of(tmp_path) == []


def test_a_file_in_its_place_is_not_replaced(tree: Path, tmp_path: Path) -> None:
    packed(tree, tmp_path / "archive")
    (tmp_path / "again").write_text("mine")

    with pytest.raises(OSError, match="Not a directory"):
        unpacked(tmp_path / "archive", tmp_path / "again")

    assert (tmp_path / "again").read_text() == "mine"
    assert rest_of(tmp_path) == []


@pytest.mark.parametrize(
    "text", ["../outside", "/etc/passwd", "deep/../../outside", "..", "missing/../../../x"]
)
def test_a_link_that_leads_out_is_not_packed(text: str, tree: Path, tmp_path: Path) -> None:
    (tree / "out").symlink_to(text)

    with pytest.raises(OSError, match="leads out of it"):
        packed(tree, tmp_path / "archive")
    with pytest.raises(OSError, match="leads out of it"):
        settled(tree)

    assert not (tmp_path / "archive").exists()


def test_a_pipe_is_neither_waited_for_nor_packed(tree: Path, tmp_path: Path) -> None:
    os.mkfifo(tree / "pipe")
    with pytest.raises(OSError, match="neither a file nor a folder"):
        packed(tree, tmp_path / "archive")
    assert not (tmp_path / "archive").exists()


def test_links_in_a_circle_are_links(tree: Path, tmp_path: Path) -> None:
    (tree / "one").symlink_to("two")
    (tree / "two").symlink_to("one")
    assert marked(tree) == marked(tree)
    packed(tree, tmp_path / "archive")
    unpacked(tmp_path / "archive", tmp_path / "again")
    assert (tmp_path / "again" / "one").is_symlink()


def test_absolute_links_are_made_to_go_along(tree: Path, tmp_path: Path) -> None:
    settled(tree)
    tree.rename(tmp_path / "moved")
    assert (tmp_path / "moved" / "deep" / "up").read_bytes() == b"plain"


def of(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", data: bytes = b""
) -> tuple[tarfile.TarInfo, bytes]:
    one = tarfile.TarInfo(name)
    one.type, one.linkname, one.size, one.mode = kind, link, len(data), 0o644
    return one, data


LINK, FOLDER, HARD = tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.LNKTYPE


@pytest.mark.parametrize(
    "members",
    [
        [of("../escaped", data=b"x")],
        [of("/tmp/weft-escaped", data=b"x")],
        [of("a/../../escaped", data=b"x")],
        [of("a//b", data=b"x")],
        [of(".", FOLDER)],
        [of("l", LINK, "..")],
        [of("l", LINK, "/etc")],
        # Written through, were links made when they come.
        [of("l", LINK, ".."), of("l/escaped", data=b"x")],
        # Within until a later one is there.
        [of("a", LINK, "b/../.."), of("b", LINK, ".")],
        [of("d", FOLDER), of("d/a", LINK, "b/.."), of("d/b", LINK, "..")],
        [of("hard", HARD, "/etc/passwd")],
        [of("dev", tarfile.CHRTYPE)],
        [of("pipe", tarfile.FIFOTYPE)],
        [of("twice", data=b"1"), of("twice", data=b"2")],
        [of("twice", data=b"1"), of("twice", LINK, "other")],
    ],
    ids=lambda members: " ".join(f"{one.name}>{one.linkname}" for one, _ in members),
)
def test_an_archive_of_somebody_else_puts_nothing_elsewhere(
    members: list[tuple[tarfile.TarInfo, bytes]], tmp_path: Path
) -> None:
    with tarfile.open(tmp_path / "archive", "w") as writing:
        for one, data in members:
            writing.addfile(one, io.BytesIO(data))
    room = tmp_path / "room"
    room.mkdir()

    with pytest.raises(OSError):
        unpacked(tmp_path / "archive", room / "target")

    assert list(room.iterdir()) == []
    assert not Path("/tmp/weft-escaped").exists()


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


@pytest.mark.parametrize("harm", [cut, lambda data: b"", lambda data: b"\xff" * len(data)])
def test_an_archive_that_is_cut_or_none_makes_nothing(
    harm: Callable[[bytes], bytes], tree: Path, tmp_path: Path
) -> None:
    packed(tree, tmp_path / "archive")
    (tmp_path / "archive").write_bytes(harm((tmp_path / "archive").read_bytes()))

    with pytest.raises(OSError):
        unpacked(tmp_path / "archive", tmp_path / "again")

    assert not (tmp_path / "again").exists()
    assert rest_of(tmp_path) == []


def test_every_change_is_seen(tree: Path) -> None:
    def touch() -> None:
        os.utime(tree / "plain", (5, 5))

    def relink() -> None:
        (tree / "beside").unlink()
        (tree / "beside").symlink_to("deep/tool")

    seen = {marked(tree)}
    changes: list[Callable[[], object]] = [
        lambda: (tree / "deep" / "deeper" / "new").write_bytes(b""),
        lambda: (tree / "plain").write_bytes(b"other"),
        touch,
        relink,
        lambda: (tree / "empty").rename(tree / "emptier"),
        (tree / "deep" / "tool").unlink,
        (tree / "emptier").rmdir,
    ]
    for change in changes:
        change()
        mark = marked(tree)
        assert mark == marked(tree)
        assert mark not in seen
        seen.add(mark)


def test_what_a_link_leads_to_counts(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "shared").write_text("1")
    (tree / "shared").symlink_to(tmp_path / "shared")
    before = marked(tree)
    (tmp_path / "shared").write_text("11")
    assert marked(tree) != before


def test_sizes_are_those_of_files(tree: Path) -> None:
    assert size_of(tree) == len(b"plain") + len("#!/bin/sh\n")


def test_a_folder_keeps_its_name_when_another_cannot_get_it(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine").write_text("")
    with pytest.raises(FileNotFoundError):
        put(tmp_path / "missing", tmp_path / "there")
    assert (tmp_path / "there" / "mine").exists()
    assert rest_of(tmp_path) == []


def test_a_link_to_the_folder_itself_is_within(tree: Path) -> None:
    (tree / "deep" / "root").symlink_to("..")
    assert link_within(tree / "deep" / "root", tree) == ".."
