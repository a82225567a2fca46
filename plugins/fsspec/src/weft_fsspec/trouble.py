"""What an error of a file system means: why, what to do, and whether to try again. Pure.

Errors are known by the names of their classes, so that no library of a protocol is loaded for it.
"""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

__all__ = ["Changed", "Explained", "Wrong", "at_home", "explained"]


class Wrong(Exception):
    """What this package itself finds wrong; trying again is no use.

    Attributes:
        todo: what to do about it, if that is known.
    """

    def __init__(self, why: str, todo: str = "") -> None:
        super().__init__(why)
        self.todo = todo


class Changed(Exception):
    """A file was not the same, or not whole, from beginning to end; another try may find it so."""


@attrs.frozen
class Explained:
    """An error, for a person and for who may try again.

    Attributes:
        why: what the other side said.
        todo: what to do about it; empty where there is nothing but to read what was said.
        again: whether another try may help.
    """

    why: str
    todo: str
    again: bool


_CREDENTIALS: Final = frozenset(
    {
        "NoCredentialsError",
        "PartialCredentialsError",
        "CredentialRetrievalError",
        "ProfileNotFound",
        "DefaultCredentialsError",
        "ClientAuthenticationError",
    }
)
_KEYS: Final = frozenset({"HostKeyNotVerifiable", "KeyImportError"})
_REFUSED: Final = frozenset({"PermissionError", "PermissionDenied", "SFTPPermissionDenied"})
_ABSENT: Final = frozenset({"FileNotFoundError", "SFTPNoSuchFile", "ResourceNotFoundError"})
_CERTIFICATE: Final = frozenset(
    {"SSLCertVerificationError", "ClientConnectorCertificateError", "SSLError"}
)
_PASSING: Final = frozenset(
    {
        "Changed",
        "ConnectionError",  # and those that inherit from it, such as a refused connection
        "TimeoutError",
        "FSTimeoutError",
        "gaierror",
        "EOFError",
        # botocore
        "HTTPClientError",
        "EndpointConnectionError",
        "IncompleteReadError",
        "ResponseParserError",
        # aiohttp
        "ClientConnectionError",
        "ClientPayloadError",
        "ContentLengthError",
        "IncompleteRead",
        # asyncssh
        "ConnectionLost",
        "DisconnectError",
        "ChannelOpenError",
        "SFTPConnectionLost",
        "SFTPNoConnection",
        # azure
        "ServiceRequestError",
        "ServiceResponseError",
    }
)
_BUSY: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_BUSY_CODES: Final = frozenset(
    {
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "InternalError",
        "ServiceUnavailable",
        "OperationAborted",
        "ServerBusy",
    }
)
_SPACE: Final = frozenset({errno.ENOSPC, errno.EFBIG, errno.EDQUOT})


@contextlib.contextmanager
def at_home(path: Path) -> Iterator[None]:
    """What fails meanwhile is a matter of this machine's disk.

    Raises:
        Wrong: in place of an ``OSError``.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in _SPACE
        raise Wrong(
            f"{str(path)!r} cannot be written: {error.strerror or error}.",
            "Make space, or have files put elsewhere." if full else "Look at that folder.",
        ) from error


def explained(error: BaseException, protocol: str) -> Explained:
    """What an error means.

    Args:
        error: of the file system of a protocol, or of this package.
        protocol: see ``Address.protocol``.
    """
    chain = list(_chain(error))
    names = {cls.__name__ for one in chain for cls in type(one).__mro__}
    said = _said(chain)
    if isinstance(error, Wrong):
        return Explained(str(error), error.todo, again=False)
    if names & _CREDENTIALS:
        return Explained(said, _WHERE[protocol], again=False)
    if names & _KEYS:
        return Explained(
            said,
            "Connect once by ssh to see the key of that server, and compare it; then it is in "
            "~/.ssh/known_hosts.",
            again=False,
        )
    if names & _CERTIFICATE:
        return Explained(
            said, "Look at the server's certificate, and at who is trusted.", again=False
        )
    if _busy(chain):
        return Explained(said, "It is busy; it may take it later.", again=True)
    if names & _ABSENT:
        return Explained(
            f"There is no such file ({said})", "Check the URL, and the name of the bucket.", False
        )
    if names & _REFUSED:
        return Explained(f"It is refused ({said})", _WHERE[protocol], again=False)
    if names & _PASSING:
        return Explained(said, "", again=True)
    return Explained(said, "", again=False)


_WHERE: Final = {
    "s3": "Check what this user may do there, and which credentials are found: AWS_ACCESS_KEY_ID "
    "and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, ~/.aws, or options={'s3': {'anon': True}} for public "
    "buckets.",
    "gs": "Check what this user may do there, and which credentials are found: "
    "GOOGLE_APPLICATION_CREDENTIALS, those of gcloud, or options={'gs': {'token': 'anon'}} for "
    "public buckets.",
    "az": "Check what this user may do there, and which credentials are found: "
    "AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME with "
    "AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN.",
    "sftp": "Check the permissions there, the name of the user before '@', and the keys: those of "
    "the agent, by ssh-add -l, and those that ~/.ssh/config names.",
}


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and those that it was raised from; at most ten."""
    one: BaseException | None = error
    for _ in range(10):
        if one is None:
            return
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _said(chain: list[BaseException]) -> str:
    """The words of the first one that has some."""
    for one in chain:
        text = (one.strerror or "") if isinstance(one, OSError) and one.errno else str(one)
        text = " ".join(text.split())
        if text:
            return f"{type(one).__name__}: {text}"[:500]
    return type(chain[0]).__name__


def _busy(chain: list[BaseException]) -> bool:
    for one in chain:
        status = getattr(one, "status_code", None) or getattr(one, "code", None)
        answer = getattr(one, "response", None)
        if isinstance(answer, dict):  # botocore's
            if answer.get("Error", {}).get("Code") in _BUSY_CODES:
                return True
            status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if isinstance(status, str) and status.isdigit():
            status = int(status)
        if isinstance(status, int) and status in _BUSY:
            return True
    return False
