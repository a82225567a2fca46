"""The options of the stager ``rsync``. Light."""

from typing import Any, ClassVar

import attrs
from attrs.validators import ge, instance_of, matches_re, optional

from weft.values.settings import StagerSettings, setting

__all__ = ["Rsync"]


# Fields are Any: attrs.Attribute is generic for checkers and not when the program runs, where the
# kit looks at annotations.
def _is_path(_instance: object, field: Any, value: str) -> None:
    if not value or not value.isprintable():
        raise ValueError(f"{field.name} is a path that can be printed, not {value!r}")


@attrs.frozen(kw_only=True)
class Rsync(StagerSettings):
    """The program ``rsync``, to daemons and over ``ssh``.

    What is left out is what ``rsync`` and ``ssh`` do by themselves. Whatever the files of
    configuration of ssh say, a host whose key is not known is not talked to, and nothing is asked
    of a terminal.
    """

    plugin: ClassVar[str] = "rsync"

    program: str = setting(
        "rsync",
        help="The program, by its path or its name on the PATH.",
        validator=[instance_of(str), _is_path],
    )
    remote_program: str | None = setting(
        None,
        help="The program on hosts that are reached over ssh; rsync on their PATH when left out.",
        validator=optional(matches_re(r"(?!-)[A-Za-z0-9_./+@%:,~-]+")),
    )
    compress: bool = setting(
        False,
        help="Whether what is on the way is compressed: for slow networks.",
        validator=instance_of(bool),
    )
    bandwidth: int | None = setting(
        None,
        help="How much may be on the way at most, by each transfer; no limit when left out.",
        unit="kilobytes per second",
        validator=optional([instance_of(int), ge(1)]),
    )

    # ------------------------------------------------------------------------------------- daemons

    password_file: str | None = setting(
        None,
        help="A file with the password for daemons that ask for one, which only its owner may "
        "read; the one in the variable RSYNC_PASSWORD when left out.",
        validator=optional([instance_of(str), _is_path]),
    )

    # ------------------------------------------------------------------------------------------ ssh

    ssh: str = setting(
        "ssh",
        help="The program ssh, by its path or its name on the PATH.",
        validator=[instance_of(str), _is_path],
    )
    ssh_config: str | None = setting(
        None,
        help="The ssh_config file, read in the place of the user's and the system's; those when "
        "left out.",
        validator=optional([instance_of(str), _is_path]),
    )
    known_hosts: str | None = setting(
        None,
        help="The file with the hosts' keys; ~/.ssh/known_hosts and the system's when left out.",
        validator=optional([instance_of(str), _is_path]),
    )
    key: str | None = setting(
        None,
        help="The file with the private key to use, and no other; one without a passphrase, or "
        "that the agent has. Those that ssh tries by itself, when left out.",
        validator=optional([instance_of(str), _is_path]),
    )

    # ---------------------------------------------------------------------------------------- times

    connect_timeout: int = setting(
        30,
        help="How long the other side may take to take a connection.",
        unit="seconds",
        validator=[instance_of(int), ge(1)],
    )
    read_timeout: int = setting(
        120,
        help="How long the other side may be silent.",
        unit="seconds",
        validator=[instance_of(int), ge(1)],
    )
