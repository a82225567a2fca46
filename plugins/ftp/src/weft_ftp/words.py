"""What an error of an FTP transfer means, for people and for who tries again. Pure.

Replies are those of RFC 959, section 4.2: 4yz for what may pass, 5yz for what will not.
"""

import errno
import ftplib
import re
import socket
import ssl
from typing import Final

import attrs

__all__ = ["Trouble", "code_of", "understood"]


@attrs.frozen
class Trouble:
    """Why a transfer failed.

    Attributes:
        why, todo: for people.
        again: whether another try may help.
    """

    why: str
    todo: str = ""
    again: bool = False


_TODO: Final = {
    421: "The server ends connections; it may have too many of them: see the option connections.",
    425: "The way to the server's port for data may be closed by a firewall.",
    452: "Make space there.",
    530: "Give a user and a password: 'machine HOST login USER password WORD' in ~/.netrc.",
    532: "The server wants an account, which cannot be given.",
    534: "The server does not take TLS as it is asked for.",
    550: "Check the path, which is case-sensitive, and the permissions there.",
    552: "Make space there.",
    553: "Check the name, and the permissions there.",
}
_CODE: Final = re.compile(r"([1-5][0-9]{2})(?:[ -]|$)")
_GONE: Final = frozenset(
    {
        errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ETIMEDOUT,
        errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.ENOTCONN,
        errno.EBADF,
    }
)  # fmt: skip


def code_of(error: BaseException) -> int:
    """The code of a reply that was raised; 0 for anything else."""
    found = _CODE.match(str(error)) if isinstance(error, ftplib.Error) else None
    return int(found[1]) if found else 0


def understood(error: BaseException, server: str) -> Trouble:
    """What an error means that came while a server was talked to."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Trouble(
            f"The certificate of {server} is not to be trusted: {error.verify_message}.",
            "If it is right, name what signed it by the option ca_file; if not, somebody else may "
            "answer in its place.",
        )
    if isinstance(error, ftplib.error_temp):
        return Trouble(f"{server} said: {error}.", _TODO.get(code_of(error), ""), again=True)
    if isinstance(error, ftplib.error_perm):
        return Trouble(f"{server} said: {error}.", _TODO.get(code_of(error), ""))
    if isinstance(error, ftplib.Error):
        return Trouble(
            f"{server} does not speak FTP as it should: {str(error)[:200]!r}.",
            "Check the host and the port.",
        )
    if isinstance(error, EOFError):
        return Trouble(f"{server} ended the connection.", again=True)
    if isinstance(error, TimeoutError):
        return Trouble(
            f"{server} was silent for too long.",
            "The options connect_timeout and read_timeout say how long.",
            again=True,
        )
    if isinstance(error, socket.gaierror):
        return Trouble(f"{server} is not known: {error.strerror}.", "Check the name.", again=True)
    if isinstance(error, ssl.SSLError):
        return Trouble(
            f"TLS with {server} failed: {error}.",
            "Check whether the server speaks TLS at that port, and the option implicit.",
            again=isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError),
        )
    if isinstance(error, OSError):
        return Trouble(
            f"The connection to {server} failed: {error.strerror or error}.",
            again=error.errno in _GONE,
        )
    return Trouble(f"{type(error).__name__}: {error}")
