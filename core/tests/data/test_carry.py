"""Carried files come as they were, whole or not at all, in bounded pieces, each tried again."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from weft.data import carry, trees
from weft.data.carry import Carrier, Destination, Load, Trouble
from weft.data.errand import Facts
from weft.errors import StagingError, TaskLost

KB = 1024


class Channel:
    """An executor in this process: runs what it is given, and does to it what the test says."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.before: Callable[[str, int], None] = lambda name, number: None

    def run(self, label: str, function: Callable[..., Any], args: tuple[Any, ...]) -> Future[Any]:
        assert label == "far"
        self.calls.append((function.__name__, args))
        future: Future[Any] = Future()
        try:
            self.before(function.__name__, len(self.calls))
            future.set_result(function(*args))
        except Exception as error:  # noqa: BLE001 - it is the task's
            future.set_exception(error)
        return future

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carry, "PIECE", 4 * KB)
    monkeypatch.setattr(carry, "SMALL", KB)
    monkeypatch.setattr(carry, "_FEW", 4)


@pytest.fixture
def channel() -> Channel:
    return Channel()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def at(site: Path) -> Destination:
    return Destination(executor="far", folder=str(site), site="FAR")


def load(here: Path, there: Path, told: list[tuple[int, int]] | None = None) -> Load:
    def progress(done: int, total: int) -> None:
        if told is not None:
            told.append((done, total))

    return Load(url=f"file://{here}", here=str(here), there=str(there), progress=progress)


def put(channel: Channel, site: Path, loads: Sequence[Load]) -> list[Facts | Exception]:
    return Carrier(channel.run).put(at(site), loads)


def get(channel: Channel, site: Path, loads: Sequence[Load]) -> list[Facts | Exception]:
    return Carrier(channel.run).get(at(site), loads)


def no_rest(*folders: Path) -> None:
    """Nothing is left under a name that is not final."""
    assert [one for folder in folders for one in folder.rglob(".*.part")] == []


SIZES = [0, 1, KB, KB + 1, 4 * KB, 4 * KB + 1, 40 * KB + 7]


@pytest.mark.parametrize("size", SIZES)
def test_a_file_is_there_as_it_is_here_and_back_again(
    size: int, channel: Channel, site: Path, home: Path
) -> None:
    content = os.urandom(size)
    (home / "one").write_bytes(content)
    told: list[tuple[int, int]] = []

    (facts,) = put(channel, site, [load(home / "one", site / "in" / "one", told)])

    assert (site / "in" / "one").read_bytes() == content
    assert isinstance(facts, Facts)
    assert facts.size == size
    assert told[-1] == (size, size)
    assert (
        max(len(args[3]) for name, args in channel.calls if name == "write") <= 4 * KB
        if ("write" in channel.names())
        else size <= KB
    )

    (back,) = get(channel, site, [load(home / "two", site / "in" / "one")])
    assert (home / "two").read_bytes() == content
    assert back == facts or (back.size, back.changed) == (facts.size, facts.changed)  # type: ignore[union-attr]
    no_rest(site, home)


def test_many_small_files_go_in_few_messages(channel: Channel, site: Path, home: Path) -> None:
    loads = []
    for number in range(100):
        (home / f"n{number}").write_bytes(b"x" * number)
        loads.append(load(home / f"n{number}", site / f"n{number}"))

    assert all(isinstance(one, Facts) for one in put(channel, site, loads))

    assert channel.names() == ["take_in"] * 2  # 4950 bytes in messages of 4096 at most
    back = [load(home / f"back{n}", Path(one.there)) for n, one in enumerate(loads)]
    assert all(isinstance(one, Facts) for one in get(channel, site, back))
    assert channel.names().count("hand_out") == 25
    assert [(home / f"back{n}").stat().st_size for n in range(100)] == list(range(100))


def test_one_bad_file_harms_no_other(channel: Channel, site: Path, home: Path) -> None:
    (home / "good").write_bytes(b"good")
    (home / "folder").mkdir()
    (home / "folder" / "out").symlink_to("../good")
    (site / "taken").mkdir()
    loads = [
        load(home / "missing", site / "a"),
        load(home / "good", site / "b"),
        load(home / "folder", site / "c"),
        load(home / "good", site / "taken"),
        load(home / "good", site.parent / "outside"),
    ]

    missing, good, folder, taken, outside = put(channel, site, loads)

    assert isinstance(good, Facts)
    assert "could not be read on the machine of the script: No such file" in str(missing)
    assert "a link in that folder leads out of it" in str(folder)
    assert str(home / "folder" / "out") in str(folder)
    assert "is a folder" in str(taken)
    assert "FAR" in str(taken)
    assert "outside of" in str(outside)
    assert not (site.parent / "outside").exists()
    assert not any(one.again for one in (missing, folder, taken, outside))  # type: ignore[union-attr]
    no_rest(site)


