"""Addresses of files, as JSON-LD and PROV take them. Pure."""

from pathlib import PurePosixPath
from urllib.parse import quote, urlsplit, urlunsplit

__all__ = ["address", "name_of"]

_SAFE = "/:@!$&'()*+,;=-._~%"


def address(named: str, folder: str) -> str:
    """The URI of a file that a script names.

    Args:
        named: a URL or a path.
        folder: from where a relative path counts: that of the script; empty if it is not known.

    What lets somebody in, as a name with a password before a host, is left out.
    """
    scheme, found, _ = named.partition("://")
    if found and scheme[:1].isalpha() and scheme.replace("+", "").replace("-", "").isalnum():
        parts = urlsplit(named)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(
            (
                parts.scheme,
                quote(host, safe="[]:.-_~%"),
                quote(parts.path, safe=_SAFE, errors="surrogateescape"),
                quote(parts.query, safe=_SAFE + "?"),
                "",
            )
        )
    path = str(PurePosixPath(folder or "/") / named)
    slash = "/" if named.endswith("/") and path != "/" else ""
    return f"file://{quote(path, safe='/', errors='surrogateescape')}{slash}"


def name_of(named: str) -> str:
    """The last part of a file's path, for people."""
    return named.rstrip("/").rpartition("/")[2] or named
