"""The options of the stager ``ftp``. Light."""

from typing import Any, ClassVar

import attrs
from attrs.validators import ge, gt, instance_of, optional

from weft.values.settings import StagerSettings, setting

__all__ = ["FTP"]


# Fields are Any: attrs.Attribute is generic for checkers and not when the program runs, where the
# kit looks at annotations.
def _is_path(_instance: object, field: Any, value: str) -> None:
    if not value or not value.isprintable():
        raise ValueError(f"{field.name} is a path that can be printed, not {value!r}")


@attrs.frozen(kw_only=True)
class FTP(StagerSettings):
    """FTP servers, in passive mode; with TLS for the scheme ``ftps``.

    A user and a password come from a netrc file; a host that is not in it is talked to as
    ``anonymous``.
    """

    plugin: ClassVar[str] = "ftp"

    netrc: str | None = setting(
        None,
        help="The file with users and passwords; that of the variable NETRC, or ~/.netrc, when "
        "left out.",
        env="NETRC",
        validator=optional([instance_of(str), _is_path]),
    )
    ca_file: str | None = setting(
        None,
        help="A file with the certificates that servers are judged by; those of the system when "
        "left out.",
        validator=optional([instance_of(str), _is_path]),
    )
    implicit: bool | None = setting(
        None,
        help="Whether ftps servers speak TLS from the first byte; so at port 990, when left out.",
        validator=optional(instance_of(bool)),
    )
    encoding: str = setting(
        "utf-8",
        help="How servers write the names of files.",
        validator=instance_of(str),
    )
    connections: int = setting(
        4,
        help="Connections to one server at once; further transfers wait for one of them.",
        validator=[instance_of(int), ge(1)],
    )
    connect_timeout: float = setting(
        30.0,
        help="How long a server may take to take a connection.",
        unit="seconds",
        validator=gt(0),
    )
    read_timeout: float = setting(
        120.0,
        help="How long a server may be silent.",
        unit="seconds",
        validator=gt(0),
    )
    idle: float = setting(
        30.0,
        help="How long a connection that nobody uses is kept for the next transfer.",
        unit="seconds",
        validator=ge(0),
    )
    sync: bool = setting(
        False,
        help="Whether what is brought is written out to the disk before it has its name.",
        validator=instance_of(bool),
    )
