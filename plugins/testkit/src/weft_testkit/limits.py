"""A disk that is full, for one process: no file can grow beyond a size."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["die_beyond", "no_file_beyond"]


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """While this holds, a write beyond ``size`` bytes of a file fails with an ``OSError``.

    Of this process and those that it starts. The signal that comes with it is ignored by Python.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def die_beyond(size: int) -> None:
    """Have the kernel kill this process when it writes beyond ``size`` bytes of a file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
