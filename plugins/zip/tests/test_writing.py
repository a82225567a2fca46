"""Archives that are written: whole at every moment, by many at once, and with nothing lost."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from weft.data.locks import NO_LOCK, locked
from weft.errors import StagingError
from weft.interfaces.stager import Transfer, Way
from weft_testkit.bounded import all_at_once, settled
from weft_testkit.limits import no_file_beyond
from weft_zip.pack import Packed, merge, pack, part_of
from weft_zip.settings import Zip
from weft_zip.trouble import Trouble

if TYPE_CHECKING:
    from plugins.zip.tests.conftest import Bench

BOUND = 60.0


def content_of(path: Path) -> dict[str, bytes]:
    """All members, each checked, and each once."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert len(set(names)) == len(names)
        return {name: archive.read(name) for name in names}


@contextlib.contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """As if another process were writing it."""
    name = part_of(path).with_suffix(".lock")
    lock = locked(str(name))
    try:
        yield
    finally:
        name.unlink()
        os.close(lock)


# -------------------------------------------------------------------------------------- a member


def test_a_member_is_packed_with_its_mode_and_time(bench: Bench) -> None:
    plan = bench.made("a/b.txt", b"content " * 1000)
    os.utime(plan.placed.as_path(), (0, 1_700_000_000))
    plan.placed.as_path().chmod(0o750)
    bench.stager.move(plan)
    with zipfile.ZipFile(bench.archive) as archive:
        info = archive.getinfo("a/b.txt")
        assert archive.read(info) == b"content " * 1000
    assert info.compress_type == zipfile.ZIP_DEFLATED
    assert info.compress_size < 1000
    assert stat.S_IMODE(info.external_attr >> 16) == 0o750
    assert info.date_time[:2] == (2023, 11)


@pytest.mark.parametrize("when", [0, 5_000_000_000])
def test_a_time_that_the_format_has_not(bench: Bench, when: int) -> None:
    plan = bench.made("m", b"content")
    os.utime(plan.placed.as_path(), (when, when))
    bench.stager.move(plan)
    assert content_of(bench.archive) == {"m": b"content"}


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_a_new_archive_has_the_mode_of_the_umask(bench: Bench, mask: int, mode: int) -> None:
    with umask(mask):
        bench.stager.move(bench.made("m", b"content"))
    assert stat.S_IMODE(bench.archive.stat().st_mode) == mode


def test_an_archive_keeps_its_mode_and_a_link_leads_to_it_still(bench: Bench) -> None:
    real = bench.archive.with_name("real")
    bench.archive.symlink_to(real.name)
    bench.stager.move(bench.made("m", b"content"))
    real.chmod(0o640)
    bench.stager.move(bench.made("n", b"content"))
    assert bench.archive.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert set(content_of(real)) == {"m", "n"}


def test_folders_of_an_archive_are_made(benches: Callable[..., Bench]) -> None:
    bench = benches(sync=True)
    bench.archive.parent.rmdir()
    bench.stager.move(bench.made("m", b"content"))
    assert content_of(bench.archive) == {"m": b"content"}


# ------------------------------------------------------------------------- what was there before


def test_a_member_takes_the_place_and_the_room_of_an_earlier_one(bench: Bench) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(bench.archive, "w") as archive:
        warnings.simplefilter("ignore", UserWarning)
        for name in ("a", "m", "b", "m"):
            archive.writestr(name, os.urandom(10_000))
        archive.comment = b"of the archive"
        kept = {name: archive.read(name) for name in ("a", "b")}
    for content in (b"new", b"newer"):
        bench.stager.move(bench.made("m", content))
        assert content_of(bench.archive) == {**kept, "m": content}
        assert bench.archive.stat().st_size < 21_000
    with zipfile.ZipFile(bench.archive) as archive:
        assert archive.comment == b"of the archive"


