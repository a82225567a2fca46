"""Large payloads on htex: by the door and by the network, whoever dies meanwhile."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
from weft import Config, python_app
from weft_htex.door import DOOR

BOUND = 120.0
MB = 1_000_000


@pytest.fixture(params=[True, False], ids=["door", "network"])
def local(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., weft.Session]:
    def opened(**options: Any) -> weft.Session:
        executor = weft.executor("htex", **{"workers_per_node": 1, **options})
        return weft.load(
            Config(executors=[executor], run_dir=tmp_path, retries=4, close_timeout=2.0)
        )

    return opened


@python_app
def same(value: Any) -> Any:
    return value


@python_app
def length(value: Any) -> int:
    return len(value)


@python_app
def changed(value: Any) -> Any:
    value[0] = 7
    return value


@python_app
def peak() -> tuple[int, int]:
    """Bytes that this worker, and its manager, had at their worst."""

    def of(pid: int) -> int:
        (line,) = [
            one
            for one in Path(f"/proc/{pid}/status").read_text().splitlines()
            if one.startswith("VmHWM:")
        ]
        return 1024 * int(line.split()[1])

    return of(os.getpid()), of(os.getppid())


def managers_of(session: weft.Session) -> list[int]:
    details = session.status().executors["htex"].details
    return [one["pid"] for one in details["managers"].values()]


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else one == other


@pytest.mark.parametrize("mode", ["broker", "direct"])
def test_large_values_of_all_kinds_come_back_as_they_went(run: Any, local: bool, mode: str) -> None:
    values = [
        os.urandom(9 * MB),
        bytearray(9 * MB),
        "é" * (5 * MB),
        np.arange(10 * MB // 8),
        [np.arange(3 * MB // 8), b"x" * (6 * MB), np.ones((1000, 1000))[::2, ::2], "end"],
        {"deep": [[os.urandom(5 * MB)]]},
    ]
    with run(local_sockets=local, mode=mode):
        for value in values:
            found = same(value).result(BOUND)
            assert equal(found, value), type(value)
            assert type(found) is type(value)


def test_a_task_may_change_what_it_was_given_and_nobody_elses(run: Any, local: bool) -> None:
    with run(local_sockets=local):
        mine = np.zeros(8 * MB // 8)
        found = changed(mine).result(BOUND)
        assert (mine[0], found[0]) == (0, 7)
        found[1] = 8  # the result is the client's own

        fixed = np.zeros(8 * MB // 8)
        fixed.flags.writeable = False
        with pytest.raises(ValueError, match="read-only"):
            changed(fixed).result(BOUND)


def test_no_process_has_more_than_twice_the_payload(run: Any, local: bool) -> None:
    size = 64 * MB
    with run(local_sockets=local) as session:
        before = peak().result(BOUND)
        same(np.ones(size // 8)).result(BOUND)
        same(bytes(size)).result(BOUND)
        after = peak().result(BOUND)
        interchange = int(session.status().executors["htex"].details["interchange"].split()[-1])
        status = Path(f"/proc/{interchange}/status").read_text()

    allowed = 2 * size + 40 * MB  # twice the payload, numpy, and what is only addressed
    assert after[0] - before[0] < allowed, "worker"
    # Over the network there are also the pieces that are being put together.
    assert after[1] - before[1] < allowed * (1 if local else 1.5), "manager"
    (line,) = [one for one in status.splitlines() if one.startswith("VmHWM:")]
    assert 1024 * int(line.split()[1]) - 60 * MB < allowed, "interchange"


def test_what_many_large_tasks_take_is_bounded_where_they_wait(run: Any, local: bool) -> None:
    count, size, allowed = 150, 2 * MB, 8 * MB
    with run(local_sockets=local, max_in_flight=allowed) as session:
        futures = [length(bytes(size)) for _ in range(count)]
        assert [future.result(BOUND) for future in futures] == [size] * count
        interchange = int(session.status().executors["htex"].details["interchange"].split()[-1])
        status = Path(f"/proc/{interchange}/status").read_text()

    (line,) = [one for one in status.splitlines() if one.startswith("VmHWM:")]
    # What is allowed, one task beyond it, what is on its way in and out, and an interchange.
    assert 1024 * int(line.split()[1]) < 2 * allowed + 100 * MB < count * size


def test_a_large_payload_is_a_sign_of_life(run: Any, local: bool) -> None:
    with run(local_sockets=local, heartbeat=1.0, lost_after=4.0) as session:
        same(1).result(BOUND)
        before = managers_of(session)
        for _ in range(2):
            assert len(same(bytes(128 * MB)).result(BOUND)) == 128 * MB
        assert managers_of(session) == before


@pytest.mark.parametrize("victim", ["worker", "manager", "interchange"])
def test_whoever_is_killed_with_a_payload_on_its_way_leaves_nothing(
    run: Any, local: bool, victim: str, tmp_path: Path
) -> None:
    with run(local_sockets=local, max_blocks=1, heartbeat=0.5, lost_after=2.0) as session:
        worker = pid_of().result(BOUND)
        manager = managers_of(session)[0]
        place = session.status().executors["htex"].details["interchange"]
        pid = {"worker": worker, "manager": manager, "interchange": int(place.split()[-1])}[victim]
        payload = os.urandom(32 * MB)
        futures = [same(payload) for _ in range(4)]
        futures[0].result(BOUND)  # so that the next is under way
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        for future in futures:
            assert future.result(BOUND) == payload

    left = [one for one in tmp_path.rglob("*") if not one.is_dir()]
    assert not [one for one in left if one.name == DOOR]
    assert not [one for one in left if one.stat().st_size > MB]


@python_app
def pid_of() -> int:
    return os.getpid()


class Explosive:
    """Large, and refuses to be opened."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        return (_explode, (pickle.PickleBuffer(bytearray(8 * MB)),))


def _explode(_: Any) -> None:
    raise RuntimeError("not to be opened")


def test_a_large_argument_that_cannot_be_opened_harms_no_other(run: Any, local: bool) -> None:
    with run(local_sockets=local):
        bad, good = same(Explosive()), same(bytes(8 * MB))
        with pytest.raises(weft.errors.SerializationError, match="not to be opened"):
            bad.result(BOUND)
        assert len(good.result(BOUND)) == 8 * MB


def test_managers_of_this_machine_use_the_door_if_they_may(
    run: Any, local: bool, tmp_path: Path
) -> None:
    with run(local_sockets=local):
        same(1).result(BOUND)
        (log,) = tmp_path.rglob("manager-*.log")
        reached = [line for line in log.read_text().splitlines() if "reached" in line]
        assert ("unix:" in reached[0]) is local


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    current = weft.current()
    if current is not None:
        current.close(cancel=True)
