"""Large values on local processes: what comes back, whose memory it is, and how much there is."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
from weft import python_app

BOUND = 60.0
MB = 1_000_000
SIZE = 64 * MB


@pytest.fixture(params=["processes"])
def kind(request: pytest.FixtureRequest) -> str:
    """Threads hand values over as they are."""
    return str(request.param)


@python_app
def same(value: Any) -> Any:
    return value


@python_app
def changed(value: Any) -> Any:
    value[0] = 7
    return value


@python_app
def lengths(values: Any) -> list[int]:
    return [len(value) for value in values]


def peak_of(pid: int) -> int:
    """Bytes that a process had at its worst."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    raise AssertionError(pid)


@python_app
def peak() -> int:
    return peak_of(os.getpid())


@python_app
def die_once(marker: str, value: Any) -> int:
    path = Path(marker)
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return len(value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: os.urandom(9 * MB),
        lambda: bytearray(9 * MB),
        lambda: "é" * (5 * MB),
        lambda: [os.urandom(3 * MB), "x" * (3 * MB), b"small", 1],
        lambda: {"deep": [[os.urandom(5 * MB)]]},
    ],
    ids=["bytes", "bytearray", "str", "list", "deep"],
)
def test_large_values_come_back_as_they_went(run: weft.Session, make: Callable[[], Any]) -> None:
    value = make()
    found = same(value).result(BOUND)

    assert found == value
    assert type(found) is type(value)


def test_arrays_come_back_as_they_went_and_can_be_written_to(run: weft.Session) -> None:
    for array in (np.arange(5 * MB), np.ones((3000, 1000), order="F"), np.ones((999, 999))[::2]):
        found = same(array).result(BOUND)
        assert np.array_equal(found, array)
        found[0] = 3


def test_a_task_changes_its_own_copy(run: weft.Session) -> None:
    array, data = np.zeros(MB), bytearray(8 * MB)

    assert changed(array).result(BOUND)[0] == 7
    assert changed(data).result(BOUND)[0] == 7
    assert (array[0], data[0]) == (0, 0)


def test_many_large_values_in_one_call(run: weft.Session) -> None:
    assert lengths([bytes(MB)] * 50).result(BOUND) == [MB] * 50


@pytest.mark.parametrize("make", [bytes, lambda size: np.ones(size // 8)], ids=["bytes", "array"])
def test_a_worker_has_at_most_twice_the_payload(
    run: weft.Session, make: Callable[[int], Any]
) -> None:
    same(make(MB)).result(BOUND)
    before = peak().result(BOUND)
    same(make(SIZE)).result(BOUND)

    assert peak().result(BOUND) - before < 2 * SIZE + 20 * MB


def test_a_worker_that_dies_with_a_large_payload_costs_only_that_try(
    nothing_left: None, config: Callable[..., weft.Config], tmp_path: Path
) -> None:
    with weft.load(config(workers=1, retries=1)):
        assert die_once(str(tmp_path / "died"), bytes(32 * MB)).result(BOUND) == 32 * MB

    left = [one for one in tmp_path.rglob("*") if one.is_file() and one.stat().st_size > MB]
    assert left == []
