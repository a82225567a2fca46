"""What is printed is kept whole if it is little; of much, the first and the last, and a count."""

import os
import re
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.workers.output import Output


def read(folder: Path) -> bytes:
    return b"".join(one.read_bytes() for one in sorted(folder.iterdir()))


def test_nothing_is_made_of_nothing(tmp_path: Path) -> None:
    one = Output(tmp_path / "slot-0.out", 1000)
    one.write(b"")
    one.close()
    assert list(tmp_path.iterdir()) == []


@settings(deadline=None, max_examples=60)
@given(most=st.integers(40, 200), chunks=st.lists(st.integers(1, 300), max_size=20))
def test_the_first_and_the_last_are_kept_and_the_rest_is_counted(
    tmp_path_factory: pytest.TempPathFactory, most: int, chunks: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("output")
    one = Output(folder / "slot-0.out", most)
    whole = b"".join(b"%d," % n for n in range(sum(chunks)))[: sum(chunks)]
    at = 0
    for size in chunks:
        one.write(whole[at : at + size])
        at += size
        kept = [file for file in folder.iterdir() if file.suffix != ".0"]
        assert sum(file.stat().st_size for file in kept) <= most
    one.close()
    first, gap, last = re.fullmatch(
        rb"(.*?)(?:\n\[([\d,]+) bytes are left out here\]\n(.*))?", read(folder), re.DOTALL
    ).groups()  # type: ignore[union-attr]  # anything matches
    if gap is None:
        assert (first, one.left_out) == (whole, 0)
        return
    assert int(gap.replace(b",", b"")) == one.left_out == len(whole) - len(first) - len(last)
    assert whole.startswith(first)
    assert whole.endswith(last)
    assert len(first) >= most // 2
    assert len(last) > most // 4


def test_only_the_user_can_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        one = Output(tmp_path / "slot-0.out", 100)
        one.write(b"x" * 1000)
        one.close()
    finally:
        os.umask(before)
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}
    assert len(list(tmp_path.iterdir())) == 4


def test_a_folder_that_is_gone_costs_what_is_printed_and_nothing_else(tmp_path: Path) -> None:
    one = Output(tmp_path / "gone" / "slot-0.out", 100)
    one.write(b"x" * 10)
    one.close()
    assert one.left_out == 10
