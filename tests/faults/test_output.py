"""What tasks print on other machines is bounded, and is there to be read."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import weft
from weft import python_app

BOUND = 60.0

pytestmark = [
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.parametrize("kind", ["htex", "direct"]),
]

Make = Callable[..., weft.Config]


@python_app
def double(number: int) -> int:
    return 2 * number


@python_app
def print_much(size: int) -> int:
    block = b"." * ((1 << 20) - 1) + b"\n"
    for _ in range(size >> 20):
        os.write(1, block)
    os.write(1, b"the end\n")
    return size


def test_a_gigabyte_costs_ten_megabytes_and_keeps_nobody_from_working(
    config: Make, tmp_path: Path
) -> None:
    with weft.load(config(workers=2)):
        much = print_much(1 << 30)
        assert [double(n).result(BOUND) for n in range(50)] == [2 * n for n in range(50)]
        assert much.result(BOUND) == 1 << 30
    kept = [one for one in (tmp_path / "runs").rglob("*") if one.is_file() and not one.is_symlink()]
    assert 5_000_000 < sum(one.stat().st_size for one in kept) < 11_000_000
    [gap] = [one for one in kept if one.name.endswith(".out.0")]
    left_out = int(gap.read_text().split()[0].strip("[").replace(",", ""))
    assert (1 << 30) - 10_000_000 <= left_out < 1 << 30
    assert gap.with_suffix(".2").read_bytes().endswith(b"the end\n")
