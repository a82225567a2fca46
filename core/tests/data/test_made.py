"""What a task made is opened if it is a file in the folder of the tasks, and nothing else is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from weft.data.made import open_made
from weft.errors import StagingError
from weft.interfaces.stager import Place, Transfer, Way
from weft.values.files import File


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "tasks"
    made.mkdir()
    return made


def leaving(folder: Path, name: str = "out") -> Transfer:
    file = File("far://host/out")
    place = Place(executor="test", folder=folder)
    return Transfer(way=Way.OUT, file=file, placed=file.placed(folder / name), place=place)


def test_a_file_is_opened(folder: Path) -> None:
    (folder / "out").write_bytes(b"content")

    with open_made(leaving(folder)) as opened:
        assert opened.read() == b"content"


def test_a_link_within_the_folder_is_followed(folder: Path) -> None:
    (folder / "real").write_bytes(b"content")
    (folder / "out").symlink_to("real")

    with open_made(leaving(folder)) as opened:
        assert opened.read() == b"content"


def test_a_folder_that_is_a_link_itself_is_no_way_out(folder: Path) -> None:
    (folder / "out").write_bytes(b"content")
    (folder.parent / "link").symlink_to(folder)

    with open_made(leaving(folder.parent / "link")) as opened:
        assert opened.read() == b"content"


def refusal(folder: Path) -> StagingError:
    with pytest.raises(StagingError) as caught:
        open_made(leaving(folder))
    assert caught.value.url == "far://host/out"
    assert caught.value.direction == Way.OUT
    assert not caught.value.again
    return caught.value


def test_what_is_not_there_was_not_made(folder: Path) -> None:
    assert "The task did not make" in refusal(folder).reason


def test_links_that_lead_out_are_refused(folder: Path) -> None:
    (folder.parent / "secret").write_bytes(b"of somebody else")
    (folder / "out").symlink_to("../secret")

    assert "outside of" in refusal(folder).reason


def test_a_link_to_itself_cannot_be_read(folder: Path) -> None:
    (folder / "out").symlink_to("out")

    assert "Too many levels of symbolic links" in refusal(folder).reason


def test_pipes_are_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "out")

    assert "is no regular file" in refusal(folder).reason


def test_folders_are_refused(folder: Path) -> None:
    (folder / "out").mkdir()

    assert "is a folder" in refusal(folder).reason
