"""Why a member cannot be moved, before it is known for which transfer. Pure."""

import errno
from typing import Final

__all__ = ["Trouble", "of_system"]

_PASSING: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EINTR, errno.ESTALE, errno.EIO, errno.EMFILE, errno.ENFILE}
)


class Trouble(Exception):
    """Why, what to do, and whether another try may help."""

    def __init__(self, why: str, todo: str = "", *, again: bool = False) -> None:
        super().__init__(why)
        self.why, self.todo, self.again = why, todo, again


def of_system(error: OSError, what: str) -> Trouble:
    """What the system said.

    Args:
        error: as it was raised.
        what: what could not be done.
    """
    return Trouble(
        f"{what}: {error.strerror or error}.",
        "Look at the space and the permissions there.",
        again=error.errno in _PASSING,
    )
