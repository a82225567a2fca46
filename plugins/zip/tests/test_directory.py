"""The directory of an archive as bytes: zipfile reads what is written."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest

from weft_zip.directory import Directory, directory_of, ending, placed, without
from weft_zip.trouble import Trouble

GIB = 2**30


def archive_of(members: dict[str, bytes], prefix: bytes = b"") -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.comment = b"of an archive"
    return io.BytesIO(prefix + file.getvalue())


def read(file: io.BytesIO) -> Directory:
    with zipfile.ZipFile(file) as archive:
        return directory_of(archive, file)


@pytest.mark.parametrize("prefix", [b"", b"#!/bin/sh\nexit\n" * 100])
def test_what_is_read_is_what_zipfile_wrote(prefix: bytes) -> None:
    file = archive_of({"a": b"of a", "b": b"of b"}, prefix)
    directory = read(file)
    assert [entry.name for entry in directory.entries] == ["a", "b"]
    assert [entry.packed for entry in directory.entries] == [4, 4]
    assert (directory.shift, directory.comment) == (len(prefix), b"of an archive")
    for entry in directory.entries:
        assert file.getvalue()[entry.start :].startswith(b"PK\3\4")
    assert file.getvalue()[directory.begin :].startswith(directory.entries[0].record)


@pytest.mark.parametrize("prefix", [b"", b"prefix"])
@pytest.mark.parametrize("gone", ["", "a", "b", "c", "ab", "ac", "bc", "abc"])
def test_what_stays_is_moved_together(prefix: bytes, gone: str) -> None:
    members = {name: name.encode() * n for n, name in enumerate("abc", 5)}
    file = archive_of(members, prefix)
    directory = read(file)
    layout = without(directory, set(gone))
    kept = b"".join(file.getvalue()[begin:end] for begin, end in layout.spans)
    records = b"".join(entry.record for entry in layout.entries)
    end = ending(len(layout.entries), len(records), len(kept), directory.shift, directory.comment)
    with zipfile.ZipFile(io.BytesIO(kept + records + end)) as archive:
        left = {name: content for name, content in members.items() if name not in gone}
        assert {name: archive.read(name) for name in archive.namelist()} == left
        assert archive.comment == b"of an archive"
    assert len(kept) == len(prefix) + sum(30 + 1 + len(content) for content in left.values())


@pytest.mark.parametrize("before", [0, 3 * GIB, 4 * GIB + 1])
@pytest.mark.parametrize("offset", [0, 4 * GIB - 2, 4 * GIB - 1, 5 * GIB])
def test_a_record_leads_to_any_offset(tmp_path: Path, before: int, offset: int) -> None:
    """The file is a hole, but for the entry and what stands after it."""
    alone = archive_of({"m": b"content"})
    directory = read(alone)
    record = placed(placed(directory.entries[0].record, before), offset)
    path = tmp_path / "sparse.zip"
    with path.open("wb") as file:
        file.seek(offset)
        file.write(alone.getvalue()[: directory.begin])
        begin = file.tell()
        file.write(record + ending(1, len(record), begin, 0, b""))
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        assert archive.getinfo("m").header_offset == offset
        assert archive.read("m") == b"content"
        assert directory_of(archive, file).shift == 0


def test_fields_that_are_not_understood_stay() -> None:
    other = struct.pack("<2H4s", 0x7855, 4, b"else")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        info = zipfile.ZipInfo("m")
        info.extra, info.comment = other, b"of m"
        archive.writestr(info, b"content")
    record = placed(read(file).entries[0].record, 5 * GIB)
    assert other in record
    assert record.endswith(b"of m")
    back = placed(record, 7)
    assert other in back
    assert back.endswith(b"of m")


def test_an_archive_of_more_entries_than_two_bytes_count() -> None:
    alone = read(archive_of({"m": b""}))
    record = alone.entries[0].record
    header = archive_of({"m": b""}).getvalue()[: alone.begin]
    count = 65_536
    file = io.BytesIO(
        header + record * count + ending(count, len(record) * count, len(header), 0, b"")
    )
    with zipfile.ZipFile(file) as archive:
        assert len(archive.infolist()) == count
        assert len(directory_of(archive, file).entries) == count


def test_entries_that_share_bytes_are_not_taken_apart() -> None:
    file = archive_of({"a": b"x" * 1000, "b": b"y" * 10})
    directory = read(file)
    longer = directory.entries[0].__class__(
        "a", directory.entries[0].start, 1040, directory.entries[0].record
    )
    overlapping = Directory((longer, directory.entries[1]), directory.begin, 0, b"")
    with pytest.raises(Trouble, match="shares bytes with another"):
        without(overlapping, {"b"})


def test_a_damaged_directory_is_refused() -> None:
    file = archive_of({"a": b"of a"})
    with zipfile.ZipFile(file) as archive:
        archive.start_dir += 1
        with pytest.raises(Trouble, match="directory of the archive is damaged"):
            directory_of(archive, file)
