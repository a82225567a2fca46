"""The options of the stager ``fsspec``. Light."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import attrs
from attrs.validators import ge, gt, instance_of

from weft.values.settings import StagerSettings, setting

__all__ = ["PROTOCOLS", "Fsspec"]

PROTOCOLS: Final = ("s3", "gs", "az", "sftp")
"""What options may be given for. Other schemes are further names of these."""

_MIB: Final = 1024 * 1024


def _are_options(_instance: object, _field: Any, value: object) -> None:
    # Values are never part of a message: there may be a secret among them.
    if not isinstance(value, Mapping):
        raise TypeError("options says for each protocol what its file system is made with")
    for protocol, options in value.items():
        if protocol not in PROTOCOLS:
            raise ValueError(f"options is for one of {', '.join(PROTOCOLS)}, and not {protocol!r}")
        if not isinstance(options, Mapping) or not all(isinstance(name, str) for name in options):
            raise TypeError(
                f"options for {protocol!r} are names and values, such as "
                "{'endpoint_url': 'https://objects.example.org'}"
            )


_SECONDS: Final = [instance_of((int, float)), gt(0)]


@attrs.frozen(kw_only=True)
class Fsspec(StagerSettings):
    """Files of object stores and SFTP servers.

    Credentials are found by the library of each protocol where it always looks: variables of the
    environment, its own configuration files, the identity of the machine, keys and agent of SSH.
    """

    plugin: ClassVar[str] = "fsspec"

    options: Mapping[str, Mapping[str, Any]] = setting(
        factory=dict,
        help="For each protocol ('s3', 'gs', 'az', 'sftp') the arguments with which fsspec makes "
        "its file system, such as {'s3': {'endpoint_url': 'https://objects.example.org'}}. "
        "Never shown; credentials are better left to the environment all the same, since "
        "settings go to every machine that fetches for itself.",
        secret=True,
        validator=_are_options,
    )
    connect_timeout: float = setting(
        20.0,
        help="How long the other side may take to accept a connection.",
        unit="seconds",
        validator=_SECONDS,
    )
    read_timeout: float = setting(
        60.0,
        help="How long the other side may be silent in the middle of a request.",
        unit="seconds",
        validator=_SECONDS,
    )
    piece: int = setting(
        16 * _MIB,
        help="Bytes that are asked for, or sent, in one request; as much memory is taken for each "
        "transfer. At least 5 MiB, as S3 wants it; files of more than 10,000 pieces are sent in "
        "larger ones.",
        unit="bytes",
        validator=[instance_of(int), ge(5 * _MIB)],
    )
    concurrency: int = setting(
        8,
        help="How many files are moved at once when many are asked for in one call.",
        unit="files",
        validator=[instance_of(int), ge(1)],
    )
    resume: bool = setting(
        True,
        help="Whether what has come of a file is kept when the connection breaks, and the next "
        "try goes on there.",
        validator=instance_of(bool),
    )
    verify: bool = setting(
        True,
        help="Whether what was brought is compared with the MD5 checksum of the store, where it "
        "has one, and what was sent looked at there; a user who may only write cannot.",
        validator=instance_of(bool),
    )
    sync: bool = setting(
        False,
        help="Whether a file is on the disk, and not only in the system's memory, before its task "
        "starts.",
        validator=instance_of(bool),
    )
