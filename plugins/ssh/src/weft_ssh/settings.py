"""The options of the provider ``ssh`` and of the launcher ``ssh``. Light."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import attrs
from attrs.validators import ge, gt, instance_of, le, matches_re, optional

from weft.values.settings import LauncherSettings, ProviderSettings, setting

__all__ = ["SSH", "Hop", "SSHHosts", "hops"]

# What cannot be taken for an option of ssh, nor for anything by a shell.
_HOST: Final = re.compile(r"(?!-)([A-Za-z0-9_.][A-Za-z0-9_.-]*@)?[A-Za-z0-9_.:][A-Za-z0-9_.:%-]*")
_HOP: Final = re.compile(
    r"((?P<user>[A-Za-z0-9_.][A-Za-z0-9_.-]*)@)?"
    r"(?P<host>[A-Za-z0-9_.][A-Za-z0-9_.-]*|\[[A-Fa-f0-9:]+\])(:(?P<port>[0-9]{1,5}))?"
)


@attrs.frozen
class Hop:
    """A host on the way: ``user@host:port``, of which only the host has to be there."""

    user: str
    host: str
    port: str


def hops(jump: str) -> tuple[Hop, ...]:
    """The hosts on the way, the nearest first.

    Raises:
        ValueError: it is not written as ``[user@]host[:port]``, with commas between several.
    """
    found = []
    for part in jump.split(","):
        match = _HOP.fullmatch(part.strip())
        if match is None:
            raise ValueError(
                f"jump is '[user@]host[:port]', or several of them separated by commas, and "
                f"{part!r} is not"
            )
        found.append(Hop(match["user"] or "", match["host"].strip("[]"), match["port"] or ""))
    return tuple(found)


# Fields are Any below: attrs.Attribute is generic for checkers and not when the program runs, where
# the kit looks at annotations.
def _are_hosts(_instance: object, field: Any, value: object) -> None:
    if not isinstance(value, tuple) or not value:
        raise ValueError(
            f"{field.name} is a sequence with a name at least, such as ('node1', 'node2'), not "
            f"{value!r}"
        )
    for one in value:
        if not isinstance(one, str) or not _HOST.fullmatch(one):
            raise ValueError(
                f"{field.name} holds {one!r}, which is no name or address of a host; a port that "
                "one of them has to itself is said in an ssh_config file"
            )
    twice = sorted({one for one in value if value.count(one) > 1})
    if twice:
        raise ValueError(
            f"{field.name} names {twice[0]!r} twice, and a host is used by one block at a time; "
            "workers_per_node of the executor says how many tasks run on it at once"
        )


def _is_jump(_instance: object, _field: Any, value: str) -> None:
    hops(value)


def _is_path(_instance: object, field: Any, value: str) -> None:
    if not value or not value.isprintable():
        raise ValueError(f"{field.name} is a path that can be printed, not {value!r}")


def _is_absolute(_instance: object, field: Any, value: str) -> None:
    if not value.startswith(("/", "~/")) or not value.isprintable():
        raise ValueError(
            f"{field.name} is a path on the hosts, and begins with '/' or '~/', unlike {value!r}"
        )


@attrs.frozen(kw_only=True)
class SSH(ProviderSettings):
    """Hosts that are named, reached by the program ``ssh``: each block has one or more to itself.

    What is left out is what ``ssh`` does by itself, by its own files of configuration. Whatever
    those say, a host whose key is not known is not talked to, and nothing is asked of a terminal.
    """

    plugin: ClassVar[str] = "ssh"

    # -------------------------------------------------------------------------------------- hosts

    hosts: Sequence[str] = setting(
        help="The hosts, as ssh knows them: names, addresses, or names of an ssh_config file; "
        "'user@host' for one with another user.",
        converter=lambda given: given if isinstance(given, str) else tuple(given),
        validator=_are_hosts,
    )
    user: str | None = setting(
        None,
        help="The user there; that of an ssh_config file, or the one here, when left out.",
        validator=optional(matches_re(r"(?!-)[A-Za-z0-9_.][A-Za-z0-9_.@-]*")),
    )
    port: int | None = setting(
        None,
        help="The port of their ssh servers; that of an ssh_config file, or 22, when left out.",
        validator=optional([instance_of(int), ge(1), le(65535)]),
    )
    key: str | None = setting(
        None,
        help="The file with the private key to use, and no other; one without a passphrase, or "
        "that the agent has. Those that ssh tries by itself, when left out.",
        validator=optional([instance_of(str), _is_path]),
    )
    agent: bool = setting(
        True,
        help="Whether keys that an ssh-agent holds are used; never is the agent forwarded.",
        validator=instance_of(bool),
    )
    jump: str | None = setting(
        None,
        help="The host to go through, as '[user@]host[:port]', several separated by commas; one "
        "connection to it serves all hosts.",
        validator=optional([instance_of(str), _is_jump]),
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

    # ---------------------------------------------------------------------------------- over there

    python: str | None = setting(
        None,
        help="The Python that watches over a job on a host, as a path or a name on the PATH there; "
        "the path of the one that runs the script when left out.",
        validator=optional([instance_of(str), matches_re(r"(?!-)[^\0\n]+")]),
    )
    folder: str | None = setting(
        None,
        help="A folder on the hosts for the files of blocks, where hosts do not see the run "
        "folder; what is written there is fetched when a block ends. When left out, the run folder "
        "has to be on a file system that they share.",
        validator=optional([instance_of(str), _is_absolute]),
    )
    tunnel: bool = setting(
        False,
        help="Whether workers reach the script through the connection of ssh rather than by the "
        "network: for hosts that cannot connect to this machine.",
        validator=instance_of(bool),
    )

    # --------------------------------------------------------------------------------------- times

    connect_timeout: float = setting(
        20.0,
        help="How long a host may take to answer, and to begin a job.",
        unit="seconds",
        validator=ge(1),
    )
    lost_after: float = setting(
        30.0,
        help="After how long a silence a host is lost; one that hears nothing for as long ends its "
        "part of the job.",
        unit="seconds",
        validator=ge(3),
    )
    retry_after: float = setting(
        60.0,
        help="How long a host that could not be used, or was lost, is left alone while there are "
        "others.",
        unit="seconds",
        validator=ge(0),
    )
    grace: float = setting(
        5.0,
        help="How long processes may take to end when they are told to, before they are killed.",
        unit="seconds",
        validator=gt(0),
    )


@attrs.frozen(kw_only=True)
class SSHHosts(LauncherSettings):
    """All hosts of a block of the provider ``ssh``, over the connections that it has."""

    plugin: ClassVar[str] = "ssh"
