"""``File``: where a datum lives, and the name by which a task on a node knows it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import attrs

__all__ = ["File", "Site"]

_BESIDE_LETTERS: Final = dict.fromkeys(map(ord, "+.-"))
"""What a scheme may hold besides letters and digits."""


def _to_url(url: "str | os.PathLike[str]") -> str:
    if isinstance(url, File):
        return url.url
    return os.fspath(url)


def _to_path(path: "str | os.PathLike[str]") -> str:
    return os.fspath(path)


def _is_url(text: str) -> bool:
    # A path may hold '://' too: what stands before it must be able to be a scheme.
    head, found, _ = text.partition("://")
    plain = head.translate(_BESIDE_LETTERS)
    return bool(found) and head[:1].isalpha() and plain.isalnum() and plain.isascii()


@attrs.frozen(repr=False)
class File:
    """A file, by its URL or its path.

    ``File("data/a.txt")``, ``File(Path("/data/a.txt"))`` and ``File("file:///data/a.txt")`` are
    local files, known by the scheme ``file``; anything with another scheme is brought by the stager
    that moves that scheme. With a slash at its end, ``File("plots/")``, it is a folder and all that
    is in it. Passing a File to an app asks for it to be there when the task runs;
    inside the task ``open(file)`` works, since a File is a path.

    Args:
        url: a path or a URL.
        local_path: where this file is found on the machine that uses it; set by stagers, rarely by
            users.
    """

    url: str = attrs.field(converter=_to_url)
    local_path: str | None = None

    @property
    def scheme(self) -> str:
        """The scheme in lower case; ``file`` for plain paths."""
        return self.url.partition("://")[0].lower() if _is_url(self.url) else "file"

    @property
    def netloc(self) -> str:
        """The host part of the URL, or an empty string."""
        return urlsplit(self.url).netloc if _is_url(self.url) else ""

    @property
    def path(self) -> str:
        """The path part.

        For ``file`` URLs and plain paths it is the path on this machine, with ``%20`` and the like
        undone.
        """
        if not _is_url(self.url):
            return self.url
        parts = urlsplit(self.url)
        return unquote(parts.path) if parts.scheme.lower() == "file" else parts.path

    @property
    def filename(self) -> str:
        """The last part of the path, that of a folder without its slash."""
        path = self.path.rstrip("/") if self.is_folder else self.path
        return os.path.basename(path)  # noqa: PTH119 - no path of this machine, if it is a URL

    @property
    def is_folder(self) -> bool:
        """Whether its name says that it is a folder, by a slash at its end.

        Those of HTTP are pages, whatever their ends.
        """
        return self.url.endswith("/") and self.scheme not in {"http", "https"}

    @property
    def filepath(self) -> str:
        """The path by which code on this machine opens the file.

        Raises:
            ValueError: the file is remote, and was not staged to this machine.
        """
        if self.local_path is not None:
            return self.local_path
        if self.scheme == "file":
            return self.path
        raise ValueError(
            f"{self.url!r} is not on this machine; pass it to an app, which has it staged"
        )

    def placed(self, local_path: "str | os.PathLike[str]") -> "File":
        """The same file, found at ``local_path`` on the machine that uses it."""
        return File(self.url, os.fspath(local_path))

    def as_path(self) -> Path:
        """``filepath`` as a ``Path``."""
        return Path(self.filepath)

    def __fspath__(self) -> str:
        return self.filepath

    def __str__(self) -> str:
        return self.local_path or (self.path if self.scheme == "file" else self.url)

    def __repr__(self) -> str:
        where = f", local_path={self.local_path!r}" if self.local_path else ""
        return f"File({self.url!r}{where})"


@attrs.frozen(kw_only=True)
class Site:
    """Where the machines of an executor keep files: what an executor says of its places.

    Args:
        name: executors with the same one see the same files. A site without a name is one of that
            executor alone.
        folder: where files for tasks are put, as a path of those machines; it is made if need be.
        node_folder: the same for what only one machine sees, such as its own disk; ``folder`` when
            left out.
        urls: the URL by which others reach ``folder``, for each scheme that does:
            ``{"globus": "globus://COLLECTION/scratch/weft"}``.
        cache_size: bytes of files that tasks have fetched by themselves and that are kept there
            for tasks and runs that want the same ones later; 0 keeps none.
        keep_runs: whether what a run has put there stays when the run has ended well. That of a run
            in which a task failed stays in any case, until nobody has used it for 30 days.
    """

    name: str = attrs.field(default="", validator=attrs.validators.instance_of(str))
    folder: str = attrs.field(converter=_to_path)
    node_folder: str = attrs.field(default="", converter=_to_path)
    urls: Mapping[str, str] = attrs.field(
        factory=dict,
        validator=attrs.validators.deep_mapping(
            attrs.validators.instance_of(str), attrs.validators.instance_of(str)
        ),
    )
    cache_size: int = attrs.field(
        default=50 * 10**9,
        validator=[attrs.validators.instance_of(int), attrs.validators.ge(0)],
    )
    keep_runs: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))
