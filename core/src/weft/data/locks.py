"""Files that stand for something while they are locked, and whose owner may be killed.

A lock is a file that its owner makes, locks and at last removes. The system releases the lock of a
process that ends; then the file is still there, and whoever locks it knows that its owner is gone.
"""

import errno
import fcntl
import os
from typing import Final

__all__ = ["NO_LOCK", "locked"]

NO_LOCK: Final = -1
"""In place of a lock, where the file system has none."""

_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})


def locked(path: str, *, make: bool = True) -> int:
    """A lock that is held until the number that is returned is closed; or ``NO_LOCK``.

    Args:
        path: the file.
        make: whether it is made if it is not there.

    Raises:
        BlockingIOError: another one has it.
        OSError: there is no such file, or none can be made.
    """
    how = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if make else 0)
    while True:
        file = os.open(path, how, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(file, path):
                return file
        except OSError as error:
            os.close(file)
            if error.errno in _NO_LOCKS:
                return NO_LOCK
            raise
        except BaseException:
            os.close(file)
            raise
        os.close(file)  # who had it has removed it: the lock of today is another file


def _is_still(file: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.lstat(path))
    except FileNotFoundError:
        return False
