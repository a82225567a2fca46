"""The log keeps what it is given, decides no task's fate, and is read whatever happened to it."""

import errno
import os
import pickle
import queue
import random
import stat
import sys
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weft.dataflow import checkpoint
from weft.dataflow.checkpoint import (
    FILE_NAME,
    CheckpointIndex,
    CheckpointWriter,
    earlier_logs,
    load,
    open_checkpoint,
)
from weft.errors import CheckpointError
from weft.interfaces.serializer import Buffer, Serializer
from weft.values.files import File


class Pickles(Serializer):
    id = "pickle5"

    def pack(self, value: Any) -> Sequence[Buffer]:
        return (pickle.dumps(value, protocol=5),)

    def unpack(self, buffers: Sequence[Buffer]) -> Any:
        return pickle.loads(buffers[0])


class Apart(Serializer):
    """Leaves large data where it is."""

    id = "apart"

    def pack(self, value: Any) -> Sequence[Buffer]:
        buffers: list[pickle.PickleBuffer] = []
        head = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
        return (head, *(memoryview(buffer) for buffer in buffers))

    def unpack(self, buffers: Sequence[Buffer]) -> Any:
        return pickle.loads(buffers[0], buffers=buffers[1:])


PICKLE = (Pickles(),)


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


class Log:
    """A writer with everything that it says."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.path = path
        self.back: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.warnings: list[str] = []
        options.setdefault("serializers", PICKLE)
        options.setdefault("recorded", self.came_back)
        self.writer = CheckpointWriter(path, warn=self.warnings.append, **options)

    def came_back(self, ids: Sequence[int]) -> None:
        for ticket in ids:
            self.back.put(ticket)

    def keep(self, number: int, value: Any, outputs: Sequence[File] = ()) -> None:
        self.writer.keep(number, key(number), value, outputs)

    def write(self, number: int, value: Any, outputs: Sequence[File] = ()) -> None:
        """Keep, and wait for the ticket."""
        self.keep(number, value, outputs)
        assert self.back.get(timeout=60) == number

    def read(self) -> CheckpointIndex:
        return load([self.path], serializers=PICKLE)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    tmp_path.chmod(0o700)
    log = Log(tmp_path / FILE_NAME)
    yield log
    log.writer.close()


def value_of(index: CheckpointIndex, number: int) -> Any:
    found = index.read(key(number))
    assert found is not None
    return found.value


# ---------------------------------------------------------------------------------------- writing


def test_a_result_is_in_the_log_before_its_ticket_is_back(tmp_path: Path) -> None:
    seen: list[bool] = []
    done = threading.Event()

    def recorded(ids: Sequence[int]) -> None:
        index = load([tmp_path / FILE_NAME], serializers=PICKLE)
        seen.extend(key(ticket) in index for ticket in ids)
        done.set()

    log = Log(tmp_path / FILE_NAME, recorded=recorded)
    log.keep(1, "value")
    assert done.wait(60)
    log.writer.close()

    assert seen == [True]


def test_every_ticket_comes_back_and_every_value_is_found(log: Log) -> None:
    values: list[Any] = [
        None,
        1,
        "text",
        b"\xf7wR\n" * 9,
        [1, {"a": (2.5, None)}],
        b"x" * 3_000_000,
        "",
    ]
    for number, value in enumerate(values):
        log.keep(number, value)
    log.writer.close()

    index = log.read()

    assert sorted(log.back.get(timeout=60) for _ in values) == list(range(len(values)))
    assert [value_of(index, number) for number in range(len(values))] == values
    assert index.report.lines() == []
    assert log.writer.counts().records == len(values)
    assert log.writer.counts().size == log.path.stat().st_size


def test_of_two_records_of_one_key_the_later_counts(log: Log) -> None:
    log.write(1, "first")
    log.write(1, "second")

    assert value_of(log.read(), 1) == "second"
    assert len(log.read()) == 1


def test_the_log_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        log = Log(tmp_path / FILE_NAME)
    finally:
        os.umask(before)
    log.writer.close()

    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["missing/checkpoint.weft", "there"])
def test_a_log_that_cannot_be_made_is_an_error_at_the_start(tmp_path: Path, name: str) -> None:
    (tmp_path / "there").write_text("something")

    with pytest.raises(CheckpointError, match="run_dir"):
        Log(tmp_path / name)

    assert (tmp_path / "there").read_text() == "something"


def test_a_result_that_cannot_be_pickled_is_tried_with_the_next_serializer(tmp_path: Path) -> None:
    class Reprs(Pickles):
        id = "repr"

        def pack(self, value: Any) -> Sequence[Buffer]:
            return (repr(value).encode(),)

        def unpack(self, buffers: Sequence[Buffer]) -> Any:
            return bytes(buffers[0]).decode()

    both = (Pickles(), Reprs())
    log = Log(tmp_path / FILE_NAME, serializers=both)
    log.write(1, iter)
    log.write(2, {}.keys())
    log.writer.close()
    index = load([log.path], serializers=both)

    assert value_of(index, 1) is iter
    assert value_of(index, 2) == "dict_keys([])"
    assert log.warnings == []


class Bomb:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [ValueError("odd"), SystemExit(1), KeyboardInterrupt(), RecursionError(), MemoryError()],
)
def test_a_result_that_cannot_be_stored_costs_its_task_nothing(
    log: Log, error: BaseException
) -> None:
    for number in range(3):
        log.write(number, Bomb(error))
    log.write(3, "fine")

    assert log.writer.counts().unstorable == 3
    assert len(log.warnings) == 1
    assert "'Bomb' (task 0)" in log.warnings[0]
    assert type(error).__name__ in log.warnings[0]
    assert list(map(log.read().__contains__, map(key, range(4)))) == [False, False, False, True]


def test_a_result_nested_too_deeply_to_be_pickled_costs_its_task_nothing(log: Log) -> None:
    deep: list[Any] = []
    for _ in range(50_000):
        deep = [deep]
    log.write(1, deep)
    log.write(2, "fine")

    assert log.writer.counts().unstorable == 1
    assert value_of(log.read(), 2) == "fine"


def test_a_kernel_that_cannot_be_told_does_not_end_the_thread(tmp_path: Path) -> None:
    told: queue.SimpleQueue[int] = queue.SimpleQueue()

    def recorded(ids: Sequence[int]) -> None:
        told.put(len(ids))
        raise RuntimeError("no")

    log = Log(tmp_path / FILE_NAME, recorded=recorded)
    for number in range(2):
        log.keep(number, number)
        assert told.get(timeout=60) == 1
    log.writer.close()

    assert len(log.read()) == 2
    assert len(log.warnings) == 1


def test_closing_writes_what_was_taken_and_can_be_done_again(log: Log) -> None:
    for number in range(1000):
        log.keep(number, number)

    first = log.writer.close()

    assert first.records == 1000
    assert first.unfinished == 0
    assert log.writer.close() == first
    assert "weft-checkpoint" not in {thread.name for thread in threading.enumerate()}
    assert len(log.read()) == 1000


def test_after_closing_tickets_come_back_at_once(log: Log) -> None:
    log.writer.close()

    log.keep(1, "late")

    assert log.back.get_nowait() == 1
    assert log.writer.counts().refused == 1


# ------------------------------------------------------------------------------------------ disks


class Disk:
    """The real one, with faults by hand."""

    def __init__(self) -> None:
        self.room = 10**12
        self.cuts = True
        self.syncs = True
        self.gate = threading.Event()
        self.gate.set()
        self.reached = threading.Event()
        self.calls: list[str] = []

    def pwrite(self, fd: int, data: Buffer, offset: int) -> int:
        self.calls.append("pwrite")
        self.reached.set()
        self.gate.wait(60)
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = os.pwrite(fd, memoryview(data)[: self.room], offset)
        self.room -= written
        return written

    def ftruncate(self, fd: int, length: int) -> None:
        self.calls.append("ftruncate")
        if not self.cuts:
            raise OSError(errno.EIO, "Input/output error")
        os.ftruncate(fd, length)

    def fdatasync(self, fd: int) -> None:
        self.calls.append("fdatasync")
        if not self.syncs:
            raise OSError(errno.EIO, "Input/output error")
        os.fdatasync(fd)


def test_on_a_full_disk_tasks_go_on_and_writing_resumes_when_there_is_room(tmp_path: Path) -> None:
    disk = Disk()
    log = Log(tmp_path / FILE_NAME, disk=disk)
    log.write(0, "before")
    size = log.path.stat().st_size
    disk.room = 30  # not even a header of a record
    for number in (1, 2, 3):
        log.write(number, "lost")
        assert log.path.stat().st_size == size

    disk.room = 10**9
    log.write(4, "after")
    log.writer.close()
    index = log.read()

    assert index.report.lines() == []
    assert [key(number) in index for number in range(5)] == [True, False, False, False, True]
    assert log.writer.counts().failed == 3
    assert len(log.warnings) == 1
    assert "No space left on device" in log.warnings[0]


def test_a_torn_record_that_cannot_be_cut_off_hides_none_after_it(tmp_path: Path) -> None:
    disk = Disk()
    log = Log(tmp_path / FILE_NAME, disk=disk)
    log.write(0, "before")
    disk.room, disk.cuts = 1000, False
    log.write(1, b"x" * 5000)
    disk.room = 10**9
    log.write(2, "after")
    log.writer.close()

    index = log.read()

    assert [key(number) in index for number in range(3)] == [True, False, True]
    assert value_of(index, 2) == "after"


def test_a_large_result_that_does_not_fit_takes_no_small_one_with_it(tmp_path: Path) -> None:
    disk = Disk()
    log = Log(tmp_path / FILE_NAME, disk=disk)
    disk.gate.clear()
    log.keep(0, "holds the thread")
    assert disk.reached.wait(60)
    disk.room = 100_000
    for number, value in ((1, "small"), (2, b"x" * 2_000_000), (3, "small")):
        log.keep(number, value)
    disk.gate.set()
    for _ in range(4):
        log.back.get(timeout=60)
    disk.room = 10**9
    log.writer.close()

    index = log.read()

    assert key(1) in index
    assert key(2) not in index
    assert log.writer.counts().failed >= 1


def test_a_disk_that_hangs_is_seen_and_holds_nobody_for_ever(tmp_path: Path) -> None:
    disk, now = Disk(), [100.0]
    log = Log(tmp_path / FILE_NAME, disk=disk, clock=lambda: now[0], patience=30)
    assert log.writer.stalled_for() == 0
    disk.gate.clear()
    disk.reached.clear()
    log.keep(1, "stuck")
    assert disk.reached.wait(60)

    now[0] += 29
    assert log.writer.stalled_for() == 29
    log.keep(2, "waits too")
    now[0] += 2
    log.keep(3, "is not taken")

    assert log.back.get_nowait() == 3
    assert log.writer.waiting == 2
    assert "nothing was written for 31 s" in log.warnings[0]

    counts = log.writer.close(timeout=0.01)
    assert counts.unfinished == 2
    assert "does not answer" in log.warnings[1]

    disk.gate.set()
    counts = log.writer.close()
    assert counts.unfinished == 0
    assert len(log.read()) == 2


def test_when_a_disk_answers_again_results_are_taken_again(tmp_path: Path) -> None:
    disk, now = Disk(), [100.0]
    log = Log(tmp_path / FILE_NAME, disk=disk, clock=lambda: now[0], patience=30)
    disk.gate.clear()
    disk.reached.clear()
    log.keep(1, "stuck")
    assert disk.reached.wait(60)
    now[0] += 31
    log.keep(2, "not taken")
    assert log.back.get_nowait() == 2

    disk.gate.set()
    assert log.back.get(timeout=60) == 1
    log.write(3, "taken")
    log.writer.close()

    assert [key(number) in log.read() for number in (1, 2, 3)] == [True, False, True]


def test_a_full_inbox_takes_no_more(tmp_path: Path) -> None:
    disk = Disk()
    log = Log(tmp_path / FILE_NAME, disk=disk, most_waiting=2)
    disk.gate.clear()
    for number in range(4):
        log.keep(number, number)

    assert [log.back.get_nowait(), log.back.get_nowait()] == [2, 3]
    disk.gate.set()
    assert log.writer.close().records == 2
    assert log.writer.counts().refused == 2
    assert len(log.warnings) == 1


def test_what_was_written_is_synced_in_batches(tmp_path: Path) -> None:
    disk = Disk()
    # The clock stands still, so no sync falls due between the writes.
    log = Log(tmp_path / FILE_NAME, disk=disk, clock=lambda: 100.0, sync_every=60)
    at_start = disk.calls.count("fdatasync")
    for number in range(50):
        log.write(number, number)
    log.writer.close()

    assert disk.calls.count("pwrite") == 51
    assert disk.calls.count("fdatasync") - at_start == 1
    assert disk.calls[-1] == "fdatasync"


def test_a_sync_falls_due_without_further_results(tmp_path: Path) -> None:
    disk = Disk()
    synced = threading.Event()
    really = disk.fdatasync

    def fdatasync(fd: int) -> None:
        really(fd)
        synced.set()

    disk.fdatasync = fdatasync  # type: ignore[method-assign]  # to hear of it
    log = Log(tmp_path / FILE_NAME, disk=disk, sync_every=0.01)
    synced.clear()
    log.write(1, 1)

    assert synced.wait(60)
    log.writer.close()


def test_a_sync_that_fails_is_told_and_nothing_else(tmp_path: Path) -> None:
    disk = Disk()
    log = Log(tmp_path / FILE_NAME, disk=disk)
    disk.syncs = False
    log.write(1, 1)
    log.writer.close()

    assert "Input/output error" in log.warnings[0]
    assert key(1) in log.read()


def test_a_log_that_is_deleted_meanwhile_is_told_of(log: Log) -> None:
    log.path.unlink()
    log.write(1, 1)
    log.writer.close()

    assert "was deleted" in log.warnings[0]


# ---------------------------------------------------------------------------------------- outputs


def test_a_result_counts_only_while_its_files_are_there_as_they_were(
    log: Log, tmp_path: Path
) -> None:
    made = tmp_path / "made file"
    made.write_text("12345")
    log.write(1, "value", [File(made), File("ftp://elsewhere/it")])
    log.write(2, "value", [File(made)])
    log.write(3, "value", [File(made)])

    found = log.read().read(key(1))
    assert found is not None
    assert [(output.path, output.size) for output in found.outputs] == [(str(made), 5)]
    index = log.read()
    made.write_text("")
    assert index.read(key(1)) is None
    made.unlink()
    assert index.read(key(2)) is None
    assert index.counts() == {"outputs": 2}
    assert key(1) not in index
    assert key(3) in index


def test_a_result_whose_files_were_never_there_is_not_stored(log: Log, tmp_path: Path) -> None:
    log.write(1, "value", [File(tmp_path / "missing")])

    assert log.writer.counts().unstorable == 1
    assert key(1) not in log.read()


# ---------------------------------------------------------------------------------------- reading


def test_large_parts_come_back_apart_and_can_be_changed(tmp_path: Path) -> None:
    log = Log(tmp_path / FILE_NAME, serializers=(Apart(),))
    grid = np.arange(300_000.0).reshape(500, 600)
    log.write(1, {"grid": grid, "note": "a"})
    log.writer.close()

    again = value_of(load([log.path], serializers=(Apart(),)), 1)["grid"]

    assert (again == grid).all()
    again[0, 0] = 5


def test_a_value_whose_class_has_moved_is_not_known_and_told_of_once(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("moved")
    exec("class Thing: pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "moved", module)
    for number in (1, 2):
        log.write(number, module.Thing())
    monkeypatch.delitem(sys.modules, "moved")
    told: list[str] = []
    index = load([log.path], serializers=PICKLE, warn=told.append)

    assert index.read(key(1)) is None
    assert index.read(key(2)) is None
    assert index.counts() == {"unloadable": 2}
    assert len(told) == 1
    assert "moved" in told[0]
    assert key(1) not in index


def test_without_the_serializer_that_wrote_a_value_it_is_not_known(log: Log) -> None:
    log.write(1, 1)
    index = load([log.path], serializers=(Apart(),))

    assert index.read(key(1)) is None
    assert index.counts() == {"unloadable": 1}


def test_a_value_that_ends_the_program_when_loaded_is_not_known(log: Log) -> None:
    class Exit:
        def __reduce__(self) -> Any:
            return sys.exit, (3,)

    log.write(1, Exit())

    assert log.read().read(key(1)) is None


def test_the_last_of_several_logs_counts(tmp_path: Path) -> None:
    paths = []
    for run in range(3):
        folder = tmp_path / f"{run}"
        folder.mkdir(mode=0o700)
        log = Log(folder / FILE_NAME)
        log.write(0, f"run {run}")
        log.write(run + 1, "only here")
        log.writer.close()
        paths.append(log.path)

    index = load(paths, serializers=PICKLE, run_dir=tmp_path)

    assert value_of(index, 0) == "run 2"
    assert len(index) == 4
    assert index.report.records == 6


def test_values_are_read_by_many_threads_at_once(log: Log) -> None:
    for number in range(200):
        log.keep(number, [number] * 100)
    log.writer.close()
    index = log.read()
    wrong: list[int] = []

    def read_all() -> None:
        wrong.extend(n for n in range(200) if value_of(index, n) != [n] * 100)

    threads = [threading.Thread(target=read_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert index.counts()["read"] == 800


def problem_of(path: Path) -> str:
    index = load([path], serializers=PICKLE)
    assert len(index) == 0
    return index.report.files[0].problem


def test_an_empty_log_is_no_trouble(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.touch(0o600)

    assert problem_of(path) == ""
    assert load([path], serializers=PICKLE).report.lines() == []


def test_a_file_of_another_kind_is_told_of_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(b"SQLite format 3\0" + bytes(5000))
    path.chmod(0o600)

    assert "no checkpoint of weft" in problem_of(path)
    assert path.stat().st_size == 5016


def test_a_log_of_a_newer_format_is_told_of(log: Log) -> None:
    log.write(1, 1)
    head = checkpoint._HEADER.pack(checkpoint._MAGIC, 2, 0, bytes(8))
    data = head + checkpoint.zlib.crc32(head).to_bytes(4, "little")  # type: ignore[attr-defined]
    log.path.write_bytes(data + log.path.read_bytes()[len(data) :])

    assert "newer weft" in problem_of(log.path)


def test_a_log_that_is_gone_is_told_of(tmp_path: Path) -> None:
    assert problem_of(tmp_path / FILE_NAME) == "it is gone"


def test_records_of_unknown_kinds_are_passed_over(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.write(1, 1)
    monkeypatch.setattr(checkpoint, "_VALUE", 7)
    log.write(2, 2)
    monkeypatch.undo()
    log.write(3, 3)

    index = log.read()

    assert [key(number) in index for number in (1, 2, 3)] == [True, False, True]
    assert index.report.lines() == []


def test_a_log_inside_a_value_is_never_taken_for_one(log: Log, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir(mode=0o700)
    other = Log(folder / FILE_NAME)
    other.write(66, "of another log")
    other.writer.close()
    log.write(1, "one")
    start = log.path.stat().st_size
    log.write(2, other.path.read_bytes())
    log.write(3, "three")
    data = bytearray(log.path.read_bytes())
    data[start + 5] ^= 1
    log.path.write_bytes(data)

    index = log.read()

    assert len(index) == 2
    assert key(66) not in index


def test_damage_is_reported_with_file_and_place(log: Log) -> None:
    places = [log.path.stat().st_size]
    for number in range(5):
        log.write(number, "x" * 100)
        places.append(log.path.stat().st_size)
    data = bytearray(log.path.read_bytes())
    data[places[1] + 70] ^= 1
    log.path.write_bytes(data[:-3])

    index = log.read()

    assert [key(number) in index for number in range(5)] == [True, False, True, True, False]
    length = places[1] - places[0]
    assert index.report.lines() == [
        f"{log.path}: damaged, skipped: {length} bytes from byte {places[1]} on",
        f"{log.path}: the end is not whole: {length - 3} bytes from byte {places[4]} on",
    ]


def test_a_damaged_header_costs_no_record(log: Log) -> None:
    for number in range(3):
        log.write(number, number)
    data = bytearray(log.path.read_bytes())
    data[:24] = os.urandom(24)
    log.path.write_bytes(data)

    index = log.read()

    assert len(index) == 3
    assert index.report.damaged == 1


def test_a_record_damaged_after_loading_is_not_known(log: Log) -> None:
    log.write(1, "x" * 100)
    index = log.read()
    data = bytearray(log.path.read_bytes())
    data[-1] ^= 1
    log.path.write_bytes(data)

    assert index.read(key(1)) is None
    assert index.counts() == {"damaged": 1}


def test_a_log_that_was_exchanged_after_loading_is_not_believed(log: Log) -> None:
    log.write(1, 1)
    index = log.read()
    data = log.path.read_bytes()
    kept = log.path.rename(log.path.with_name("kept"))
    log.path.write_bytes(data)
    log.path.chmod(0o600)

    assert kept.exists()
    assert index.read(key(1)) is None


class Sample:
    """A log of many records of odd sizes, and where each of them lies."""

    def __init__(self, folder: Path, records: int = 40) -> None:
        chance = random.Random(7)
        log = Log(folder / FILE_NAME)
        self.spans: list[tuple[int, int]] = []
        for number in range(records):
            start = log.path.stat().st_size
            log.write(number, chance.randbytes(chance.choice([0, 1, 50, 300, 5000])))
            self.spans.append((start, log.path.stat().st_size))
        log.writer.close()
        self.path = log.path
        self.data = log.path.read_bytes()

    def check(self, data: bytes, touched: Callable[[int, int], bool]) -> None:
        """All records that were not touched are there, no others, and what is there is right."""
        self.path.write_bytes(data)
        index = load([self.path], serializers=PICKLE)
        whole = [n for n, span in enumerate(self.spans) if not touched(*span)]
        assert sorted(int.from_bytes(found, "big") for found in index._places) == whole
        assert all(index.read(key(number)) is not None for number in whole)
        assert bool(index.report.lines()) or len(whole) == len(self.spans)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return Sample(tmp_path_factory.mktemp("sample"))


def test_a_thousand_random_cuts_and_flips_refuse_nothing_and_keep_what_is_whole(
    sample: Sample,
) -> None:
    chance = random.Random(1)
    size = len(sample.data)
    for _ in range(1000):
        end = chance.choice([size, chance.randrange(size + 1)])
        data = bytearray(sample.data[:end])
        flipped = [chance.randrange(end) for _ in range(chance.randrange(6))] if end else []
        for place in flipped:
            data[place] ^= 1 << chance.randrange(8)
        places = {place for place in flipped if data[place] != sample.data[place]}

        sample.check(
            bytes(data),
            lambda start, stop, end=end, places=places: (  # type: ignore[misc]  # bound now
                stop > end or any(start <= place < stop for place in places)
            ),
        )


@given(data=st.data())
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_is_overwritten_with_whatever_the_rest_is_kept(sample: Sample, data: Any) -> None:
    start = data.draw(st.integers(0, len(sample.data) - 1))
    junk = data.draw(st.binary(max_size=200) | st.just(checkpoint._MARKER * 20))
    mixed = (sample.data[:start] + junk + sample.data[start + len(junk) :])[: len(sample.data)]

    sample.check(
        mixed,
        lambda first, last: mixed[first:last] != sample.data[first:last],
    )


@given(data=st.data())
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_bytes_taken_out_or_put_in_cost_only_the_records_they_are_in(
    sample: Sample, data: Any
) -> None:
    start = data.draw(st.integers(0, len(sample.data)))
    length = data.draw(st.integers(0, 3000))
    junk = data.draw(st.binary(max_size=100))
    stop = min(len(sample.data), start + length)
    mixed = sample.data[:start] + junk + sample.data[stop:]
    if start == stop and not junk:
        return

    sample.check(
        mixed,
        lambda first, last: (
            first < max(stop, start + 1) and last > start and not (start == stop and first == start)
        ),
    )


# ------------------------------------------------------------------------------------------ trust


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with a log in it, below a run_dir."""
    folder = tmp_path / "runs" / "0000"
    folder.mkdir(mode=0o700, parents=True)
    folder.parent.chmod(0o700)
    log = Log(folder / FILE_NAME)
    log.write(1, 1)
    log.writer.close()
    return folder


