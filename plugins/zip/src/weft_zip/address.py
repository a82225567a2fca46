"""What a URL of a member names. Pure.

zip:///data/run.zip/a/b.csv         a/b.csv of /data/run.zip: the first part that ends in .zip
zip:///data/model.npz#weights.npy   weights.npy of /data/model.npz, whatever it ends in
zip:///old.zip/run.zip#b.csv        b.csv of run.zip in the folder old.zip
"""

import re
from typing import Final
from urllib.parse import quote, unquote

import attrs

from weft.data.names import name_for_url
from weft_zip.trouble import Trouble

__all__ = ["Address", "place_name", "understood"]

_FORMS: Final = "Write zip:///path/archive.zip/member, or zip:///path/archive#member."
_REPACK: Final = "Give it a plain name, such as results/run-7.csv."
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_LONGEST: Final = 65535
"""Bytes of a name that the format has room for."""


@attrs.frozen
class Address:
    """A member of an archive.

    Attributes:
        archive: its path on this machine, absolute.
        member: its name in the archive.
    """

    archive: str
    member: str


def understood(url: str) -> Address:
    """What a URL names.

    Raises:
        Trouble: it names no member, or one that leads out of the folder where others unpack it.
    """
    rest = url.partition("://")[2]
    front, marked, after = rest.partition("#")
    host, slash, path = front.partition("/")
    if host.lower() not in {"", "localhost"} or not slash:
        raise Trouble(
            f"{host!r} is where the name of a host stands, and an archive is looked for on this "
            "machine only."
            if host
            else "It names no archive.",
            f"{_FORMS} A path begins with a third slash.",
        )
    parts = _plain(path).split("/")
    if marked:
        member = _plain(after)
    else:
        end = next((n for n, part in enumerate(parts, 1) if part.lower().endswith(".zip")), None)
        if end is None:
            raise Trouble("No part of its path ends in '.zip', so it names no archive.", _FORMS)
        member, parts = "/".join(parts[end:]), parts[:end]
    archive = [part for part in parts if part]
    if not archive:
        raise Trouble("It names no archive.", _FORMS)
    if {".", ".."} & set(archive) or any("\0" in part for part in archive):
        raise Trouble(
            "A part of the path of the archive is '.' or '..', or holds a zero byte.",
            "Name it by the shortest path that leads to it.",
        )
    if not member:
        raise Trouble("It names an archive, and no member of it.", _FORMS)
    _must_stay(member)
    return Address("/" + "/".join(archive), member)


def place_name(address: Address) -> str:
    """The name of a member in a folder of tasks: it ends as the member does."""
    archive = quote(address.archive, safe="", errors="surrogateescape")
    return name_for_url(f"zip:///{archive}/{quote(address.member)}")


def _plain(text: str) -> str:
    return unquote(text, errors="surrogateescape")


def _must_stay(member: str) -> None:
    # Some programs that unpack take a backslash for a slash, and 'C:' for a drive.
    parts = re.split(r"[/\\]", member)
    if ".." in parts:
        raise Trouble(f"The name {member!r} leads out of the folder by '..'.", _REPACK)
    if not parts[0] or _DRIVE.match(member):
        raise Trouble(f"The name {member!r} is not relative to the folder.", _REPACK)
    if member.endswith("/"):
        raise Trouble(f"{member!r} names a folder.", "Name each file.")
    if {"", "."} & set(member.split("/")):
        raise Trouble(f"A part of the name {member!r} is empty or '.'.", _REPACK)
    if "\0" in member:
        raise Trouble(f"The name {member!r} holds a zero byte.", _REPACK)
    try:
        length = len(member.encode())
    except UnicodeEncodeError:
        raise Trouble(
            f"The name {member!r} is no text in UTF-8, which names of members are.", _REPACK
        ) from None
    if length > _LONGEST:
        raise Trouble(f"Its name is longer than the {_LONGEST} bytes of a name.", _REPACK)
