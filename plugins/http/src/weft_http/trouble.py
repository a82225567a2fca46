"""What stands in the way of a transfer, in words; and the words for what libraries raise. Pure."""

import errno
import http.client
import os
import socket
import ssl

import urllib3.exceptions

from weft.data.urls import masked

__all__ = ["Trouble", "of_connection", "of_disk"]


class Trouble(Exception):
    """A transfer cannot go on. Turned into a ``StagingError``, which also names the file.

    Attributes:
        reason: what happened.
        todo: what to do about it; may be empty.
        again: whether another try may help.
        retry_after: seconds that the server asked to be left alone for before that.
    """

    def __init__(
        self, reason: str, todo: str = "", *, again: bool = False, retry_after: float = 0.0
    ) -> None:
        super().__init__(reason)
        self.reason, self.todo, self.again = reason, todo, again
        self.retry_after = retry_after


_PROXY = "Look at HTTP_PROXY, HTTPS_PROXY and NO_PROXY in the environment."


def of_connection(error: BaseException, server: str, *, sending: bool = False) -> Trouble:
    """What a connection that failed means.

    Args:
        error: what urllib3, or what it stands on, raised.
        server: the host and port, for people.
        sending: whether a file was on its way there.
    """
    chain = list(_chain(error))
    for one in chain:
        if isinstance(one, urllib3.exceptions.ProxyError):
            return Trouble(f"The proxy on the way to {server} failed: {_word(chain)}.", _PROXY)
        if isinstance(one, ssl.SSLCertVerificationError):
            return Trouble(
                f"The certificate of {server} is not trusted: {one.verify_message}.",
                "If it is one of your site's own, name the certificate of its authority by the "
                "option ca_file; otherwise ask who runs the server.",
            )
        if isinstance(one, socket.gaierror):
            return Trouble(
                f"No address is known for {server}: {one.strerror}.",
                "Look at the spelling of the host, and whether this machine reaches a name server.",
                again=one.errno == socket.EAI_AGAIN,
            )
        if isinstance(one, urllib3.exceptions.LocationValueError):
            return Trouble(f"The URL cannot be used: {one}.", "Mend the URL.")
    for one in chain:
        if isinstance(one, TimeoutError | urllib3.exceptions.TimeoutError) and not isinstance(
            one, urllib3.exceptions.NewConnectionError
        ):
            connecting = isinstance(one, urllib3.exceptions.ConnectTimeoutError)
            option = "connect_timeout" if connecting else "read_timeout"
            what = "did not accept a connection" if connecting else "was silent"
            return Trouble(
                f"{server} {what} for as long as {option} allows.",
                f"If it is only slow, give more by the option {option}.",
                again=True,
            )
    if any(isinstance(one, ConnectionRefusedError) for one in chain):
        return Trouble(
            f"{server} refused the connection.",
            "Look at the port, and whether the server runs.",
            again=True,
        )
    while_ = " while the file was sent" if sending else ""
    return Trouble(
        f"The connection to {server} broke{while_}: {_word(chain)}.",
        "Look at the log of the server if it happens again.",
        again=True,
    )


def _chain(error: BaseException) -> list[BaseException]:
    """An error and all that it is said to come from, the first cause last."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
    return found


def _word(chain: list[BaseException]) -> str:
    """The words of the first cause, as it is told to people."""
    for one in reversed(chain):
        if isinstance(one, http.client.RemoteDisconnected):
            return "it was closed without an answer"
        if isinstance(one, http.client.IncompleteRead):
            if one.expected:
                return f"it ended {one.expected:,} bytes short of the length that was named"
            return "it ended in the middle of the file"
        if isinstance(one, http.client.BadStatusLine):
            return f"what came is no HTTP: {str(one)[:60]!r}"
        if isinstance(one, ssl.SSLEOFError):
            return "it ended in the middle of TLS"
        if isinstance(one, OSError) and one.strerror:
            return one.strerror
    text = " ".join(str(chain[-1]).split())
    return masked(text[:200].rstrip(".")) or type(chain[-1]).__name__


def of_disk(error: OSError, path: str) -> Trouble:
    """What an error of this machine's files means."""
    why = error.strerror or os.strerror(error.errno or errno.EIO)
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return Trouble(
            f"Writing {path!r} failed: {why}.",
            "Make room there, or have tasks run in a folder of a larger disk.",
            # Space comes back when other tasks end; a quota is seldom raised in time.
            again=error.errno == errno.ENOSPC,
        )
    return Trouble(
        f"Writing {path!r} failed: {why}.",
        "Look at the permissions and limits there.",
        again=error.errno == errno.ESTALE,
    )
