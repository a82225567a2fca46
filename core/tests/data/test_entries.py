"""What is kept of files, and what follows from it."""

from __future__ import annotations

import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.data.entries import (
    Entry,
    Look,
    Record,
    Verdict,
    checksum_in,
    judged,
    key_of,
    parsed,
    victims,
    written,
)

_LOOK = Look(size=5, mtime_ns=1_000, inode=7)
_RECORD = Record.of("https://host/a", "etag-1", _LOOK)
_SHA = "sha256:" + "ab" * 32

_numbers = st.integers(0, 2**63)
_records = st.builds(Record.of, st.text(), st.text(), st.builds(Look, _numbers, _numbers, _numbers))


def test_a_content_is_known_by_url_and_validator() -> None:
    keys = {key_of(url, mark) for url in ("a://b", "a://c") for mark in ("1", "2", "")}
    assert len(keys) == 6
    assert key_of("a://b", "1") in keys


def test_one_checksum_is_one_content_whatever_the_url() -> None:
    assert key_of("a://b", _SHA) == key_of("a://c", _SHA.replace("ab", "AB"))
    assert key_of("a://b", _SHA) != key_of("a://b", "sha256:" + "ac" * 32)


@pytest.mark.parametrize(
    "validator",
    ["sha256:" + "ab" * 31, "sha256:" + "xy" * 32, "md5:" + "ab" * 16, f"{_SHA} ", f"W/{_SHA}", ""],
)
def test_what_only_looks_like_a_checksum_is_one_of_its_url_alone(validator: str) -> None:
    assert checksum_in(validator) is None
    assert key_of("a://b", validator) != key_of("a://c", validator)


@given(_records)
def test_a_record_is_read_as_it_was_written(record: Record) -> None:
    assert parsed(written(record), record.key) == record


@given(_records, st.data())
def test_no_part_of_a_record_is_a_record(record: Record, data: st.DataObject) -> None:
    whole = written(record)
    assert parsed(whole[: data.draw(st.integers(0, len(whole) - 1))], record.key) is None


@given(_records, st.data())
def test_a_record_with_one_byte_changed_is_none_or_says_the_same_kind_of_thing(
    record: Record, data: st.DataObject
) -> None:
    whole = bytearray(written(record))
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    found = parsed(bytes(whole), record.key)
    # What it may say wrongly is a look, which is then not that of the content, or text for people.
    assert found is None or found.key == record.key


@given(st.binary(max_size=200))
def test_no_junk_is_a_record(junk: bytes) -> None:
    assert parsed(junk + b"]\n", _RECORD.key) is None


@pytest.mark.parametrize(
    "row",
    [
        [2, _RECORD.key, 5, 1000, 7, "u", "v"],
        [1, "0" * 40, 5, 1000, 7, "u", "v"],
        [1, _RECORD.key, -5, 1000, 7, "u", "v"],
        [1, _RECORD.key, True, 1000, 7, "u", "v"],
        [1, _RECORD.key, 5.0, 1000, 7, "u", "v"],
        [1, _RECORD.key, 5, 1000, 7, "u", None],
        [1, _RECORD.key, 5, 1000, 7, "u"],
        [[[]]],
    ],
)
def test_a_record_of_no_sense_is_none(row: object) -> None:
    assert parsed(json.dumps(row).encode() + b"\n", _RECORD.key) is None


def test_a_record_nested_without_end_is_none() -> None:
    assert parsed(b"[" * 100_000 + b"]\n", _RECORD.key) is None


def test_no_password_is_written_down() -> None:
    record = Record.of("ftp://me:secret@host/a", "1", _LOOK)
    assert b"secret" not in written(record)
    assert record.key == key_of("ftp://me:secret@host/a", "1")
    signed = Record.of("https://host/a?signature=secret", "1", _LOOK)
    assert signed.url == "https://host/a?…"
    assert b"secret" not in written(signed)


@pytest.mark.parametrize(
    ("record", "look", "verdict"),
    [
        (_RECORD, _LOOK, Verdict.GOOD),
        (None, _LOOK, Verdict.GONE),
        (_RECORD, None, Verdict.GONE),
        (_RECORD, attrs.evolve(_LOOK, inode=8), Verdict.GONE),
        (_RECORD, attrs.evolve(_LOOK, size=6), Verdict.CHANGED),
        (_RECORD, attrs.evolve(_LOOK, mtime_ns=1_001), Verdict.CHANGED),
    ],
)
def test_only_what_looks_as_recorded_is_used(
    record: Record | None, look: Look | None, verdict: Verdict
) -> None:
    assert judged(record, look) is verdict


# ------------------------------------------------------------------------------------ what is to go


def _entry(name: str, size: int, used: float, others: int = 0, good: bool = True) -> Entry:
    record = Record.of(name, "", Look(size, 0, 0))
    return Entry(record=record, used=used, others=others, good=good)


_entries = st.lists(
    st.builds(
        _entry,
        st.text(max_size=3),
        st.integers(0, 100),
        st.integers(0, 20).map(float),
        st.integers(0, 1),
        st.booleans(),
    ),
    max_size=12,
    unique_by=lambda one: one.record.key,
)


@given(_entries, st.integers(0, 400), st.integers(-1, 21), st.data())
def test_what_stays_fits_and_nothing_goes_that_need_not(
    entries: list[Entry], limit: int, before: int, data: st.DataObject
) -> None:
    keep = data.draw(st.sampled_from([one.record.key for one in entries] + [""]))
    gone = victims(entries, limit, before=before, keep=keep)
    stays = [one for one in entries if one not in gone]

    assert all(one.record.key != keep for one in gone)
    others = [one for one in stays if one.record.key != keep]
    assert sum(one.record.look.size for one in others) <= limit
    assert all(one.good and one.used >= before for one in others)
    by_room = [one for one in gone if one.good and one.used >= before]
    if by_room:
        # The last of them had to go, and each was of less use than what stays.
        size = sum(one.record.look.size for one in others) + by_room[-1].record.look.size
        assert size > limit
        last = max((one.others > 0, one.used) for one in by_room)
        assert all((one.others > 0, one.used) >= last for one in others)


def test_the_least_recently_used_goes_first() -> None:
    entries = [_entry(name, 10, used) for name, used in (("new", 3.0), ("old", 1.0), ("mid", 2.0))]
    assert [one.record.url for one in victims(entries, 10)] == ["old", "mid"]


def test_what_is_a_file_of_tasks_too_goes_last() -> None:
    entries = [_entry("linked", 10, 1.0, others=2), _entry("free", 10, 2.0)]
    assert [one.record.url for one in victims(entries, 10)] == ["free"]
