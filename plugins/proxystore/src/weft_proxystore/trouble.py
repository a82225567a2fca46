"""What an error of a store means to who moves a file: pure, by what its class is called.

The libraries of connectors are not imported for it, since only one of them need be there.
"""

from __future__ import annotations

import errno
from typing import Final

import attrs

__all__ = ["Trouble", "understood"]

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LOGIN: Final = {"AuthenticationError", "AuthorizationError", "NoPermissionError"}
_AWAY: Final = {"ConnectionError", "TimeoutError", "Timeout", "BusyLoadingError", "NoEndpoint"}


@attrs.frozen
class Trouble:
    """What to tell of an error.

    Attributes:
        todo: what to do about it.
        again: whether another try may help.
    """

    todo: str
    again: bool


def understood(error: BaseException | None) -> Trouble:
    """What an error of a connector means."""
    names = {one.__name__ for one in type(error).__mro__}
    text = str(error)
    full = isinstance(error, OSError) and error.errno in _FULL
    if full or "OutOfMemoryError" in names or "maxmemory" in text:
        return Trouble(
            "The store is full: give it more room (such as maxmemory of Redis), use the connector "
            "'file', or let fewer files be there at once; files go when the run ends.",
            again=True,
        )
    if names & _LOGIN:
        return Trouble(
            "Set the password in the environment variable of the store, WEFT_REDIS_PASSWORD, for "
            "the script and where tasks run.",
            again=False,
        )
    if names & _AWAY:
        return Trouble(
            "See that the store runs, and can be reached from here: its address, its port, and "
            "what is between.",
            again=True,
        )
    if "RequestException" in names:
        if "exceeds" in text:
            return Trouble("Let the option piece_size be less than that.", again=False)
        return Trouble(
            "See that the endpoint of the other site runs, and that both reach the same relay "
            "server.",
            again=True,
        )
    return Trouble("Look at the store, and at the options of its connector.", again=False)
