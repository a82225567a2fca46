"""A script that makes functions without end, each with much in it, takes no memory without end."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import weft
from weft import python_app

BOUND = 60.0
SIZE = 1 << 20
MANY = 512
ROOM = 300 << 20

pytestmark = pytest.mark.usefixtures("nothing_left")

Make = Callable[..., weft.Config]


def peak(pid: int | str) -> int:
    """The most memory that a process has had, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise AssertionError("the system does not say")


def made(number: int) -> Callable[[int], tuple[int, int]]:
    """Another function each time, that carries a megabyte."""
    much = number.to_bytes(4, "big") * (SIZE // 4)

    def function(argument: int) -> tuple[int, int]:
        return argument + number, len(much)

    return function


@pytest.mark.parametrize("kind", ["processes", "htex"])
@pytest.mark.timeout(180)
def test_functions_without_end_take_no_memory_without_end(config: Make, family: Any) -> None:
    with weft.load(config(workers=2)):
        first = [python_app(made(number)) for number in range(8)]
        assert [one(1).result(BOUND) for one in first] == [(n + 1, SIZE) for n in range(8)]
        for begin in range(8, MANY, 32):
            some = [python_app(made(number))(2) for number in range(begin, begin + 32)]
            assert [one.result(BOUND) for one in some] == [
                (number + 2, SIZE) for number in range(begin, begin + 32)
            ]
        # Nobody but the client has these any more.
        assert [one(3).result(BOUND) for one in first] == [(n + 3, SIZE) for n in range(8)]
        peaks = {pid: peak(pid) for pid in family.alive()}
    assert len(peaks) >= 2
    assert {pid: size for pid, size in peaks.items() if size > ROOM} == {}


@pytest.mark.parametrize("kind", ["htex", "direct"])
@pytest.mark.timeout(180)
def test_thousands_of_functions_at_once_all_get_what_they_need(
    config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where next to nothing is kept, nearly each of them is asked for again."""
    from weft_htex import interchange

    monkeypatch.setattr(interchange, "_DEFINITIONS", 100_000)

    def small(number: int) -> Callable[[], tuple[int, int]]:
        much = os.urandom(2000)
        return lambda: (number, len(much))

    with weft.load(config(workers=2)):
        futures = [python_app(small(number))() for number in range(3000)]
        assert [one.result(BOUND) for one in futures] == [(n, 2000) for n in range(3000)]
