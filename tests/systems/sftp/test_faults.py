"""What goes wrong on the way to a server is an error that says so, and whether to try again."""

from __future__ import annotations

import contextlib
import gc
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.systems.sftp.conftest import Shelf, Site
from tests.systems.ssh.conftest import key_in
from weft.errors import StagingError
from weft.interfaces.stager import Place, Transfer, Way
from weft.testing import FakeContext
from weft.values.files import File
from weft_fsspec import Fsspec, FsspecStager

LARGE = 12 * 1024 * 1024

Open = Callable[..., "FsspecStager"]


@pytest.fixture
def opened(sftp: Site, tmp_path: Path) -> Iterator[Open]:
    """Makes a stager, with other options of SFTP if need be, and closes it.

    Its loop has nothing to complain of in the end: asyncio prints each error that nobody took.
    """
    complaints: list[str] = []

    def note(_loop: AbstractEventLoop, what: Mapping[str, Any]) -> None:
        complaints.append(f"{what['message']}: {what.get('exception')!r}")

    with contextlib.ExitStack() as ends:

        def make(other: dict[str, object] | None = None, **options: Any) -> FsspecStager:
            of_sftp = {**sftp.options(), **(other or {})}
            stager = FsspecStager(Fsspec(options={"sftp": of_sftp}, **options))
            stager.start(FakeContext(tmp_path))
            stager._stores._loop.running().set_exception_handler(note)
            ends.callback(stager.close)
            return stager

        yield make
    gc.collect()  # they are printed when the task that had them is gone
    assert complaints == []


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    folder = tmp_path / "tasks"
    folder.mkdir()
    return folder


def planned(stager: FsspecStager, way: Way, file: File, folder: Path) -> Transfer:
    return stager.plan(way, file, Place(executor="test", folder=folder, shared=False))


def refused(stager: FsspecStager, transfer: Transfer) -> StagingError:
    with pytest.raises(StagingError) as error:
        stager.move(transfer)
    return error.value


def test_a_server_that_is_not_known_is_not_talked_to(
    shelf: Shelf, opened: Open, tasks: Path, tmp_path: Path
) -> None:
    nobody = tmp_path / "known_hosts"
    nobody.touch()
    stager = opened({"known_hosts": str(nobody)})

    error = refused(stager, planned(stager, Way.IN, shelf.publish(b"content", "file"), tasks))

    assert "HostKeyNotVerifiable" in error.reason
    assert "known_hosts" in str(error)
    assert not error.again
    assert list(tasks.iterdir()) == []


def test_a_user_whose_key_is_not_taken(
    shelf: Shelf, opened: Open, tasks: Path, tmp_path: Path
) -> None:
    stager = opened({"client_keys": [str(key_in(tmp_path, "other"))]})

    error = refused(stager, planned(stager, Way.IN, shelf.publish(b"content", "file"), tasks))

    assert "It is refused" in error.reason
    assert "ssh-add -l" in str(error)
    assert not error.again


@pytest.mark.parametrize("way", list(Way))
def test_silence_ends(shelf: Shelf, opened: Open, tasks: Path, way: Way) -> None:
    stager = opened(connect_timeout=30, read_timeout=3)
    first = planned(stager, Way.IN, shelf.publish(b"content", "first"), tasks)
    stager.move(first)  # it is connected
    plan = planned(stager, way, shelf.publish(b"content", "file"), tasks)
    if way is Way.OUT:
        plan.placed.as_path().write_bytes(b"another")

    with shelf.between.silent():
        error = refused(stager, plan)

    assert error.again
    assert shelf.fetch(plan.file) == b"content"
    stager.move(plan)
    assert shelf.fetch(plan.file) == plan.placed.as_path().read_bytes()


def test_an_end_in_the_middle_of_what_is_sent(shelf: Shelf, opened: Open, tasks: Path) -> None:
    stager = opened(piece=5 * 1024 * 1024)
    plan = planned(stager, Way.OUT, shelf.publish(b"before", "file"), tasks)
    plan.placed.as_path().write_bytes(bytes(LARGE))

    class Cuts(FakeContext):
        def progress(self, transfer: Transfer, done: int, total: int | None = None) -> None:
            if done == 5 * 1024 * 1024:
                shelf.between.cut()

    stager.start(Cuts(tasks))
    error = refused(stager, plan)

    assert error.again
    assert shelf.fetch(plan.file) == b"before"
    stager.start(FakeContext(tasks))
    stager.move(plan)
    assert shelf.fetch(plan.file) == bytes(LARGE)


@pytest.mark.parametrize("way", list(Way))
def test_whoever_gives_up_a_slow_transfer_leaves_nothing_behind(
    shelf: Shelf, opened: Open, tasks: Path, way: Way
) -> None:
    """Dozens of requests are under way when the time is over, and then the connection ends."""
    stager = opened(connect_timeout=30, read_timeout=3, piece=5 * 1024 * 1024)
    plan = planned(stager, way, shelf.publish(bytes(LARGE), "file"), tasks)
    plan.placed.as_path().write_bytes(bytes(LARGE))
    with contextlib.ExitStack() as silence:

        class Silences(FakeContext):
            def progress(self, transfer: Transfer, done: int, total: int | None = None) -> None:
                if done == 5 * 1024 * 1024:
                    silence.enter_context(shelf.between.silent())

        stager.start(Silences(tasks))
        error = refused(stager, plan)
        shelf.between.cut()

    assert error.again
    stager.start(FakeContext(tasks))
    stager.move(plan)
    assert shelf.fetch(plan.file) == plan.placed.as_path().read_bytes() == bytes(LARGE)


def test_an_end_in_the_middle_of_what_comes(shelf: Shelf, opened: Open, tasks: Path) -> None:
    stager = opened(piece=5 * 1024 * 1024)
    plan = planned(stager, Way.IN, shelf.publish(bytes(LARGE), "file"), tasks)

    with shelf.between.cutting(7 * 1024 * 1024):
        error = refused(stager, plan)

    assert error.again
    stager.move(plan)
    assert plan.placed.as_path().read_bytes() == bytes(LARGE)


def test_a_folder_that_may_not_be_made(shelf: Shelf, opened: Open, tasks: Path) -> None:
    stager = opened()
    no_folder = shelf.publish(b"a file", "file")
    plan = planned(stager, Way.OUT, File(f"{no_folder.url}/inner"), tasks)
    plan.placed.as_path().write_bytes(b"content")

    error = refused(stager, plan)

    assert not error.again
    assert shelf.names() == {"file"}
