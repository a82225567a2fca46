"""A crew, driven by an owner who is this test: no thread of its own, and every job ends once."""

import errno
import gc
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from pickle import PickleBuffer
from typing import Any

import pytest

from weft.calls.call import Call, Definition
from weft.calls.failures import error_of
from weft.calls.packing import Packer
from weft.calls.running import ERROR, VALUE, value_of
from weft.errors import SerializationError
from weft.values.task import Resources
from weft.workers import crew
from weft.workers.crew import (
    Crew,
    CrewSettings,
    End,
    Fate,
    Job,
    Ran,
    Said,
    Used,
    Watched,
    WorkerStatus,
)
from weft.workers.process import handle_of

BOUND = 60.0


class PlainJob(Job):
    """Packed when it is dealt."""

    __slots__ = ("args", "function")
    function: Callable[..., Any]
    args: tuple[Any, ...]

    def call(self) -> Call:
        return Packer().pack(self.function, self.args, {}, self.name)


class PackedJob(Job):
    """Packed by somebody else, long before."""

    __slots__ = ("packed",)
    packed: Call

    def call(self) -> Call:
        return self.packed


class Owner:
    """Has the loop, and writes down what it is told."""

    def __init__(self, settings: CrewSettings) -> None:
        self.selector = selectors.DefaultSelector()
        self.crew = Crew(settings, self.selector, self)
        self.results: dict[Any, Ran] = {}
        self.ends: dict[Any, End] = {}
        self.returned: list[Any] = []
        self.said: list[tuple[Any, Any]] = []
        self.used: list[tuple[Any, Any]] = []
        self.failure = ""
        self._next = 0

    # What the crew calls.

    def crew_told(self, said: Sequence[Said], used: Sequence[Used]) -> None:
        for job, row in said:
            assert not self.over(job.id)
            self.said.append((job.id, row))
        for job, sample in used:
            assert not self.over(job.id)
            self.used.append((job.id, sample))

    def crew_results(self, results: Sequence[Ran]) -> None:
        for ran in results:
            assert not self.over(ran[0].id)
            self.results[ran[0].id] = ran

    def crew_ends(self, ends: Sequence[End]) -> None:
        for end in ends:
            assert not self.over(end.job.id)
            self.ends[end.job.id] = end

    def crew_returns(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            assert not self.over(job.id)
            self.returned.append(job.id)

    def crew_failed(self, reason: str) -> None:
        self.failure = reason

    # What tests call.

    def add(self, function: Callable[..., Any], *args: Any, **options: Any) -> PlainJob:
        self._next += 1
        job = PlainJob(self._next, function.__name__, **options)
        job.function, job.args = function, args
        self.crew.add([job])
        return job

    def over(self, number: Any) -> bool:
        return number in self.results or number in self.ends or number in self.returned

    def turn(self) -> None:
        wait = self.crew.until_next()
        for key, mask in self.selector.select(0.02 if wait is None else min(wait, 0.02)):
            assert isinstance(key.data, Watched)
            self.crew.handle(key, mask)
        self.crew.tick(time.monotonic())

    def until(self, what: Callable[[], Any], timeout: float = BOUND) -> None:
        end = time.monotonic() + timeout
        while not what():
            assert time.monotonic() < end, f"not within {timeout} s"
            self.turn()

    def value(self, job: Job) -> Any:
        self.until(lambda: self.over(job.id))
        _, kind, head, buffers, *_ = self.results[job.id]
        assert kind == VALUE, error_of(head)
        return value_of(head, buffers)

    def end_of(self, job: Job) -> End:
        self.until(lambda: self.over(job.id))
        return self.ends[job.id]

    def close(self, timeout: float = 0.0) -> None:
        self.crew.close(timeout)
        self.until(lambda: self.crew.closed, timeout + BOUND)


@pytest.fixture
def hire(tmp_path: Path) -> Iterator[Callable[..., Owner]]:
    """Makes crews, each of which must leave nothing behind."""
    owners: list[Owner] = []
    before = set(Path("/proc/self/fd").iterdir())

    def make(*, start: bool = True, **options: Any) -> Owner:
        options.setdefault("max_workers", 2)
        folder = tmp_path / f"crew-{len(owners)}"
        folder.mkdir()
        owner = Owner(CrewSettings(folder=folder, **options))
        owners.append(owner)
        if start:
            owner.crew.start()
        return owner

    yield make
    for owner in owners:
        owner.crew.end()
        owner.crew.end()
        assert not owner.selector.get_map()
        owner.selector.close()
    assert set(Path("/proc/self/fd").iterdir()) <= before


def double(number: int) -> int:
    return 2 * number


def where() -> tuple[int, set[int], str]:
    return os.getpid(), os.sched_getaffinity(0), os.environ.get("CUDA_VISIBLE_DEVICES", "-")


def fail() -> None:
    raise ValueError("no luck")


def leave() -> None:
    os._exit(7)


def collects() -> tuple[bool, tuple[int, int, int]]:
    import gc

    return gc.isenabled(), gc.get_threshold()


def wait_for(gate: str, beat: str) -> int:
    import time

    Path(beat).touch()
    while not Path(gate).exists():
        time.sleep(0.002)
    return os.getpid()


# -------------------------------------------------------------------------------------- results


def test_results_come_as_they_are_and_are_not_opened(hire: Any) -> None:
    owner = hire()
    before = time.time()
    job = owner.add(double, 21)
    assert owner.value(job) == 42
    same, kind, head, _, took, place, begun = owner.results[job.id]
    assert same is job
    assert kind == VALUE
    assert isinstance(head, bytes)
    assert 0 <= took < 30, "that is no time in seconds"
    assert place.startswith("worker ")
    assert before <= begun <= begun + took <= time.time()


def test_an_error_is_a_result(hire: Any) -> None:
    owner = hire()
    job = owner.add(fail)
    owner.until(lambda: owner.over(job.id))
    _, kind, head, *_ = owner.results[job.id]
    assert kind == ERROR
    assert "no luck" in str(error_of(head))


def test_many_jobs_each_end_once(hire: Any) -> None:
    owner = hire()
    jobs = [owner.add(double, n) for n in range(2000)]
    assert [owner.value(job) for job in jobs] == [2 * n for n in range(2000)]
    assert owner.crew.empty


def test_calls_that_came_as_bytes_are_forwarded_as_bytes(hire: Any) -> None:
    owner = hire()
    call = Packer().pack(len, (bytearray(200_000),), {})
    assert call.function is not None
    definition = Definition(call.function.blob)
    buffers = [PickleBuffer(bytes(buffer.raw())) for buffer in call.buffers]
    job = PackedJob("anything", "len")
    job.packed = Call(definition, (), call.head, buffers)
    owner.crew.add([job])
    assert owner.value(job) == 200_000


def test_tasks_find_their_garbage_collected_as_by_any_python(hire: Any) -> None:
    owner = hire(max_workers=1)

    assert owner.value(owner.add(collects)) == (True, gc.get_threshold())


# ------------------------------------------------------------------------- ends without a result


def test_a_worker_that_dies_ends_its_job_with_its_last_words(hire: Any) -> None:
    owner = hire()
    end = owner.end_of(owner.add(leave))
    assert end.fate is Fate.KILLED
    assert "exit code 7" in end.loss
    assert "'leave' (1)" in end.loss
    crash = owner.end_of(owner.add(os.abort))
    assert "SIGABRT" in crash.loss
    assert "Fatal Python error" in crash.words
    assert owner.value(owner.add(double, 1)) == 2


def test_a_job_that_cannot_be_packed_ends_with_the_error(hire: Any) -> None:
    owner = hire()
    bad, good = owner.add(double, (n for n in [1])), owner.add(double, 1)
    end = owner.end_of(bad)
    assert end.fate is Fate.UNPACKABLE
    assert isinstance(end.error, SerializationError)
    assert owner.value(good) == 2


def test_a_job_that_takes_too_long_is_timed_out(hire: Any, tmp_path: Path) -> None:
    owner = hire()
    job = owner.add(wait_for, str(tmp_path / "gate"), str(tmp_path / "beat"), walltime=0.2)
    assert owner.end_of(job).fate is Fate.TIMED_OUT


def test_jobs_are_cancelled_whether_they_wait_or_run(hire: Any, tmp_path: Path) -> None:
    owner = hire(max_workers=1)
    gate, beat = tmp_path / "gate", tmp_path / "beat"
    running, waiting, other = (
        owner.add(wait_for, str(gate), str(beat)),
        owner.add(double, 1),
        owner.add(double, 2),
    )
    owner.until(beat.exists)
    owner.crew.drop([running, waiting])
    assert owner.end_of(waiting).fate is Fate.CANCELLED
    assert not owner.over(running.id)
    owner.crew.cancel([running, waiting])
    assert owner.end_of(running).fate is Fate.CANCELLED
    assert owner.value(other) == 4
    owner.crew.cancel([other])
    assert owner.crew.empty


def test_a_worker_is_killed_by_its_number(hire: Any, tmp_path: Path) -> None:
    owner = hire(max_workers=1)
    beat = tmp_path / "beat"
    job = owner.add(wait_for, str(tmp_path / "gate"), str(beat))
    owner.until(beat.exists)
    assert owner.crew.kill_worker(1, "A test wants it.")
    assert not owner.crew.kill_worker(99)
    assert "A test wants it." in owner.end_of(job).loss


def test_workers_that_never_start_are_told_and_jobs_given_back(hire: Any, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text("import os; os.write(2, b'no licence'); os._exit(4)")
    owner = hire(start=False, environment={"PYTHONPATH": str(broken)})
    job = owner.add(double, 1)
    owner.crew.start()
    owner.until(lambda: owner.failure)
    assert "3 workers in a row did not start" in owner.failure
    assert "no licence" in owner.failure
    assert owner.returned == [job.id]
    late = owner.add(double, 2)
    owner.until(lambda: late.id in owner.returned)


def _barred(folder: Path, words: str) -> tuple[Path, dict[str, str]]:
    """While a file is there, workers do this instead of starting."""
    bar = folder / "bar"
    place = folder / "barred"
    place.mkdir()
    (place / "sitecustomize.py").write_text(
        f"import os, time\nwhile os.path.exists({str(bar)!r}):\n    {words}\n"
    )
    return bar, {"PYTHONPATH": str(place)}


def test_starting_workers_that_somebody_kills_are_started_again(hire: Any, tmp_path: Path) -> None:
    bar, environment = _barred(tmp_path, "time.sleep(0.01)")
    owner = hire(environment=environment)
    owner.until(lambda: owner.crew.ready == 2)
    bar.touch()
    killed: set[int] = set()

    def others() -> set[int]:
        return {worker.pid for worker in owner.crew.status().each} - killed

    while len(killed) < 12:
        for pid in others():
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        owner.until(lambda: owner.failure or others())
        assert owner.failure == ""
    bar.unlink()
    assert owner.value(owner.add(double, 4)) == 8


def test_workers_that_are_always_killed_as_they_start_are_told_in_bounded_time(
    hire: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "_KILLED_LONGEST", 0.01)
    bar, environment = _barred(tmp_path, "os.kill(os.getpid(), 9)")
    owner = hire(environment=environment)
    owner.until(lambda: owner.crew.ready == 2)
    bar.touch()
    for worker in owner.crew.status().each:
        owner.crew.kill_worker(worker.number)
    job = owner.add(double, 1)
    owner.until(lambda: owner.failure)
    assert "12 workers in a row did not start" in owner.failure
    assert "SIGKILL" in owner.failure
    assert owner.returned == [job.id]


# --------------------------------------------------------------------------- what workers print


def chatter(first: str, size: int, last: str) -> int:
    """Prints much, on both ways, by itself and by a command."""
    os.write(1, first.encode() + b"\n")
    for _ in range(size // 65536):
        os.write(1, b"." * 65535 + b"\n")
    os.write(2, b"an error\n")
    subprocess.run(["/bin/echo", last], check=True)
    return os.getpid()


def test_of_what_workers_print_a_bounded_part_is_kept(hire: Any, tmp_path: Path) -> None:
    owner = hire(max_workers=1, output=1_000_000)
    owner.value(owner.add(chatter, "the first", 64 << 20, "the last"))
    owner.close()
    owner.crew.end()
    files = sorted(tmp_path.rglob("slot-0.out*"))
    kept = b"".join(one.read_bytes() for one in files)
    assert len(kept) < 1_000_100
    assert kept.startswith(b"the first\n")
    assert kept.endswith(b"an error\nthe last\n")
    assert re.search(rb"\n\[66,\d{3},\d{3} bytes are left out here\]\n", kept)


def test_what_a_worker_printed_last_is_kept_whatever_ends_it(hire: Any, tmp_path: Path) -> None:
    owner = hire(max_workers=1, output=1_000_000)
    assert owner.end_of(owner.add(print_and_die)).fate is Fate.KILLED
    owner.value(owner.add(chatter, "another", 0, "worker"))
    [file] = tmp_path.rglob("slot-0.out")
    owner.until(lambda: file.read_bytes() == b"last words\nanother\nan error\nworker\n")


def print_and_die() -> None:
    os.write(1, b"last words\n")
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_closes_its_output_goes_on(hire: Any) -> None:
    owner = hire(max_workers=1, output=1_000_000)
    owner.value(owner.add(close_output))
    turns, begin = 0, time.monotonic()
    job = owner.add(time.sleep, 0.3)
    while not owner.over(job.id):
        owner.turn()
        turns += 1
    # Nothing that is always ready keeps the owner awake: a turn takes a fiftieth of a second.
    assert turns < 100 + 2 * 50 * (time.monotonic() - begin)


def close_output() -> None:
    os.close(1)
    os.close(2)


# ------------------------------------------------------------------------ status, drain, close


def test_status_says_what_each_worker_runs(hire: Any, tmp_path: Path) -> None:
    owner = hire()
    gate, beat = tmp_path / "gate", tmp_path / "beat"
    job = owner.add(wait_for, str(gate), str(beat))
    owner.until(lambda: beat.exists() and owner.crew.ready == 2)
    status = owner.crew.status()
    assert (status.workers, status.running, status.waiting) == (2, 1, 0)
    states = {worker.state: worker for worker in status.each}
    assert set(states) == {"working", "idle"}
    busy: WorkerStatus = states["working"]
    assert busy.job is job
    assert busy.held == 1
    gate.touch()
    assert owner.value(job) == busy.pid


def test_a_crew_that_drains_finishes_what_it_began_and_gives_back_the_rest(
    hire: Any, tmp_path: Path
) -> None:
    owner = hire(max_workers=1)
    gate, beat = tmp_path / "gate", tmp_path / "beat"
    job = owner.add(wait_for, str(gate), str(beat))
    owner.until(beat.exists)
    waiting = [owner.add(double, n) for n in range(3)]
    owner.crew.drain()
    late = owner.add(double, 3)
    owner.until(lambda: len(owner.returned) == 4)
    assert owner.returned == [other.id for other in [*waiting, late]]
    assert not owner.crew.empty
    gate.touch()
    assert owner.value(job) > 0
    assert owner.crew.empty
    owner.close()


def test_what_a_dying_worker_had_not_begun_is_given_back_while_draining(
    hire: Any, tmp_path: Path
) -> None:
    # However slow the machine is just now, that is short.
    owner = hire(max_workers=1, prefetch=60.0)
    for job in [owner.add(sometimes_long, "", "") for _ in range(50)]:
        owner.value(job)
    gate, beat = tmp_path / "gate", tmp_path / "beat"
    job = owner.add(sometimes_long, str(gate), str(beat))
    behind = [owner.add(sometimes_long, "", "") for _ in range(3)]
    owner.until(lambda: beat.exists() and owner.crew.status().each[0].held == 4)
    owner.crew.drain()
    os.kill(owner.crew.status().each[0].pid, signal.SIGKILL)
    assert owner.end_of(job).fate is Fate.KILLED
    assert owner.returned == [other.id for other in behind]
    assert owner.crew.empty


def sometimes_long(gate: str, beat: str) -> None:
    if gate:
        wait_for(gate, beat)


def test_close_lets_jobs_end_and_a_second_one_makes_haste(hire: Any, tmp_path: Path) -> None:
    owner = hire(max_workers=1)
    beat = tmp_path / "beat"
    job = owner.add(wait_for, str(tmp_path / "gate"), str(beat))
    owner.until(beat.exists)
    owner.crew.close(60)
    owner.turn()
    assert not owner.crew.closed
    begin = time.monotonic()
    owner.close(0)
    assert time.monotonic() - begin < BOUND
    assert owner.ends[job.id].fate is Fate.KILLED


def test_the_end_of_a_crew_in_the_middle_of_everything_ends_every_job(
    hire: Any, tmp_path: Path
) -> None:
    owner = hire(max_workers=1)
    beat = tmp_path / "beat"
    running = owner.add(wait_for, str(tmp_path / "gate"), str(beat))
    owner.until(beat.exists)
    waiting = owner.add(double, 1)
    owner.crew.end()
    assert owner.ends[running.id].fate is Fate.LOST
    assert owner.returned == [waiting.id]


# -------------------------------------------------------------------------------------- resources


def test_a_job_that_needs_more_than_there_is_ends_at_once(hire: Any) -> None:
    owner = hire(cores=4, memory=100)
    end = owner.end_of(owner.add(double, 1, needs=Resources(cores=8, accelerators=1)))
    assert end.fate is Fate.IMPOSSIBLE
    assert "needs 8 cores, 1 accelerators; all that there is: 4 cores, 0 accelerators" in end.loss


def test_a_job_of_all_cores_runs_alone(hire: Any, tmp_path: Path) -> None:
    owner = hire(cores=2)
    gate, beat = tmp_path / "gate", tmp_path / "beat"
    owner.until(lambda: owner.crew.ready == 2)
    whole = owner.add(wait_for, str(gate), str(beat), needs=Resources(cores=2))
    owner.until(beat.exists)
    small = owner.add(double, 1)
    for _ in range(10):
        owner.turn()
    assert not owner.over(small.id)
    gate.touch()
    assert owner.value(small) == 2
    assert owner.value(whole) > 0


def test_workers_have_accelerators_of_their_own_and_big_jobs_those_of_all(hire: Any) -> None:
    owner = hire(accelerators=("a", "b"), prefetch=0)
    owner.until(lambda: owner.crew.ready == 2)
    assert {worker.accelerators for worker in owner.crew.status().each} == {("a",), ("b",)}
    assert owner.value(owner.add(where, needs=Resources(accelerators=1)))[2] in {"a", "b"}
    both = [owner.add(where, needs=Resources(accelerators=2)) for _ in range(2)]
    seen = [owner.value(job) for job in both]
    assert [devices for _, _, devices in seen] == ["a,b", "a,b"]
    assert seen[0][0] == seen[1][0]  # the worker that was born for the first one stays
    assert owner.value(owner.add(where))[2] in {"a", "b"}
    each = {("a",), ("b",)}
    owner.until(lambda: {worker.accelerators for worker in owner.crew.status().each} == each)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="takes two processors")
def test_workers_are_pinned_to_processors_and_big_jobs_to_those_of_all(hire: Any) -> None:
    first, second = sorted(os.sched_getaffinity(0))[:2]
    owner = hire(cores=2, affinity="block", cpus=(first, second))
    owner.until(lambda: owner.crew.ready == 2)
    for worker in owner.crew.status().each:
        assert os.sched_getaffinity(worker.pid) == set(worker.cpus)
    assert {worker.cpus for worker in owner.crew.status().each} == {(first,), (second,)}
    assert owner.value(owner.add(where, needs=Resources(cores=2)))[1] == {first, second}


def test_a_big_job_whose_worker_is_killed_frees_its_slots(hire: Any, tmp_path: Path) -> None:
    owner = hire(accelerators=("a", "b"))
    beat = tmp_path / "beat"
    gate = str(tmp_path / "gate")
    both = owner.add(wait_for, gate, str(beat), needs=Resources(accelerators=2))
    owner.until(beat.exists)
    small = owner.add(where)
    owner.crew.cancel([both])
    assert owner.end_of(both).fate is Fate.CANCELLED
    assert owner.value(small)[2] in {"a", "b"}
    owner.until(lambda: owner.crew.ready == 2)


def test_workers_know_their_number_and_their_slot(hire: Any) -> None:
    owner = hire(max_workers=1)
    assert owner.value(owner.add(os.getenv, "WEFT_WORKER_SLOT")) == "0"
    owner.crew.kill_worker(1)
    assert owner.value(owner.add(os.getenv, "WEFT_WORKER")) in {"1", "2"}


# ---------------------------------------------------------------------------- workers when wanted


def test_workers_beyond_the_first_are_started_when_jobs_wait_for_them(
    hire: Any, tmp_path: Path
) -> None:
    owner = hire(max_workers=3, at_first=1, rest_after=3600.0)
    owner.until(lambda: owner.crew.ready)
    assert len(owner.crew.status().each) == 1

    gate = tmp_path / "gate"
    jobs = []
    for number in (1, 2, 3, 4):
        jobs.append(owner.add(wait_for, str(gate), str(tmp_path / f"beat-{number}")))
        owner.until(lambda: owner.crew.running == min(len(jobs), 3))
        assert len(owner.crew.status().each) == min(len(jobs), 3)
    gate.touch()

    assert len({owner.value(job) for job in jobs}) == 3


def test_workers_that_nobody_waits_for_are_started_a_while_after_the_first(hire: Any) -> None:
    owner = hire(max_workers=3, at_first=1, rest_after=0.01)

    owner.until(lambda: owner.crew.ready == 3)


def test_jobs_that_are_there_before_any_worker_start_one_for_each(
    hire: Any, tmp_path: Path
) -> None:
    owner = hire(max_workers=8, at_first=1, rest_after=3600.0)
    jobs = [
        owner.add(wait_for, str(tmp_path / "gate"), str(tmp_path / f"beat-{number}"))
        for number in (1, 2, 3)
    ]
    owner.until(lambda: owner.crew.running == 3)
    assert len(owner.crew.status().each) == 3
    (tmp_path / "gate").touch()
    for job in jobs:
        owner.value(job)


def test_a_worker_that_is_replaced_is_no_reason_for_another(hire: Any) -> None:
    owner = hire(max_workers=3, at_first=1, rest_after=3600.0)

    for _ in range(2):
        assert owner.end_of(owner.add(leave)).fate is Fate.KILLED
        owner.until(lambda: owner.crew.ready)

    assert len(owner.crew.status().each) == 1


def test_a_job_that_needs_several_slots_finds_all_workers(hire: Any) -> None:
    owner = hire(max_workers=3, at_first=1, rest_after=3600.0, cores=3)

    assert owner.value(owner.add(double, 4, needs=Resources(cores=2))) == 8
    owner.until(lambda: owner.crew.ready == 3)


def test_a_first_worker_that_never_starts_is_three_bad_starts(hire: Any) -> None:
    owner = hire(max_workers=3, at_first=1, environment={"PYTHONHOME": "/nowhere"})

    owner.until(lambda: owner.failure)

    assert "3 workers in a row did not start" in owner.failure


# ------------------------------------------------------------------- systems without some of it


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_a_kernel_without_handles_of_processes_is_lived_with(
    hire: Any, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refused(pid: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pidfd_open", refused, raising=False)
    owner = hire(max_workers=1)

    assert owner.end_of(owner.add(leave)).fate is Fate.KILLED
    assert owner.value(owner.add(double, 3)) == 6
    owner.close()


def test_no_room_for_the_handle_of_a_process_is_no_such_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(pid: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "pidfd_open", full, raising=False)

    with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
        handle_of(os.getpid())
