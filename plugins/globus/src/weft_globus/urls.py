"""Pure: what a URL of Globus names.

``globus://COLLECTION/path/to/file``: the collection by its id, the path percent-encoded. The path
is one of the collection, which begins at its base folder; ``/~/`` is the home there.
"""

import posixpath
import uuid
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import quote, unquote

import attrs

__all__ = ["BadUrl", "Position", "below", "position_of"]

_SCHEME: Final = "globus://"


class BadUrl(ValueError):
    """A URL that names no file of a collection; says why, and what to write."""

    def __init__(self, why: str, todo: str) -> None:
        super().__init__(why)
        self.why, self.todo = why, todo


@attrs.frozen
class Position:
    """A path of a collection.

    Attributes:
        collection: its id, in lower case.
        path: absolute, as the service wants it: not encoded.
    """

    collection: str
    path: str

    def joined(self, *parts: str) -> "Position":
        """A path below this one."""
        return Position(self.collection, posixpath.join(self.path, *parts))

    def beside(self, name: str) -> "Position":
        """Another name in the same folder."""
        return Position(self.collection, posixpath.join(posixpath.dirname(self.path), name))

    @property
    def url(self) -> str:
        """The URL that ``position_of`` reads so."""
        return f"{_SCHEME}{self.collection}{quote(self.path)}"

    def __str__(self) -> str:
        return f"{self.collection}:{self.path}"


def position_of(url: str) -> Position:
    """What a URL names.

    Raises:
        BadUrl: it names nothing, or more than a file, or leads out.
    """
    collection, slash, encoded = url[len(_SCHEME) :].partition("/")
    try:
        collection = str(uuid.UUID(collection))
    except ValueError:
        raise BadUrl(
            "What stands behind globus:// is not the id of a collection.",
            "Write globus://ID/path, with the UUID that the Globus web app shows for the "
            "collection.",
        ) from None
    for mark in "?#":
        if mark in encoded:
            raise BadUrl(
                f"There is a {mark!r} in it, which may be part of a name or not.",
                f"Write %{ord(mark):X} for a {mark!r} in a name.",
            )
    path = unquote(encoded, errors="surrogateescape")
    if not slash or not path:
        raise BadUrl("It names a collection, and no file in it.", "Write the path of one file.")
    if "\0" in path or "\r\n" in path:
        raise BadUrl("Globus takes no names with a NUL, or with \\r\\n.", "Rename the file.")
    try:
        path.encode()
    except UnicodeEncodeError:
        raise BadUrl(
            "Its name is not Unicode in UTF-8, as names of Globus are.", "Rename the file."
        ) from None
    parts = path.split("/")
    if any(part in {"", ".", ".."} for part in parts):
        raise BadUrl(
            "Its path has a part that is empty, '.' or '..'.",
            "Write the whole path of one file, without a slash at its end.",
        )
    return Position(collection, f"/{path}")


def below(path: str, folder: str) -> str | None:
    """The path relative to a folder; ``None`` if it is not in it. Both absolute and normal."""
    try:
        inner = PurePosixPath(path).relative_to(folder)
    except ValueError:
        return None
    return None if ".." in inner.parts else str(inner)