def loaded(run: Path) -> CheckpointIndex:
    run_dir = run.parent
    return load(earlier_logs(run_dir), serializers=PICKLE, run_dir=run_dir)


def test_a_log_of_ones_own_is_loaded(run: Path) -> None:
    assert len(loaded(run)) == 1


@pytest.mark.parametrize("which", ["log", "run folder", "run_dir"])
@pytest.mark.parametrize("more", [0o020, 0o002])
def test_what_others_can_write_is_refused_with_the_command_that_mends_it(
    run: Path, which: str, more: int
) -> None:
    path = {"log": run / FILE_NAME, "run folder": run, "run_dir": run.parent}[which]
    path.chmod(stat.S_IMODE(path.stat().st_mode) | more)

    with pytest.raises(CheckpointError, match=f"chmod go-w '{path}'"):
        loaded(run)

    path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o022)
    assert len(loaded(run)) == 1


def test_what_others_can_only_read_is_loaded(run: Path) -> None:
    (run / FILE_NAME).chmod(0o644)
    run.chmod(0o755)

    assert len(loaded(run)) == 1


@pytest.mark.parametrize("which", ["log", "run folder", "run_dir"])
def test_what_belongs_to_somebody_else_is_refused(
    run: Path, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = {"log": run / FILE_NAME, "run folder": run, "run_dir": run.parent}[which]
    really = os.lstat

    def lstat(asked: Any) -> os.stat_result:
        found = really(asked)
        if Path(asked) != path:
            return found
        fields = list(found)
        fields[stat.ST_UID] = found.st_uid + 1
        return os.stat_result(fields)

    monkeypatch.setattr(os, "lstat", lstat)
    with pytest.raises(CheckpointError, match="belongs to user"):
        loaded(run)


def test_a_link_in_place_of_a_log_is_refused(run: Path) -> None:
    log = run / FILE_NAME
    log.rename(run / "real")
    log.symlink_to(run / "real")

    with pytest.raises(CheckpointError, match="symbolic link"):
        loaded(run)


def test_a_folder_or_a_pipe_in_place_of_a_log_is_refused(run: Path) -> None:
    log = run / FILE_NAME
    log.unlink()
    log.mkdir()
    with pytest.raises(CheckpointError, match="not a file"):
        loaded(run)
    log.rmdir()
    os.mkfifo(log, 0o600)
    with pytest.raises(CheckpointError, match="not a file"):
        loaded(run)


def test_a_link_to_a_run_folder_is_passed_over(run: Path) -> None:
    (run.parent / "latest").symlink_to(run)

    assert earlier_logs(run.parent) == [run / FILE_NAME]


def test_a_run_dir_that_is_a_link_of_the_users_own_is_followed(run: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(run.parent)

    assert len(load(earlier_logs(link), serializers=PICKLE, run_dir=link)) == 1


def test_nothing_is_loaded_when_one_of_several_is_refused(run: Path) -> None:
    folder = run.parent / "0001"
    folder.mkdir(mode=0o700)
    (folder / FILE_NAME).touch()
    (folder / FILE_NAME).chmod(0o666)

    with pytest.raises(CheckpointError, match="0001"):
        loaded(run)


def test_logs_are_found_in_the_order_of_their_runs(tmp_path: Path) -> None:
    for name in ("10", "9", "0100", "b", "empty"):
        (tmp_path / name).mkdir()
        if name != "empty":
            (tmp_path / name / FILE_NAME).touch()
    (tmp_path / "file").touch()

    found = earlier_logs(tmp_path, current=tmp_path / "9")

    assert [path.parent.name for path in found] == ["b", "10", "0100"]
    assert earlier_logs(tmp_path / "missing") == []


# ------------------------------------------------------------------------------------------- both


def test_a_run_finds_what_the_run_before_it_has_left(tmp_path: Path) -> None:
    said: list[tuple[str, str]] = []
    back: list[int] = []
    run_dir = tmp_path / "runs"
    offset = 5
    for run in range(2):
        folder = run_dir / f"{run:04d}"
        folder.mkdir(mode=0o700, parents=True)
        run_dir.chmod(0o700)
        index, writer = open_checkpoint(
            run_dir,
            folder,
            serializer=None,
            recorded=back.extend,
            notice=lambda level, text: said.append((level, text)),
        )
        if run == 0:
            assert len(index) == 0
            writer.keep(1, key(1), {"a": 1})
            writer.keep(2, key(2), lambda x: x + offset)  # only dill takes it
        writer.close()

    assert back == [1, 2]
    assert value_of(index, 1) == {"a": 1}
    assert value_of(index, 2)(1) == 6
    assert said == [("info", "2 results of 1 earlier runs are known.")]
