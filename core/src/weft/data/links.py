"""A file put at another place without its bytes being copied, where the file system can do that.

    hard link  ──▶ the same file by a second name: the fastest; within one file system
    shared     ──▶ a file of its own whose blocks are shared until one is written (Btrfs, XFS)
    copy       ──▶ a file of its own: everywhere else

What is put is seen under its name only when it is whole, and takes the place of a file that is
there.
"""

import contextlib
import errno
import os
import shutil
import stat
import uuid
from typing import Final

__all__ = ["copied", "placed", "unlinked"]

_NO_LINK: Final = frozenset(
    {errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES}
)
"""Another file system; too many links; one that has no links, or none to such a file."""
_NO_RANGE: Final = frozenset(
    {errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EBADF}
)
_STEP: Final = 1 << 26


def placed(source: str, target: str) -> bool:
    """Put a regular file at ``target``; returns whether it is a hard link.

    Raises:
        OSError: it could not be done.
    """
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        with contextlib.suppress(FileNotFoundError):  # the source is gone, which is said below
            if os.path.samestat(os.lstat(source), os.lstat(target)):
                return True
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        _by_a_part(source, target, link=False)
        return False
    else:
        return True
    try:
        _by_a_part(source, target, link=True)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        _by_a_part(source, target, link=False)
        return False
    return True


def _by_a_part(source: str, target: str, *, link: bool) -> None:
    """Make it under a name of its own first: what is at ``target`` is replaced at once."""
    folder = os.path.dirname(target)  # noqa: PTH120 - as fast as can be
    part = os.path.join(folder, f".{uuid.uuid4().hex}.part")  # noqa: PTH118 - as above
    try:
        if link:
            os.link(source, part, follow_symlinks=False)
        else:
            copied(source, part)
        os.replace(part, target)  # noqa: PTH105 - as above
    finally:
        # Also when all went well: replacing a file by itself leaves both names.
        unlinked(part)


def copied(source: str, target: str) -> None:
    """Make a copy with the same permissions and time of change; ``target`` must not be there.

    Raises:
        OSError: it could not be done; a part of it may be there.
    """
    look = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
    make = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(source, look), "rb") as reading:
        facts = os.fstat(reading.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", source)
        with os.fdopen(os.open(target, make, 0o600), "wb") as writing:
            if not _shared(reading.fileno(), writing.fileno()):
                shutil.copyfileobj(reading, writing, 1 << 20)
            writing.flush()
            os.fchmod(writing.fileno(), stat.S_IMODE(facts.st_mode) & 0o777)
            os.utime(writing.fileno(), ns=(facts.st_atime_ns, facts.st_mtime_ns))


def _shared(reading: int, writing: int) -> bool:
    """Have the system copy, which shares blocks where it can; whether it did all of it."""
    if not hasattr(os, "copy_file_range"):
        return False
    done = 0
    try:
        while count := os.copy_file_range(reading, writing, _STEP, done, done):
            done += count
    except OSError as error:
        if error.errno not in _NO_RANGE:
            raise
        if done:
            raise
        return False
    # Some file systems made on the fly, such as /proc, answer 0 for files that have content.
    return done > 0


def unlinked(path: str) -> None:
    """Remove a file, if it is there and that is allowed."""
    with contextlib.suppress(OSError):
        os.unlink(path)  # noqa: PTH108 - as above
