"""Who may connect: key pairs, the private folder they live in, and the file that a block gets.

The interchange's secret key is made in its memory and never leaves it. A block has a pair of its
own, which its file holds together with the interchange's *public* key; the interchange admits the
block's public key until the block has ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from weft.values.message import changed, message

__all__ = [
    "KEY",
    "BlockKeys",
    "NotPrivate",
    "make_pair",
    "private_folder",
    "read_block",
    "resolved",
    "write_block",
]

KEY: Final = 40
"""Characters of a key in Z85."""

_MOST: Final = 65536


class NotPrivate(PermissionError):
    """A folder or file that others could read or change; it is not used."""


@message(eq=True)
class BlockKeys:
    """What a block's managers need to find the interchange, know it, and be known to it.

    Attributes:
        block: the block.
        public, secret: its own pair, in Z85; empty when nothing is encrypted.
        server: the interchange's public key, in Z85; empty when nothing is encrypted.
        addresses: where the interchange is, the likeliest first.
    """

    block: str
    public: str
    secret: str
    server: str
    addresses: tuple[str, ...]

    def __repr__(self) -> str:
        return f"BlockKeys(block={self.block!r})"


def make_pair() -> tuple[str, str]:
    """A public and a secret key, in Z85."""
    import zmq  # not light, and not needed where nothing is encrypted

    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def _drawn() -> str:
    # As secrets.token_hex, which brings OpenSSL for other things.
    return os.urandom(KEY // 2).hex()


def private_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder that is ours alone, or see that it is.

    Raises:
        NotPrivate: it is a link, somebody else's, or open to others.
        OSError: it cannot be made.
    """
    folder = Path(path)
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotPrivate(f"{folder} is not a folder, or a link to one.")
    _must_be_ours(folder, found)
    return folder


def _must_be_ours(path: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise NotPrivate(f"{path} belongs to the user {found.st_uid}, not to {os.geteuid()}.")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise NotPrivate(
            f"{path} is open to others (mode {stat.S_IMODE(found.st_mode):04o}); "
            f"'chmod go= {path}' closes it."
        )


def write_block(
    path: str | os.PathLike[str], *, block: str, server: str, addresses: Sequence[str]
) -> str:
    """Make a block's pair and write its file, which must not exist.

    Args:
        path: in a private folder.
        block: the block.
        server: the interchange's public key; empty when nothing is encrypted.
        addresses: where the interchange is.

    Returns:
        The block's public key, which the interchange is to admit. Without encryption it is a key
        all the same, and only says that the block is known.
    """
    public, secret = make_pair() if server else (_drawn(), _drawn())
    text = json.dumps(
        {
            "block": block,
            "public": public,
            "secret": secret,
            "server": server,
            "addresses": list(addresses),
        }
    )
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "w") as file:
        file.write(text)
    return public


def read_block(path: str | os.PathLike[str]) -> BlockKeys:
    """A block's file.

    Raises:
        NotPrivate: it is a link, somebody else's, or open to others.
        ValueError: it is not a block's file.
        OSError: it cannot be read.
    """
    file = Path(path)
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        if file.is_symlink():
            raise NotPrivate(f"{file} is a link.") from None
        raise
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise NotPrivate(f"{file} is not a plain file.")
        _must_be_ours(file, found)
        text = os.read(descriptor, _MOST)
    finally:
        os.close(descriptor)
    try:
        said: dict[str, Any] = json.loads(text)
        keys = BlockKeys(
            block=said["block"],
            public=said["public"],
            secret=said["secret"],
            server=said["server"],
            addresses=tuple(said["addresses"]),
        )
        texts = (keys.block, keys.public, keys.secret, keys.server, *keys.addresses)
        if not all(isinstance(one, str) for one in texts):
            raise TypeError("something in it is not text")
        if len(keys.public) != KEY or len(keys.secret) != KEY or len(keys.server) not in {0, KEY}:
            raise ValueError("a key in it has not 40 characters")
    except (ValueError, TypeError, KeyError) as trouble:
        # The text itself holds a secret, and is not shown.
        reason = type(trouble).__name__
        raise ValueError(f"{file} is not the file of a block ({reason}).") from None
    return keys


def resolved(keys: BlockKeys, environ: Mapping[str, str]) -> BlockKeys:
    """Keys whose addresses are those of this node: for ``$NAME``, what the variable says.

    Raises:
        ValueError: there is no such variable.
    """
    if not any(one.startswith("$") for one in keys.addresses):
        return keys
    found = []
    for one in keys.addresses:
        said = environ.get(one[1:], "") if one.startswith("$") else one
        if not said:
            raise ValueError(f"{one}, where the way to the script begins, is not set here")
        found.append(said)
    return changed(keys, addresses=tuple(found))
