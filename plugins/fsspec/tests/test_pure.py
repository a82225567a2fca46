"""What needs no other side: URLs, settings, errors, parts, and libraries that are not there."""

from __future__ import annotations

import errno
import sys
import threading
from pathlib import Path

import pytest

from weft.errors import StagingError
from weft.interfaces.stager import Place, Way
from weft.testing import FakeContext
from weft.values.files import File
from weft_fsspec.addresses import Address, BadAddress, parsed
from weft_fsspec.loops import Loop
from weft_fsspec.parts import opened
from weft_fsspec.settings import PROTOCOLS, Fsspec
from weft_fsspec.stager import FsspecStager
from weft_fsspec.stores import merged
from weft_fsspec.trouble import Changed, Wrong, at_home, explained


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("s3://bucket/a/b%20c%2523.txt", Address("s3", "bucket", "a/b c%23.txt")),
        ("S3://bucket/a b", Address("s3", "bucket", "a b")),
        ("gcs://bucket/x", Address("gs", "bucket", "x")),
        ("az://container/x", Address("az", "container", "x")),
        ("abfss://c@account.host/x", Address("az", "c@account.host", "x")),
        ("sftp://ada@host:2222/data/%0A", Address("sftp", "ada@host:2222", "/data/\n")),
        ("s3://bucket/a//..%2fb", Address("s3", "bucket", "a//../b")),
    ],
)
def test_urls(url: str, address: Address) -> None:
    assert parsed(url) == address


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3:///key", "names no bucket"),
        ("sftp:///key", "names no server"),
        ("s3://bucket", "names no file"),
        ("s3://bucket/folder/", "names no file"),
        ("s3://bucket/a?versionId=7", "'?'"),
        ("s3://bucket/a#b", "'#'"),
        ("s3://bucket/%ff", "not UTF-8"),
        ("s3://bucket/a%00b", "zero byte"),
    ],
)
def test_urls_that_are_of_no_file(url: str, said: str) -> None:
    with pytest.raises(BadAddress) as error:
        parsed(url)
    assert said in str(error.value)


def test_a_password_in_a_url_is_refused_and_not_shown(tmp_path: Path) -> None:
    stager = FsspecStager(Fsspec())
    stager.start(FakeContext(tmp_path))
    place = Place(executor="test", folder=tmp_path)
    plan = stager.plan(Way.IN, File("sftp://ada:lovelace@host/x"), place)

    with pytest.raises(StagingError) as error:
        stager.move(plan)

    assert "password" in str(error.value)
    assert "lovelace" not in str(error.value)
    assert not error.value.again
    stager.close()


def test_options_are_not_shown() -> None:
    assert "lovelace" not in repr(Fsspec(options={"s3": {"secret": "lovelace"}}))


@pytest.mark.parametrize(
    "options", [{"ftp": {}}, {"s3": "lovelace"}, {"s3": {1: "lovelace"}}, ["lovelace"]]
)
def test_options_that_are_none(options: object) -> None:
    with pytest.raises((TypeError, ValueError), match="options") as error:
        Fsspec(options=options)  # type: ignore[arg-type]
    assert "lovelace" not in str(error.value)


def test_options_go_over_defaults_within_mappings_too() -> None:
    defaults = {"a": 1, "config": {"x": 1, "y": 2}}
    assert merged(defaults, {"b": 3, "config": {"y": 4}}) == {
        "a": 1,
        "b": 3,
        "config": {"x": 1, "y": 4},
    }


@pytest.mark.parametrize(
    ("protocol", "url"),
    [
        ("s3", "s3://bucket/x"),
        ("gs", "gs://bucket/x"),
        ("az", "az://container/x"),
        ("sftp", "sftp://host/x"),
    ],
)
def test_a_library_that_is_not_there_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str, url: str
) -> None:
    module = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs", "sftp": "sshfs"}[protocol]
    monkeypatch.setitem(sys.modules, module, None)
    stager = FsspecStager(Fsspec())
    stager.start(FakeContext(tmp_path))

    with pytest.raises(StagingError) as error:
        stager.validator(File(url))

    assert f"pip install 'weft-fsspec[{protocol}]'" in str(error.value)
    assert not error.value.again
    stager.close()


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    error.__cause__ = cause
    return error


class SlowDown(Exception):
    response = {  # noqa: RUF012 - as botocore's errors have it
        "Error": {"Code": "SlowDown"},
        "ResponseMetadata": {"HTTPStatusCode": 503},
    }


class HttpError(Exception):
    code = 429


class NoCredentialsError(Exception):
    pass


class HostKeyNotVerifiable(Exception):
    pass


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("error", "again"),
    [
        (FileNotFoundError(errno.ENOENT, "no such key"), False),
        (PermissionError("Forbidden"), False),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), True),
        (TimeoutError(), True),
        (raised(OSError(errno.EBUSY, "busy"), SlowDown("slow")), True),
        (HttpError("too many"), True),
        (EOFError("short"), True),
        (Changed("it changed"), True),
        (Wrong("it is a folder"), False),
        (NoCredentialsError("none"), False),
        (HostKeyNotVerifiable("who is that"), False),
        (raised(OSError("it failed"), ConnectionResetError("reset")), True),
        (TypeError("a slip"), False),
    ],
)
def test_errors(protocol: str, error: Exception, again: bool) -> None:
    what = explained(error, protocol)
    assert what.again is again
    assert what.why


def test_a_full_disk_is_a_matter_of_this_machine(tmp_path: Path) -> None:
    with pytest.raises(Wrong, match="cannot be written") as error, at_home(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert "space" in error.value.todo
    assert not explained(error.value, "s3").again


def test_a_part_is_found_again_and_those_of_other_versions_go(tmp_path: Path) -> None:
    final = tmp_path / "file"
    with opened(final, "one") as part:
        part.add(b"content")
    with opened(tmp_path / "other", "one") as part:
        assert part.size == 0
        part.add(b"of another")
    with opened(final, "one") as part:
        assert b"".join(part.pieces(3)) == b"content"
    with opened(final, "two") as part:
        assert part.size == 0
        part.add(b"new")
        part.finish(final, sync=True)
    assert final.read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 2  # and the part of the other


def test_a_part_that_somebody_writes_is_not_taken(tmp_path: Path) -> None:
    final = tmp_path / "file"
    with opened(final, "one") as mine:
        mine.add(b"mine")
        with opened(final, "one") as other:
            assert (other.size, other.known) == (0, False)
            assert other.path != mine.path
        with opened(final, "two"):
            assert mine.path.exists()
        assert [path for path in tmp_path.iterdir() if path == mine.path]


def test_a_loop_ends_and_may_begin_again() -> None:
    loop = Loop()
    first = loop.running()
    assert loop.running() is first
    assert [t for t in threading.enumerate() if t.name == "weft-fsspec-loop"]
    loop.close()
    loop.close()
    assert first.is_closed()
    second = loop.running()
    assert second is not first
    loop.close()
    assert second.is_closed()