def test_what_is_not_there_or_no_file_does_not_come(
    channel: Channel, site: Path, home: Path
) -> None:
    (site / "folder").mkdir()
    (site / "folder" / "out").symlink_to("/etc")
    (site / "link").symlink_to(home / "secret")
    (home / "secret").write_bytes(b"secret")
    os.mkfifo(site / "pipe")
    names = ["missing", "folder", "link", "pipe"]

    found = get(channel, site, [load(home / "x" / name, site / name) for name in names])

    for error, told in zip(
        found, ["No such file", "leads out of it", "outside of", "neither a file"], strict=True
    ):
        assert isinstance(error, StagingError)
        assert told in str(error)
    assert not (home / "x").exists() or not list((home / "x").iterdir())
    no_rest(site)


def test_a_folder_goes_there_and_back(channel: Channel, site: Path, home: Path) -> None:
    given = home / "given"
    (given / "deep").mkdir(parents=True)
    (given / "empty").mkdir()
    (given / "deep" / "large").write_bytes(os.urandom(30 * KB))
    (given / "to").symlink_to("deep/large")
    told: list[tuple[int, int]] = []

    (there,) = put(channel, site, [load(given, site / "in" / "0" / "given", told)])
    (back,) = get(channel, site, [load(home / "back", site / "in" / "0" / "given", told)])

    assert isinstance(there, Facts)
    assert isinstance(back, Facts)
    assert told[-1][0] == told[-1][1] > 30 * KB
    for folder in (site / "in" / "0" / "given", home / "back"):
        assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == [
            "deep", "deep/large", "empty", "to"
        ]  # fmt: skip
        assert (folder / "to").read_bytes() == (given / "deep" / "large").read_bytes()
    (home / "back" / "deep" / "mine").write_text("what came home can be written to")
    no_rest(site)
    no_rest(home)


def test_a_folder_that_changes_while_it_is_packed_is_to_be_tried_again(
    channel: Channel, site: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "given").mkdir()

    def packed(folder: str, archive: str) -> None:
        trees.packed(folder, archive)
        (home / "given" / "late").write_text("")

    monkeypatch.setattr(carry, "packed", packed)

    (error,) = put(channel, site, [load(home / "given", site / "given")])

    assert isinstance(error, StagingError)
    assert error.again
    assert "was changed while it was read" in str(error)
    assert list(site.iterdir()) == []


def test_a_folder_whose_pieces_are_lost_comes_all_the_same(
    channel: Channel, site: Path, home: Path
) -> None:
    (home / "given").mkdir()
    (home / "given" / "one").write_bytes(os.urandom(10 * KB))
    lost: set[str] = set()

    def lose(name: str, number: int) -> None:
        if name not in lost and name != "discard":
            lost.add(name)
            raise TaskLost("weft.carry (task 3)", ["its worker was killed"])

    channel.before = lose
    (there,) = put(channel, site, [load(home / "given", site / "given")])
    assert isinstance(there, StagingError)
    assert there.again  # the last step of a file is not made again by itself, but by the kernel
    (there,) = put(channel, site, [load(home / "given", site / "given")])
    assert isinstance(there, Facts)
    assert {"write", "settle", "unwrap"} <= lost
    no_rest(site)


@pytest.mark.parametrize("name", ["with space", "a\nb", "ü€", "..a", "-rf", "'; rm"])
def test_odd_names_are_names(name: str, channel: Channel, site: Path, home: Path) -> None:
    (home / name).write_bytes(b"x" * 2 * KB)
    assert isinstance(put(channel, site, [load(home / name, site / name)])[0], Facts)
    assert isinstance(get(channel, site, [load(home / f"2{name}", site / name)])[0], Facts)
    assert (home / f"2{name}").read_bytes() == b"x" * 2 * KB


def test_a_piece_that_was_lost_is_made_again_and_no_other(
    channel: Channel, site: Path, home: Path
) -> None:
    (home / "one").write_bytes(os.urandom(40 * KB))

    def lose(name: str, number: int) -> None:
        if number in {3, 4}:
            raise TaskLost("weft.carry (task 3)", ["its worker was killed"])

    channel.before = lose
    (facts,) = put(channel, site, [load(home / "one", site / "one")])

    assert isinstance(facts, Facts)
    assert (site / "one").read_bytes() == (home / "one").read_bytes()
    offsets = [args[2] for name, args in channel.calls if name == "write"]
    assert len(offsets) == 12
    assert sorted(set(offsets)) == [n * 4 * KB for n in range(10)]


@pytest.mark.parametrize("way", ["put", "get"])
def test_pieces_that_are_always_lost_end_the_transfer_which_may_be_made_again(
    way: str, channel: Channel, site: Path, home: Path
) -> None:
    (home / "one").write_bytes(os.urandom(40 * KB))
    (site / "one").write_bytes(os.urandom(40 * KB))

    def lose(name: str, number: int) -> None:
        if name in {"write", "read"} and number > 2:
            raise TaskLost("weft.carry (task 3)", ["its worker was killed"])

    channel.before = lose
    move = put if way == "put" else get
    other = "two" if way == "get" else "one"
    (error,) = move(channel, site, [load(home / other, site / ("two" if way == "put" else "one"))])

    assert isinstance(error, StagingError)
    assert error.again
    assert "its worker was killed" in str(error)
    assert not (site / "two").exists()
    assert not (home / "two").exists()
    no_rest(site, home)


