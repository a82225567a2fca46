"""Archives that are not what they should be: each with what is said of it."""

from __future__ import annotations

import os
import stat
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from weft.errors import StagingError
from weft.interfaces.stager import Way
from weft_testkit.limits import no_file_beyond

if TYPE_CHECKING:
    from plugins.zip.tests.conftest import Bench

RECORD, LOCAL = b"PK\1\2", b"PK\3\4"


def write(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def patched(path: Path, at: int, record: bytes, header: bytes | None = None) -> None:
    """Put bytes into the first record of the directory and, two bytes before, into the header."""
    data = bytearray(path.read_bytes())
    start = data.index(RECORD) + at
    data[start : start + len(record)] = record
    if header is not None:
        data[at - 2 : at - 2 + len(header)] = header
    path.write_bytes(data)


# ------------------------------------------------------------------------------- what is not there


def test_no_archive(bench: Bench) -> None:
    write(bench.archive.with_name("A1.zip"), {"m": b""})
    error = bench.refused(Way.IN, "m")
    assert f"There is no archive '{bench.archive}'. In that folder are: 'A1.zip'." in error.reason
    assert not error.again


def test_no_folder_of_the_archive(bench: Bench) -> None:
    bench.archive.parent.rmdir()
    assert "nor its folder" in bench.refused(Way.IN, "m").reason


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("reeds.csv", "In the archive are: 'run/reads.csv'."),
        ("reads.csv", "In the archive are: 'run/reads.csv'."),
        ("RUN/reads.csv", "In the archive are: 'run/reads.csv'."),
        ("quite.other", "In the archive no name is like it."),
        ("run", "'run' is a folder"),
        ("folder", "'folder' is a folder"),
    ],
)
def test_no_member(bench: Bench, asked: str, said: str) -> None:
    write(bench.archive, {"run/reads.csv": b"", "folder/": b""})
    error = bench.refused(Way.IN, asked)
    assert said in error.reason
    assert not error.again


def test_an_empty_archive_has_no_member(bench: Bench) -> None:
    write(bench.archive, {})
    assert "In the archive is nothing." in bench.refused(Way.IN, "m").reason


# ------------------------------------------------------------------------------- what is no archive


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b" + b"x" * 100_000, b"PK\5\6"])
def test_no_zip_archive(bench: Bench, content: bytes) -> None:
    bench.archive.write_bytes(content)
    for way in Way:
        if way is Way.OUT:
            bench.made("m", b"content")
        error = bench.refused(way, "m")
        assert "is no zip archive" in error.reason
        assert not error.again
        assert bench.archive.read_bytes() == content


@pytest.mark.parametrize("left", [10, 50_000, 100_100])
def test_cut_short(bench: Bench, left: int) -> None:
    write(bench.archive, {"m": os.urandom(100_000), "n": b""})
    os.truncate(bench.archive, left)
    error = bench.refused(Way.IN, "m")
    assert "begins as a zip archive and does not end as one" in error.reason
    assert not error.again


def test_a_folder_and_a_pipe(bench: Bench) -> None:
    bench.archive.mkdir()
    error = bench.refused(Way.IN, "m")
    assert "is a folder" in error.reason
    assert "archive.zip#member" in str(error)
    bench.archive.rmdir()
    os.mkfifo(bench.archive)
    assert "is a pipe or a device" in bench.refused(Way.IN, "m").reason
    bench.made("m", b"content")
    assert "is a pipe or a device" in bench.refused(Way.OUT, "m").reason


def test_no_permission(bench: Bench) -> None:
    # A link that leads to itself is refused to everybody, the superuser included.
    bench.archive.symlink_to(bench.archive.name)
    for way in Way:
        if way is Way.OUT:
            bench.made("m", b"content")
        error = bench.refused(way, "m")
        assert "Too many levels of symbolic links" in error.reason
        assert not error.again


def test_forbidden(bench: Bench) -> None:
    write(bench.archive, {"m": b""})
    bench.archive.chmod(0)
    if os.access(bench.archive, os.R_OK):
        pytest.skip("who runs this may read and write all")
    assert "cannot be read: Permission denied" in bench.refused(Way.IN, "m").reason
    bench.archive.parent.chmod(0o500)
    try:
        bench.made("n", b"content")
        assert "could not be written: Permission denied" in bench.refused(Way.OUT, "n").reason
    finally:
        bench.archive.parent.chmod(0o700)


# ------------------------------------------------------------------------------------ members


def test_bombs_by_size(benches: Callable[..., Bench]) -> None:
    bench = benches(max_size=1000)
    write(bench.archive, {"m": b"x" * 1000, "n": b"x" * 1001})
    assert bench.brought("m").read_bytes() == b"x" * 1000
    error = bench.refused(Way.IN, "n")
    assert "has 1001 bytes, and at most 1000 are allowed" in error.reason
    assert "max_size" in str(error)
    assert not error.again


def test_bombs_by_ratio(benches: Callable[..., Bench]) -> None:
    bench = benches(max_ratio=500)
    large = bytes(16 * 2**20 + 1)
    write(bench.archive, {"m": large[:-1], "n": large}, zipfile.ZIP_DEFLATED)
    assert bench.brought("m").stat().st_size == len(large) - 1  # small enough to be let through
    error = bench.refused(Way.IN, "n")
    assert "more than 500 to one" in error.reason
    assert "max_ratio" in str(error)


def test_what_deflate_can_do_is_allowed(bench: Bench) -> None:
    large = bytes(20 * 2**20)
    write(bench.archive, {"m": large}, zipfile.ZIP_DEFLATED)
    assert bench.brought("m").read_bytes() == large


