"""A disk that is full, for one process: no file can grow beyond a size."""

import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

__all__ = ["die_beyond", "no_file_beyond", "no_file_beyond_in"]


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """While this holds, a write beyond ``size`` bytes of a file fails with an ``OSError``.

    Of this process and those that it starts. The signal that comes with it is ignored by Python; a
    command that ``subprocess`` starts is ended by it unless it is told ``restore_signals=False``.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def no_file_beyond_in(process: int, size: int) -> AbstractContextManager[None] | None:
    """As ``no_file_beyond``, of another process; ``None`` where the system cannot do that.

    What that process has started before is not limited.
    """
    return _limited(process, size) if sys.platform == "linux" else None


if sys.platform == "linux":

    @contextmanager
    def _limited(process: int, size: int) -> Iterator[None]:
        soft, hard = resource.prlimit(process, resource.RLIMIT_FSIZE)
        resource.prlimit(process, resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.prlimit(process, resource.RLIMIT_FSIZE, (soft, hard))


def die_beyond(size: int) -> None:
    """Have the kernel kill this process when it writes beyond ``size`` bytes of a file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