def test_what_others_have_written_stays_byte_by_byte(bench: Bench) -> None:
    """Names in another encoding, sizes after the data, and a program before it all."""

    class Pipe(io.RawIOBase):
        """Cannot go back, so sizes are written after the data."""

        def __init__(self) -> None:
            self.written = b""

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.written += bytes(data)  # type: ignore[call-overload]
            return len(data)  # type: ignore[arg-type]

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("gone", b"g" * 1000)
        archive.writestr("nXme", b"n" * 1000)
    prefix = b"#!/bin/sh\nexec unzip $0\n"
    # An umlaut in code page 437, which zipfile would write as UTF-8.
    bench.archive.write_bytes(prefix + pipe.written.replace(b"nXme", b"n\x84me"))
    bench.stager.move(bench.made("new", b"content"))
    assert content_of(bench.archive) == {
        "gone": b"g" * 1000,
        "näme": b"n" * 1000,
        "new": b"content",
    }
    bench.stager.move(bench.made("gone", b"back"))
    expected = {"gone": b"back", "näme": b"n" * 1000, "new": b"content"}
    assert content_of(bench.archive) == expected
    assert bench.archive.read_bytes().startswith(prefix)
    assert bench.archive.read_bytes().count(b"n\x84me") == 2


# ---------------------------------------------------------------------------------- several at once