def test_a_member_that_is_larger_than_is_said(bench: Bench) -> None:
    write(bench.archive, {"m": bytes(100_000)}, zipfile.ZIP_DEFLATED)
    patched(bench.archive, 24, (10).to_bytes(4, "little"))
    error = bench.refused(Way.IN, "m")
    assert "is damaged: Bad CRC-32" in error.reason


def test_a_member_that_is_smaller_than_is_said(bench: Bench) -> None:
    write(bench.archive, {"m": b"x" * 1000}, zipfile.ZIP_DEFLATED)
    patched(bench.archive, 24, (10_000).to_bytes(4, "little"))
    error = bench.refused(Way.IN, "m")
    assert "is damaged: 1000 of its 10000 bytes are there" in error.reason


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damaged(bench: Bench, method: int) -> None:
    write(bench.archive, {"m": os.urandom(100_000)}, method)
    data = bytearray(bench.archive.read_bytes())
    data[50_000] ^= 1
    bench.archive.write_bytes(data)
    error = bench.refused(Way.IN, "m")
    assert "The member 'm' is damaged: " in error.reason
    assert not error.again


def test_names_that_differ_in_header_and_directory(bench: Bench) -> None:
    write(bench.archive, {"good": b"content"})
    data = bench.archive.read_bytes().replace(b"good", b"evil", 1)
    bench.archive.write_bytes(data)
    error = bench.refused(Way.IN, "good")
    assert "is damaged: File name in directory 'good' and header b'evil' differ" in error.reason


def test_encrypted(bench: Bench) -> None:
    write(bench.archive, {"m": b"content"})
    patched(bench.archive, 8, b"\1\0", b"\1\0")
    assert "The member 'm' is encrypted." in bench.refused(Way.IN, "m").reason


@pytest.mark.parametrize(("method", "known"), [(12, "bzip2"), (14, "lzma"), (93, "zstd"), (7, "")])
def test_packed_in_another_way(bench: Bench, method: int, known: str) -> None:
    write(bench.archive, {"m": b"content"})
    patched(bench.archive, 10, method.to_bytes(2, "little"), method.to_bytes(2, "little"))
    said = f"is packed by method {method} ({known or 'unknown'})"
    assert said in bench.refused(Way.IN, "m").reason


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (stat.S_IFLNK, "is a symbolic link"),
        (stat.S_IFDIR, "special file"),
        (stat.S_IFIFO, "special"),
    ],
)
def test_what_is_no_file(bench: Bench, kind: int, said: str) -> None:
    with zipfile.ZipFile(bench.archive, "w") as archive:
        info = zipfile.ZipInfo("m")
        info.create_system, info.external_attr = 3, (kind | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    assert said in bench.refused(Way.IN, "m").reason


def test_of_several_with_one_name_the_last_is_brought(bench: Bench) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(bench.archive, "w") as archive:
        warnings.simplefilter("ignore", UserWarning)
        archive.writestr("m", b"first")
        archive.writestr("m", b"last")
    assert bench.brought("m").read_bytes() == b"last"


def test_a_name_with_a_zero_byte_is_no_other_name(bench: Bench) -> None:
    write(bench.archive, {"m.txt_exe": b"content"})
    data = bench.archive.read_bytes().replace(b"m.txt_exe", b"m.txt\0exe")
    bench.archive.write_bytes(data)
    error = bench.refused(Way.IN, "m.txt")
    assert "has no member 'm.txt'. In the archive are: 'm.txt\\x00exe'." in error.reason


def test_names_that_lead_out_harm_nobody_who_does_not_ask_for_them(bench: Bench) -> None:
    write(bench.archive, {"../../escaped": b"", "/escaped": b"", "m": b"content"})
    assert bench.brought("m").read_bytes() == b"content"


# -------------------------------------------------------------------------- while it is brought


def test_an_archive_that_is_changed_meanwhile(bench: Bench) -> None:
    write(bench.archive, {"m": os.urandom(3 * 2**20)})
    plan = bench.plan(Way.IN, "m")

    def meddling() -> None:
        with bench.archive.open("ab") as file:
            file.write(b"more")

    bench.meanwhile(meddling)
    with pytest.raises(StagingError, match="was changed while it was read") as caught:
        bench.stager.move(plan)
    assert caught.value.again
    assert not list(bench.tasks.iterdir())


def test_an_archive_that_is_replaced_meanwhile_is_read_as_it_was(bench: Bench) -> None:
    content = os.urandom(3 * 2**20)
    write(bench.archive, {"m": content})
    plan = bench.plan(Way.IN, "m")

    def replacing() -> None:
        other = bench.archive.with_name("other")
        write(other, {"m": b"another"})
        other.replace(bench.archive)

    bench.meanwhile(replacing)
    bench.stager.move(plan)
    assert plan.placed.as_path().read_bytes() == content


def test_no_space_for_what_is_brought(bench: Bench) -> None:
    write(bench.archive, {"m": bytes(1000_000)}, zipfile.ZIP_DEFLATED)
    with no_file_beyond(500_000):
        error = bench.refused(Way.IN, "m")
    assert "could not be written: File too large" in error.reason
    assert bench.brought("m").stat().st_size == 1000_000


def test_many_are_brought_and_each_has_its_error(bench: Bench) -> None:
    write(bench.archive, {"a": b"of a", "b": b"of b"})
    plans = [bench.plan(Way.IN, name) for name in ("a", "c", "b")]
    outcomes = bench.stager.move_all(plans)
    assert [outcome is None for outcome in outcomes] == [True, False, True]
    assert plans[2].placed.as_path().read_bytes() == b"of b"
