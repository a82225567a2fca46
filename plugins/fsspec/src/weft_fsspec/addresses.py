"""URLs of object stores and SFTP servers, taken apart. Pure.

s3://bucket/runs/a%20b.bam        protocol s3, bucket "bucket", path "runs/a b.bam"
sftp://ada@host:2222/data/b.bam   protocol sftp, host "ada@host:2222", path "/data/b.bam"
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

import attrs

from weft.data.urls import host_of, is_secret, masked

__all__ = ["Address", "BadAddress", "parsed"]

_PROTOCOL: Final[Mapping[str, str]] = {
    "s3": "s3",
    "gs": "gs",
    "gcs": "gs",
    "az": "az",
    "abfs": "az",
    "abfss": "az",
    "sftp": "sftp",
}


class BadAddress(ValueError):
    """A URL that cannot be of a file; ``todo`` is what to do about it."""

    def __init__(self, why: str, todo: str = "") -> None:
        super().__init__(why)
        self.todo = todo


@attrs.frozen
class Address:
    """Where a file is.

    Attributes:
        protocol: one of ``weft_fsspec.settings.PROTOCOLS``.
        host: bucket, container or server, as the URL has it.
        path: the name within it, with ``%20`` and the like undone; of SFTP it begins with a slash.
    """

    protocol: str
    host: str
    path: str


def parsed(url: str) -> Address:
    """Where the file of a URL is.

    Raises:
        BadAddress: it has a password, names no file, or has a part that is none of a name.
    """
    if is_secret(url):
        raise BadAddress(
            f"{masked(url)} holds a password, which would be written to logs.",
            "Leave it out of the URL; credentials are found in the environment, in the "
            "configuration of the store's own tools, or among the keys of SSH.",
        )
    scheme, _, rest = url.partition("://")
    protocol = _PROTOCOL[scheme.lower()]
    host = host_of(url)
    if not host:
        what = "server" if protocol == "sftp" else "bucket"
        raise BadAddress(f"It names no {what}.", f"Write {scheme}://{what.upper()}/PATH.")
    raw = rest[len(host) :]
    for mark, coded in (("?", "%3F"), ("#", "%23")):
        if mark in raw:
            raise BadAddress(
                f"It has {mark!r}, behind which stands no part of a name.",
                f"Write {coded} if it is a letter of the name.",
            )
    try:
        path = unquote(raw.removeprefix("/"), errors="strict")
    except UnicodeDecodeError:
        raise BadAddress("Its path is not UTF-8, as names there are.") from None
    if not path or path.endswith("/"):
        raise BadAddress("It names no file: nothing stands behind the last slash.")
    if "\0" in path:
        raise BadAddress("It has a zero byte, which no name has.")
    return Address(protocol, host, f"/{path}" if protocol == "sftp" else path)
