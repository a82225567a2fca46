"""Samples: what they add up to, when they are taken, and that the last one is never missing."""

import os
import subprocess
import sys
import threading
from typing import Any

import pytest

from weft.workers.sampling import Meter, Sampler, Use, added, schedule

BOUND = 60.0


def test_a_sample_is_what_was_added_since_the_beginning() -> None:
    before, now = Use(), Use()
    before.user, before.read = 1.0, 100
    now.user, now.system, now.resident, now.read, now.processes = 3.5, 0.25, 7, 250, 2
    at, last, user, system, resident, virtual, peak, read, written, processes, gpu = added(
        now, before, 9, 12.0, last=True
    )
    assert (at, last, user, system) == (12.0, True, 2.5, 0.25)
    assert (resident, virtual, peak, read, written) == (7, 0, 9, 150, None)
    assert (processes, gpu) == (2, None)


def test_nothing_is_ever_less_than_nothing() -> None:
    before, now = Use(), Use()
    before.user, before.read, now.read = 2.0, 5, 3
    assert added(now, before, 0, 0.0, last=False)[2] == 0.0
    assert added(now, before, 0, 0.0, last=False)[7] == 0


def test_the_first_comes_soon_and_the_others_each_period() -> None:
    assert [schedule(10.0, taken) for taken in range(4)] == [1.0, 10.0, 20.0, 30.0]
    assert schedule(0.4, 0) == pytest.approx(0.1)


class Fake(Meter):
    """Uses more with each look."""

    def __init__(self) -> None:
        self.looks = 0

    def begin(self) -> Use:
        return Use()

    def measure(self) -> Use:
        self.looks += 1
        use = Use()
        use.user, use.resident, use.processes = float(self.looks), 100 - self.looks, 1
        return use

    def own_peak(self) -> int:
        return 42


class Told:
    """Keeps what is told, and says when there is so much of it."""

    def __init__(self) -> None:
        self.samples: list[tuple[int, Any]] = []
        self._news = threading.Condition()

    def __call__(self, number: int, sample: Any) -> None:
        with self._news:
            self.samples.append((number, sample))
            self._news.notify_all()

    def wait(self, count: int) -> None:
        with self._news:
            assert self._news.wait_for(lambda: len(self.samples) >= count, BOUND)


def test_a_short_task_has_one_sample_that_of_its_end() -> None:
    told = Told()
    sampler = Sampler(600.0, told, Fake())
    for number in (1, 2):
        sampler.begin(number)
        sampler.end()
    sampler.end()
    assert [(number, sample[1]) for number, sample in told.samples] == [(1, True), (2, True)]


def test_a_long_task_has_several_and_the_first_of_them_is_from_its_beginning() -> None:
    told = Told()
    sampler = Sampler(0.05, told, Fake())
    sampler.begin(1)
    told.wait(4)
    sampler.end()
    count = len(told.samples)
    assert [sample[1] for _, sample in told.samples] == [False] * (count - 1) + [True]
    users = [sample[2] for _, sample in told.samples]
    assert users == [float(n) for n in range(1, count + 1)], "one was lost, or came out of order"
    assert {sample[6] for _, sample in told.samples} == {99}, "a peak never falls"
    # It sleeps now; the next task wakes it.
    sampler.begin(2)
    told.wait(count + 2)
    sampler.end()
    assert {number for number, _ in told.samples[count:]} == {2}


_CHILD = "import sys; x = bytearray(60_000_000); print(len(x), flush=True); sys.stdin.read()"


def test_children_count_while_they_live_and_after_they_have_ended() -> None:
    meter = Meter()
    before = meter.begin()
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        assert child.stdin is not None
        child.stdout.readline()
        during = meter.measure()
    finally:
        child.kill()
        child.communicate(timeout=BOUND)
    assert during.processes >= before.processes + 1
    assert during.resident >= before.resident + 50_000_000
    after = meter.measure()
    assert after.processes == during.processes - 1
    assert after.user + after.system >= during.user + during.system - 0.05, "its time is lost"


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="no such file")
def test_the_peak_of_a_task_is_not_that_of_the_one_before() -> None:
    meter = Meter()
    big = bytearray(80_000_000)
    meter.begin()
    del big
    first = meter.own_peak()
    meter.begin()
    assert 0 < meter.own_peak() <= first - 60_000_000
