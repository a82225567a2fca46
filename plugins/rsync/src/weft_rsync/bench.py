"""The folder of one transfer, beside the places of its files.

.HEX.part/                    in: what arrives; out: links to what tasks made
.HEX.part/a/b.txt             a file, under the path that it has at the other end
.HEX.part/a/.weft-partial/b.txt   what has come of it so far, as rsync keeps it
.HASH.part                    the same, while it waits for the next try
"""

import contextlib
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path

import attrs

from weft.data.made import open_made
from weft.data.urls import part_for
from weft.errors import StagingError
from weft.interfaces.stager import Transfer, Way
from weft_rsync.address import Address
from weft_rsync.command import PARTIAL

__all__ = ["Job", "Unclear", "adopt", "begun", "bench", "inside", "keep", "lay", "size_of_file"]


@attrs.frozen
class Job:
    """A file that is moved.

    Attributes:
        number: its place among several.
        begun: how many bytes of it have been left by an earlier try.
    """

    number: int
    transfer: Transfer
    address: Address
    begun: int = 0


class Unclear(StagingError):
    """It failed beside others, and what was said does not tell of which."""


@contextlib.contextmanager
def bench(folder: Path) -> Iterator[Path]:
    """A folder for one transfer, on the file system of the files' places; gone afterwards."""
    made = folder / f".{uuid.uuid4().hex}.part"
    made.mkdir(mode=0o700)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def inside(bench: Path, job: Job) -> Path:
    """Where a file is in the folder of its transfer."""
    return bench / job.address.path


def _partial(bench: Path, job: Job) -> Path:
    """Where rsync keeps what has come of a file so far, and looks for it."""
    path = inside(bench, job)
    return path.with_name(PARTIAL) / path.name


def _kept(job: Job) -> Path:
    """Where that waits for the next try."""
    placed = job.transfer.placed.as_path()
    return placed.with_name(part_for(placed.name, ""))


def begun(job: Job) -> Job:
    """The same, knowing how much of it has been left by an earlier try."""
    if job.transfer.way is Way.OUT:
        return job
    return attrs.evolve(job, begun=size_of_file(_kept(job)) or 0)


def adopt(job: Job, bench: Path) -> None:
    """Take over what an earlier try has left; of several at once, one gets it."""
    part = _partial(bench, job)
    if not _kept(job).exists():
        return
    part.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        _kept(job).replace(part)


def keep(job: Job, bench: Path) -> None:
    """Leave what has come so far to the next try, if there is any."""
    part = _partial(bench, job)
    if size_of_file(part):
        part.replace(_kept(job))


def lay(job: Job, bench: Path) -> None:
    """Lay out what a task made under the path that it has over there."""
    path = inside(bench, job)
    with open_made(job.transfer) as made:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = os.fstat(made.fileno())
        try:
            path.hardlink_to(job.transfer.placed.as_path().resolve())
        except FileExistsError:
            raise Unclear(job.transfer.file.url, Way.OUT, "Another file goes there.") from None
        except OSError:
            pass  # no file system takes every link
        else:
            if os.path.samestat(opened, path.lstat()):
                return
            path.unlink()
        with path.open("xb") as copied:
            shutil.copyfileobj(made, copied, 1024 * 1024)
        os.utime(path, ns=(opened.st_atime_ns, opened.st_mtime_ns))


def size_of_file(path: Path) -> int | None:
    """The size of a regular file; ``None`` if there is none, or something else."""
    try:
        facts = path.lstat()
    except OSError:
        return None
    return facts.st_size if stat.S_ISREG(facts.st_mode) else None
