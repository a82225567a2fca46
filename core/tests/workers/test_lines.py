"""What a try may say: bounded in size, number and rate, and nothing of it raises."""

import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.workers.lines import BURST, BURST_SIZE, ERR, OUT, RATE, TEXT, Lines, cut


def record(message: Any, *args: Any, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("a.logger", logging.WARNING, __file__, 1, message, args, None)
    for name, value in more.items():
        setattr(made, name, value)
    return made


class Explodes:
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_a_record_becomes_a_row() -> None:
    made = record("%d of %s", 3, "ten")
    row = Lines(0.0).logged(made, 0.0)
    assert row == (made.created, "WARNING", "a.logger", "3 of ten", 0)


@pytest.mark.parametrize(
    "made",
    [
        record(Explodes()),
        record("%s", Explodes()),
        record("%d", "no number"),
        record("too many", 1, 2),
        record("%(a)s", {"b": 1}),
        record("x", levelname=Explodes(), name=Explodes()),
        record("x", exc_info=(ValueError, ValueError(Explodes()), None)),
        record("\ud800 \0 naïve"),
    ],
)
def test_what_a_record_is_made_of_harms_nothing(made: logging.LogRecord) -> None:
    row = Lines(0.0).logged(made, 0.0)
    assert row is not None
    assert all(type(part) is str for part in row[1:4])
    "".join(row[1:4]).encode()


def test_a_record_that_cannot_be_shown_says_so_and_shows_its_pattern() -> None:
    row = Lines(0.0).logged(record("%d strands", "no number"), 0.0)
    assert row is not None
    assert row[3] == "(cannot be shown: TypeError) %d strands"


def test_the_traceback_of_an_exception_is_told() -> None:
    try:
        raise ValueError("no strand")
    except ValueError as error:
        row = Lines(0.0).logged(record("oh", exc_info=(ValueError, error, None)), 0.0)
    assert row is not None
    assert row[3] == "oh\nValueError: no strand"


def test_a_long_text_loses_its_middle_and_says_so() -> None:
    text = "a" * 50_000_000 + "z"
    row = Lines(0.0).logged(record(text), 0.0)
    assert row is not None
    assert len(row[3]) < TEXT + 100
    assert row[3].startswith("aaa")
    assert row[3].endswith("az")
    assert f"{len(text) - TEXT:,} characters are left out" in row[3]


@settings(deadline=None)  # a machine may be busy
@given(st.text(), st.integers(0, 20), st.integers(0, 20))
def test_a_text_that_is_cut_can_be_written_down(text: str, begin: int, length: int) -> None:
    cut(text, begin, begin + length).encode()


def test_a_flood_is_bounded_counted_and_told() -> None:
    lines = Lines(0.0)
    rows = [row for _ in range(1_000_000 // 10) if (row := lines.logged(record("x"), 0.0))]
    assert len(rows) == BURST
    assert lines.dropped == 100_000 - BURST
    (last,) = lines.ended(1.0, 0.0)
    assert last[4] == 100_000 - BURST
    assert f"{100_000 - BURST:,} lines were left out" in last[3]
    assert lines.ended(1.0, 0.0) == []


def test_after_a_while_more_may_be_said_and_the_loss_is_told_with_it() -> None:
    lines = Lines(0.0)
    for _ in range(BURST + 7):
        lines.logged(record("x"), 0.0)
    row = lines.logged(record("later"), 1.0 / RATE + 0.001)
    assert row is not None
    assert (row[3], row[4]) == ("later", 7)


def test_a_clock_that_stands_or_goes_back_fills_nothing_up() -> None:
    lines = Lines(100.0)
    for _ in range(BURST):
        lines.logged(record("x"), 100.0)
    assert lines.logged(record("x"), 50.0) is None


def test_much_text_is_bounded_as_many_lines_are() -> None:
    lines = Lines(0.0)
    rows = [row for _ in range(BURST) if (row := lines.logged(record("x" * TEXT), 0.0))]
    assert len(rows) == BURST_SIZE // TEXT


def test_prints_become_lines_when_they_end() -> None:
    lines = Lines(0.0)
    assert lines.printed(OUT, "one, ", 1.0, 0.0) == []
    assert lines.printed(ERR, "aside", 1.5, 0.0) == []
    assert lines.printed(OUT, "two\nthree\nfo", 2.0, 0.0) == [
        (2.0, OUT, "", "one, two", 0),
        (2.0, OUT, "", "three", 0),
    ]
    assert sorted(lines.ended(3.0, 0.0)) == [(3.0, ERR, "", "aside", 0), (3.0, OUT, "", "fo", 0)]


def test_prints_without_end_and_without_number_are_bounded() -> None:
    lines = Lines(0.0)
    for _ in range(1000):
        assert lines.printed(OUT, "." * 10_000, 1.0, 0.0) == []
    assert f"{10_000_000 - TEXT:,} characters" in lines._rests[OUT].shown()
    rows = lines.printed(OUT, "\n" * 5_000_000 + "end", 1.0, 0.0)
    assert len(rows) <= BURST
    assert len(rows[0][3]) < 2 * TEXT
    assert len(rows) + lines.dropped == 5_000_000
    ended = lines.ended(2.0, 0.0)
    assert ended[-1][4] == 5_000_000 - len(rows) + 1, "the last line found no room either"
