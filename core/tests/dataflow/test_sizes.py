"""What is told of the bytes that a transfer moved is what its stager said, or what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from weft.dataflow.sizes import Sizes
from weft.interfaces.stager import Place, Transfer, Way
from weft.values.files import File


def transfer(where: Path, way: Way = Way.IN, url: str = "far://h/x", **place: object) -> Transfer:
    options = {"shared": False, **place}
    there = Place(executor="cpu", folder=where.parent, **options)  # type: ignore[arg-type]
    return Transfer(way=way, file=File(url), placed=File(url).placed(where), place=there)


def size_of(sizes: Sizes, one: Transfer, *told: tuple[int, int | None]) -> int | None:
    sizes.begin([one])
    for done, total in told:
        sizes.told(one, done, total)
    (size,) = sizes.end([one])
    return size


@pytest.mark.parametrize(
    ("told", "size"),
    [
        ([], 5),
        ([(0, None)], 5),
        ([(3, None)], 5),
        ([(3, 7), (7, 7)], 7),
        ([(0, 0)], 0),
    ],
)
def test_a_total_that_was_told_counts_before_what_is_seen(
    tmp_path: Path, told: list[tuple[int, int | None]], size: int
) -> None:
    (tmp_path / "x").write_bytes(b"12345")
    assert size_of(Sizes(), transfer(tmp_path / "x"), *told) == size


def test_of_a_folder_all_files_count(tmp_path: Path) -> None:
    (tmp_path / "x" / "inner").mkdir(parents=True)
    (tmp_path / "x" / "one").write_bytes(b"1")
    (tmp_path / "x" / "inner" / "two").write_bytes(b"22")
    assert size_of(Sizes(), transfer(tmp_path / "x")) == 3


def test_what_goes_out_is_looked_at_before_it_is_moved(tmp_path: Path) -> None:
    made = tmp_path / "x"
    made.write_bytes(b"12345")
    sizes, one = Sizes(), transfer(made, Way.OUT)
    sizes.begin([one])
    made.unlink()
    assert sizes.end([one]) == [5]


def test_what_cannot_be_seen_from_here_is_unknown_unless_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"another file, of this machine")
    elsewhere = transfer(tmp_path / "x", site="west")
    assert size_of(Sizes(), elsewhere) is None
    assert size_of(Sizes(), elsewhere, (9, None)) == 9
    assert size_of(Sizes(), transfer(tmp_path / "away")) is None


def test_a_file_that_is_used_where_it_is_moves_nothing(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"12345")
    stays = transfer(tmp_path / "x", Way.OUT, f"file://{tmp_path}/x", shared=True)
    assert size_of(Sizes(), stays) == 0


def test_several_transfers_of_one_file_are_told_apart_and_forgotten(tmp_path: Path) -> None:
    sizes = Sizes()
    one, other = (transfer(tmp_path / "away") for _ in range(2))
    sizes.begin([one, other])
    sizes.told(one, 1, 1)
    sizes.told(other, 2, 2)
    assert sizes.end([one, other]) == [1, 2]
    sizes.told(one, 5, 5)  # a stager that goes on after it has returned
    assert size_of(sizes, one) is None