def test_a_full_disk_is_told_and_not_tried_again(channel: Channel, site: Path, home: Path) -> None:
    (home / "one").write_bytes(os.urandom(40 * KB))

    def full(name: str, number: int) -> None:
        if name == "write" and number > 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(site / ".part"))

    channel.before = full
    (error,) = put(channel, site, [load(home / "one", site / "one")])

    assert isinstance(error, StagingError)
    assert not error.again
    assert "No space left on device" in str(error)
    assert "FAR" in str(error)
    assert not (site / "one").exists()
    no_rest(site)


def test_what_changes_on_the_way_is_never_half_of_each(
    channel: Channel, site: Path, home: Path
) -> None:
    (site / "one").write_bytes(b"a" * 40 * KB)

    def change(name: str, number: int) -> None:
        if name == "read" and number == 4:
            (site / "one").write_bytes(b"b" * 40 * KB)

    channel.before = change
    (error,) = get(channel, site, [load(home / "one", site / "one")])

    assert isinstance(error, StagingError)
    assert error.again
    assert "changed while it was read" in str(error)
    assert not (home / "one").exists()


def test_what_came_wrong_gets_no_name(channel: Channel, site: Path, home: Path) -> None:
    (home / "one").write_bytes(b"a" * 40 * KB)

    def spoil(name: str, number: int) -> None:
        if name == "settle":
            (part,) = site.glob(".*.part")
            with part.open("r+b") as spoiled:
                spoiled.write(b"z")

    channel.before = spoil
    (error,) = put(channel, site, [load(home / "one", site / "one")])

    assert isinstance(error, StagingError)
    assert error.again
    assert "not as they were sent" in str(error)
    assert not (site / "one").exists()
    no_rest(site)


def test_one_that_nobody_waits_for_is_given_up(channel: Channel, site: Path, home: Path) -> None:
    (home / "one").write_bytes(b"a" * 40 * KB)

    def enough(done: int, total: int) -> None:
        raise StagingError(f"file://{home / 'one'}", "in", "Nobody waits for it any more.")

    given_up = Load(
        url=f"file://{home / 'one'}",
        here=str(home / "one"),
        there=str(site / "one"),
        progress=enough,
    )
    (error,) = put(channel, site, [given_up])

    assert "Nobody waits" in str(error)
    assert channel.names().count("write") < 10 + 1
    assert not (site / "one").exists()
    no_rest(site)


def test_the_pieces_under_way_are_bounded_in_all(site: Path, home: Path) -> None:
    under_way, most = 0, 0
    lock = threading.Lock()
    gate = threading.Event()

    class Slow:
        def run(
            self, label: str, function: Callable[..., Any], args: tuple[Any, ...]
        ) -> Future[Any]:
            nonlocal under_way, most
            future: Future[Any] = Future()

            def work() -> None:
                nonlocal under_way
                gate.wait(60)
                value = function(*args)
                with lock:
                    under_way -= function is carry.write
                future.set_result(value)

            with lock:
                under_way += function is carry.write
                most = max(most, under_way)
                if under_way == 3:
                    gate.set()
            threading.Thread(target=work, daemon=True).start()
            return future

    carrier = Carrier(Slow().run, under_way=3)
    outcomes: list[list[Any]] = []
    threads = []
    for number in range(4):
        (home / f"n{number}").write_bytes(os.urandom(40 * KB))
        loads = [load(home / f"n{number}", site / f"n{number}")]
        threads.append(
            threading.Thread(target=lambda ls=loads: outcomes.append(carrier.put(at(site), ls)))
        )
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert [type(one) for (one,) in outcomes] == [Facts] * 4
    assert most == 3


def test_a_copy_is_for_its_owner_alone_and_not_to_be_written(
    channel: Channel, site: Path, home: Path
) -> None:
    (home / "script").write_bytes(b"#!/bin/sh\n")
    (home / "script").chmod(0o755)
    put(channel, site, [load(home / "script", site / "script")])
    assert (site / "script").stat().st_mode & 0o777 == 0o500


def test_a_link_at_the_site_is_not_written_through(site: Path, home: Path) -> None:
    (home / "victim").write_bytes(b"kept")
    (site / ".x.part").symlink_to(home / "victim")
    with pytest.raises((OSError, StagingError)):
        carry.write(str(site), str(site / ".x.part"), 0, b"spoiled")
    assert (home / "victim").read_bytes() == b"kept"
    found = carry.take_in(str(site), [carry.Parcel(str(site / "sub" / "x"), b"x", 0o644)])
    assert not isinstance(found[0], Trouble)