def test_many_in_one_call_are_one_archive_written(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = counted(monkeypatch)
    plans = [bench.made(f"m{n}", b"%d" % n) for n in range(20)]
    plans.insert(3, bench.plan(Way.OUT, "not-made"))
    outcomes = bench.stager.move_all(plans)
    assert written == [20]
    assert [n for n, outcome in enumerate(outcomes) if outcome is not None] == [3]
    assert "did not make" in str(outcomes[3])
    assert content_of(bench.archive) == {f"m{n}": b"%d" % n for n in range(20)}


def test_of_one_name_in_one_call_the_last_counts(bench: Bench) -> None:
    plans = [bench.made("m", b"content"), bench.made("m", b"content")]
    assert list(bench.stager.move_all(plans)) == [None, None]
    assert content_of(bench.archive) == {"m": b"content"}


@pytest.mark.parametrize(
    ("there", "new"), [("a", "a/b"), ("a/b", "a"), ("a/", "a"), ("a/b", "a/b/c"), ("a/b/c", "a")]
)
def test_what_would_be_a_folder_and_a_file_is_refused(bench: Bench, there: str, new: str) -> None:
    with zipfile.ZipFile(bench.archive, "w") as archive:
        archive.writestr(there, b"before" if not there.endswith("/") else b"")
    before = bench.archive.read_bytes()

    with pytest.raises(StagingError) as caught:
        bench.stager.move(bench.made(new, b"new"))

    assert f"has a member {there!r}" in caught.value.reason
    assert "another name" in str(caught.value)
    assert not caught.value.again
    assert bench.archive.read_bytes() == before
    assert [one.name for one in bench.archive.parent.iterdir()] == [bench.archive.name]


def test_one_that_is_refused_keeps_no_other_from_being_joined(bench: Bench) -> None:
    plans = [bench.made(name, name.encode()) for name in ("x", "a", "a/b", "ab", "x")]
    said = bench.stager.move_all(plans)
    assert [one is None for one in said] == [True, True, False, True, True]
    assert content_of(bench.archive) == {"x": b"x", "a": b"a", "ab": b"ab"}


def test_those_that_wait_are_written_together(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = counted(monkeypatch)
    plans = [bench.made(f"m{n}", b"content") for n in range(8)]
    threads = [threading.Thread(target=bench.stager.move, args=[plan]) for plan in plans]
    desks = bench.stager._turns._desks
    with held(bench.archive):
        for thread in threads:
            thread.start()
        assert settled(lambda: [len(desk.waiting) for desk in desks.values()] == [7], BOUND)
    for thread in threads:
        thread.join(BOUND)
        assert not thread.is_alive()
    assert written == [1, 7]
    assert set(content_of(bench.archive)) == {f"m{n}" for n in range(8)}
    assert not desks


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many members each archive got that was written."""
    written: list[int] = []

    def counting(
        path: Path, members: Sequence[Packed], *, sync: bool, beat: Callable[[], None]
    ) -> Mapping[str, Trouble]:
        written.append(len(members))
        return merge(path, members, sync=sync, beat=beat)

    monkeypatch.setattr("weft_zip.stager.merge", counting)
    return written


def test_readers_see_a_whole_archive_at_all_times(bench: Bench) -> None:
    bench.stager.move(bench.made("m", b"content"))
    done = threading.Event()
    seen: list[int] = []

    def read() -> None:
        while not done.is_set():
            seen.append(len(content_of(bench.archive)))

    def write(plan: Transfer) -> None:
        bench.stager.move(plan)

    plans = [bench.made(f"m{n}", os.urandom(50_000)) for n in range(24)]

    def write_all() -> None:
        try:
            all_at_once("writer", [functools.partial(write, plan) for plan in plans], BOUND)
        finally:
            done.set()

    all_at_once("both", [read, write_all], BOUND)
    assert seen == sorted(seen)
    assert len(content_of(bench.archive)) == 25


# ------------------------------------------------------------------------------------ processes

WRITER = textwrap.dedent("""
    import sys
    from pathlib import Path

    from weft.interfaces.stager import Place, Way
    from weft.testing import FakeContext
    from weft.values.files import File
    from weft_testkit.limits import die_beyond
    from weft_zip.settings import Zip
    from weft_zip.stager import ZipStager

    archive, tasks, name, count, beyond = sys.argv[1:]
    stager = ZipStager(Zip(compression="stored"))
    stager.start(FakeContext(Path(tasks)))
    place = Place(executor=name, folder=Path(tasks), shared=False)
    if int(beyond):
        die_beyond(int(beyond))
    for n in range(int(count)):
        plan = stager.plan(Way.OUT, File(f"zip://{archive}/{name}{n}"), place)
        plan.placed.as_path().write_bytes(name.encode() * 1000)
        stager.move(plan)
        print(f"{name}{n}", flush=True)
    stager.close()
""")


def writer(bench: Bench, name: str, count: int, beyond: int = 0) -> subprocess.Popen[str]:
    arguments = [str(bench.archive), str(bench.tasks), name, str(count), str(beyond)]
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, *arguments], stdout=subprocess.PIPE, text=True
    )


def test_processes_that_write_one_archive_lose_nothing_when_one_is_killed(bench: Bench) -> None:
    writers = {name: writer(bench, name, 25) for name in "abc"}
    said: list[str] = []
    try:
        doomed = writers["a"]
        assert doomed.stdout is not None
        said += [doomed.stdout.readline().strip() for _ in range(5)]
        doomed.send_signal(signal.SIGKILL)
        for one in writers.values():
            said += one.communicate(timeout=BOUND)[0].split()
    finally:
        for one in writers.values():
            one.kill()
            one.wait(BOUND)
    assert [writers[name].returncode for name in "bc"] == [0, 0]
    there = content_of(bench.archive)
    assert len(said) >= 55
    assert set(said) <= set(there), "what was said to be there is not"
    assert all(content == name[:1].encode() * 1000 for name, content in there.items())
    bench.stager.move(bench.made("last", b"content"))
    assert [path.name for path in bench.archive.parent.iterdir()] == ["a.zip"]


def test_killed_while_it_writes_the_archive_is_what_it_was(bench: Bench) -> None:
    with zipfile.ZipFile(bench.archive, "w") as archive:
        archive.writestr("before", os.urandom(100_000))
    before = content_of(bench.archive)
    one = writer(bench, "a", 1, beyond=50_000)
    assert one.communicate(timeout=BOUND)[0] == ""
    assert one.returncode == -signal.SIGXFSZ
    assert part_of(bench.archive).exists(), "it was not killed in the midst of it"
    assert content_of(bench.archive) == before
    bench.stager.move(bench.made("m", b"content"))
    assert content_of(bench.archive) == {**before, "m": b"content"}
    assert [path.name for path in bench.archive.parent.iterdir()] == ["a.zip"]


# ---------------------------------------------------------------------------------- what goes wrong


def test_who_waits_for_too_long_is_told_so(benches: Callable[..., Bench]) -> None:
    bench = benches(lock_timeout=0.05)
    plan = bench.made("m", b"content")
    with held(bench.archive), pytest.raises(StagingError, match="Others have been") as caught:
        bench.stager.move(plan)
    assert caught.value.again
    assert "lock_timeout" in str(caught.value)
    assert not bench.archive.exists()
    bench.stager.move(plan)
    assert content_of(bench.archive) == {"m": b"content"}


def refusing(path: str) -> int:
    raise PermissionError(13, "Permission denied", path)


@pytest.mark.parametrize(
    ("locks", "said", "again"),
    [
        (refusing, "is one of another user", True),
        (lambda _path: NO_LOCK, "has no locks", False),
    ],
)
def test_without_a_lock_nothing_is_written(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    locks: Callable[[str], int],
    said: str,
    again: bool,
) -> None:
    monkeypatch.setattr("weft_zip.turns.locked", locks)
    bench.made("m", b"content")
    error = bench.refused(Way.OUT, "m")
    assert said in error.reason
    assert error.again is again
    assert not bench.archive.exists()


def test_closing_ends_the_wait_of_all(bench: Bench) -> None:
    plans = [bench.made(f"m{n}", b"content") for n in range(3)]
    errors: list[str] = []

    def move(plan: Transfer) -> None:
        with pytest.raises(StagingError) as caught:
            bench.stager.move(plan)
        errors.append(caught.value.reason)

    threads = [threading.Thread(target=move, args=[plan]) for plan in plans]
    desks = bench.stager._turns._desks
    with held(bench.archive):
        for thread in threads:
            thread.start()
        assert settled(lambda: [len(desk.waiting) for desk in desks.values()] == [2], BOUND)
        bench.stager.close()
        for thread in threads:
            thread.join(BOUND)
            assert not thread.is_alive()
    assert errors == ["The run has ended."] * 3
    assert list(bench.archive.parent.iterdir()) == []


def test_without_space_the_archive_is_what_it_was(bench: Bench) -> None:
    with zipfile.ZipFile(bench.archive, "w") as archive:
        archive.writestr("before", os.urandom(100_000))
    before = content_of(bench.archive)
    bench.made("m", b"content")
    with no_file_beyond(50_000):
        error = bench.refused(Way.OUT, "m")
    assert f"'{bench.archive}' could not be written: File too large" in error.reason
    assert content_of(bench.archive) == before


def test_what_another_program_put_there_meanwhile_is_not_overwritten(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.stager.move(bench.made("m", b"content"))

    def meddling() -> None:
        other = bench.archive.with_name("other")
        with zipfile.ZipFile(other, "w") as archive:
            archive.writestr("theirs", b"content")
        other.replace(bench.archive)

    monkeypatch.setattr(bench.stager, "_beat", meddling)
    bench.made("n", b"content")
    error = bench.refused(Way.OUT, "n")
    assert "was replaced or removed by a program that does not take turns" in error.reason
    assert error.again
    assert set(content_of(bench.archive)) == {"theirs"}


def test_what_changes_while_it_is_packed_is_refused(bench: Bench) -> None:
    plan = bench.made("m", bytes(3 * 2**20))

    def meddling() -> None:
        with plan.placed.as_path().open("ab") as file:
            file.write(b"more")

    bench.meanwhile(meddling)
    with pytest.raises(StagingError, match="was changed while it was packed") as caught:
        bench.stager.move(plan)
    assert caught.value.again
    assert not bench.archive.exists()


def test_one_that_fails_midway_leaves_no_bytes_among_the_others(
    benches: Callable[..., Bench],
) -> None:
    bench = benches(compression="stored")
    plans = [bench.made(name, name.encode() * 2_000_000) for name in "abc"]
    bench.context.unwanted.add(plans[1].file.url)
    outcomes = bench.stager.move_all(plans)
    assert [outcome is None for outcome in outcomes] == [True, False, True]
    assert content_of(bench.archive) == {name: name.encode() * 2_000_000 for name in "ac"}
    assert bench.archive.stat().st_size < 4_001_000


def test_what_could_not_be_packed_takes_no_room(tmp_path: Path) -> None:
    path = tmp_path / "made"
    path.write_bytes(os.urandom(3 * 2**20))
    settings = Zip(compression="stored")
    with (tmp_path / "shelf").open("w+b") as shelf, path.open("rb") as made:
        packed = pack(made, "m", shelf, settings, lambda _done, _total: None)
        size = shelf.seek(0, os.SEEK_END)
        assert (packed.entry.start, packed.size) == (0, size)

        def unwanted(done: int, _total: int) -> None:
            if done:
                raise StagingError("zip:///a.zip/m", Way.OUT, "Nobody waits for it.")

        made.seek(0)
        with pytest.raises(StagingError, match="Nobody waits"):
            pack(made, "n", shelf, settings, unwanted)
        assert shelf.seek(0, os.SEEK_END) == size


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_what_a_task_left_that_is_no_file_of_its_own(bench: Bench, kind: str) -> None:
    path = bench.plan(Way.OUT, "m").placed.as_path()
    if kind == "link":
        path.symlink_to("/etc/passwd")
    else:
        path.mkdir()
    error = bench.refused(Way.OUT, "m")
    assert ("outside of" if kind == "link" else "is a folder") in error.reason
    assert not error.again
    assert not bench.archive.exists()
