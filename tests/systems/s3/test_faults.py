"""What a store does wrong is an error that says so, and whether to try again."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.systems.s3.conftest import Bucket, Fault
from weft.errors import StagingError
from weft.interfaces.stager import Place, Transfer, Way
from weft.testing import FakeContext
from weft.values.files import File
from weft_fsspec import Fsspec, FsspecStager

LARGE = 12 * 1024 * 1024

Open = Callable[..., "FsspecStager"]


@pytest.fixture
def opened(bucket: Bucket, tmp_path: Path) -> Iterator[Open]:
    """Makes a stager with some options, and closes it."""
    with contextlib.ExitStack() as ends:

        def make(**options: Any) -> FsspecStager:
            settings = Fsspec(options={"s3": {"endpoint_url": bucket.endpoint}}, **options)
            stager = FsspecStager(settings)
            stager.start(FakeContext(tmp_path))
            ends.callback(stager.close)
            return stager

        yield make


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    folder = tmp_path / "tasks"
    folder.mkdir()
    return folder


def planned(stager: FsspecStager, way: Way, file: File, folder: Path) -> Transfer:
    return stager.plan(way, file, Place(executor="test", folder=folder, shared=False))


def refused(stager: FsspecStager, transfer: Transfer) -> StagingError:
    with pytest.raises(StagingError) as error:
        stager.move(transfer)
    return error.value


@pytest.mark.parametrize(
    ("fault", "way", "said"),
    [
        # An answer to HEAD, which comes first on the way in, has a number and no words of its own.
        ("busy", Way.IN, "Service Unavailable"),
        ("busy", Way.OUT, "SlowDown"),
        ("broken", Way.IN, "Internal Server Error"),
        ("broken", Way.OUT, "InternalError"),
        ("refused", Way.IN, "It is refused"),
        ("refused", Way.OUT, "AccessDenied"),
    ],
)
def test_an_answer_that_is_none(
    bucket: Bucket, opened: Open, tasks: Path, *, way: Way, fault: Fault, said: str
) -> None:
    stager = opened()
    file = bucket.publish(b"content", "file")
    plan = planned(stager, way, file, tasks)
    if way is Way.OUT:
        plan.placed.as_path().write_bytes(b"another")
    bucket.front.fault = fault

    error = refused(stager, plan)

    assert error.again is (fault != "refused")
    assert said in error.reason
    assert len(bucket.front.asked) == 1, "it tried again by itself"
    bucket.front.fault = ""
    assert bucket.fetch(file) == b"content"
    stager.move(plan)
    assert bucket.fetch(file) == plan.placed.as_path().read_bytes()


def test_silence_ends(bucket: Bucket, opened: Open, tasks: Path) -> None:
    stager = opened(read_timeout=1)
    plan = planned(stager, Way.IN, bucket.publish(b"content", "file"), tasks)
    bucket.front.fault = "silent"

    error = refused(stager, plan)

    assert error.again
    assert "imeout" in error.reason
    assert list(tasks.iterdir()) == []


def test_another_content_than_the_checksum_says(bucket: Bucket, opened: Open, tasks: Path) -> None:
    stager = opened()
    plan = planned(stager, Way.IN, bucket.publish(b"content", "file"), tasks)
    bucket.front.fault = "altered"

    error = refused(stager, plan)

    assert "MD5" in error.reason
    assert error.again
    assert list(tasks.iterdir()) == []


def test_a_file_that_changes_as_it_is_brought(bucket: Bucket, opened: Open, tasks: Path) -> None:
    stager = opened(piece=5 * 1024 * 1024)
    plan = planned(stager, Way.IN, bucket.publish(b"a" * LARGE, "file"), tasks)
    bucket.front.change = lambda: bucket.publish(b"b" * LARGE, "file")
    bucket.front.fault = "changing"

    error = refused(stager, plan)

    assert "changed while it was brought" in error.reason
    assert error.again
    assert list(tasks.iterdir()) == []
    bucket.front.fault = ""
    stager.move(plan)
    assert plan.placed.as_path().read_bytes() == b"b" * LARGE


def test_a_file_that_grows_as_it_is_sent(bucket: Bucket, opened: Open, tasks: Path) -> None:
    stager = opened(piece=5 * 1024 * 1024)
    file = bucket.publish(b"before", "file")
    plan = planned(stager, Way.OUT, file, tasks)
    made = plan.placed.as_path()
    made.write_bytes(b"a" * LARGE)

    class Growing(FakeContext):
        def progress(self, transfer: Transfer, done: int, total: int | None = None) -> None:
            with made.open("ab") as grown:
                grown.write(b"more")

    stager.start(Growing(tasks))
    error = refused(stager, plan)

    assert "changed while it was sent" in error.reason
    assert not error.again
    assert bucket.fetch(file) == b"before"
    assert set(bucket.names()) == {"file"}


def test_who_may_only_write_is_told_so_and_may_say_so(
    bucket: Bucket, opened: Open, tasks: Path
) -> None:
    plan = planned(opened(), Way.OUT, bucket.address("file"), tasks)
    plan.placed.as_path().write_bytes(b"content")
    bucket.front.fault = "unseen"

    error = refused(opened(), plan)

    assert "It was sent" in error.reason
    assert "verify=False" in str(error)
    assert not error.again
    plan.placed.as_path().write_bytes(b"another")
    opened(verify=False).move(plan)
    assert bucket.fetch(plan.file) == b"another"


def test_without_credentials(
    bucket: Bucket, opened: Open, tasks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", os.fspath(tasks))
    stager = opened()

    error = refused(stager, planned(stager, Way.IN, bucket.publish(b"content", "file"), tasks))

    assert "NoCredentialsError" in error.reason
    assert "AWS_ACCESS_KEY_ID" in str(error)
    assert not error.again


def test_a_bucket_that_is_not_there(bucket: Bucket, opened: Open, tasks: Path) -> None:
    stager = opened()

    error = refused(stager, planned(stager, Way.IN, File("s3://no-such-bucket-of-ours/x"), tasks))

    assert "There is no such file" in error.reason
    assert not error.again
