"""Pure: settings become the words of ``ssh``. No secret is among them, nor what a job runs.

Options on the command line come before those of any file, so what is said here holds whatever files
say. See ssh_config(5).
"""

import os
import shlex
import sys
from typing import Final

from weft_ssh.settings import SSH, Hop, hops

__all__ = ["BOOT", "connection", "end_of_jump", "python_of", "shown"]

BOOT: Final = (
    # Reads a program to its end, a NUL, and not a byte further: what follows is for the program.
    'import os;exec(b"".join(iter(lambda:os.read(0,1)or b"\\0",b"\\0")))'
)

_ALWAYS: Final = (
    # Nothing is asked of a terminal, and no password is sent anywhere.
    "BatchMode=yes",
    "PasswordAuthentication=no",
    "KbdInteractiveAuthentication=no",
    "StrictHostKeyChecking=yes",
    "UpdateHostKeys=no",
    # Nothing of this machine is open to the other.
    "ForwardAgent=no",
    "ForwardX11=no",
    "PermitLocalCommand=no",
    "RequestTTY=no",
    "Tunnel=no",
    "LogLevel=INFO",
    "ConnectionAttempts=1",
)


def python_of(settings: SSH) -> str:
    """The Python that runs on hosts."""
    return settings.python or sys.executable or "python3"


def connection(
    settings: SSH,
    host: str,
    *,
    control: str = "",
    way: tuple[str, int] | None = None,
    flags: str = "-I -S",
) -> list[str]:
    """The words that start a Python on a host, which then reads its program.

    Args:
        settings: of the provider.
        host: one of its hosts.
        control: where the connection to the jump host is shared; empty for not at all.
        way: a socket there, and the port of the client's loopback to which it leads.
        flags: of Python; those of one that loads nothing but its own library.
    """
    words = ["ssh", *_common(settings), *_options("RemoteCommand=none", "ControlMaster=no")]
    words += _options("EscapeChar=none")
    if way is not None:
        socket, port = way
        words += ["-R", f"{socket}:127.0.0.1:{port}", *_options("ExitOnForwardFailure=yes")]
        # One that the user shares would keep the way open when this one has ended.
        words += _options("ControlPath=none", "StreamLocalBindMask=0177")
    else:
        words += _options("ClearAllForwardings=yes")
    if settings.user is not None:
        words += ["-l", settings.user]
    if settings.port is not None:
        words += ["-p", str(settings.port)]
    if settings.jump:
        words += _options(f"ProxyCommand={_jump(settings, hops(settings.jump), control)}")
    # By way of whatever shell the user has there; all of them leave single quotes alone.
    watch = f"exec {shlex.quote(python_of(settings))} {flags} -c '{BOOT}'"
    return [*words, "-T", "--", host, watch]


def end_of_jump(settings: SSH, control: str) -> list[str]:
    """The words that end the shared connection to the jump host."""
    *_, last = hops(settings.jump or "")
    return ["ssh", *_file(settings), "-o", f"ControlPath={control}", "-O", "exit", *_to(last)]


def shown(words: list[str]) -> str:
    """What a person types to try the same by hand."""
    host = words[words.index("--") + 1]
    kept: list[str] = []
    take = iter(words[1 : words.index("--")])
    for word in take:
        if word in {"-F", "-i", "-l", "-p"}:
            kept += [word, next(take)]
        elif word == "-o":
            option = next(take)
            if option.startswith("UserKnownHostsFile="):
                kept += ["-o", option]
    return shlex.join(["ssh", *kept, host])


def _common(settings: SSH) -> list[str]:
    words = [*_file(settings), *_options(*_ALWAYS)]
    beat = max(1, int(settings.lost_after / 3))
    words += _options(
        f"ConnectTimeout={max(1, round(settings.connect_timeout))}",
        f"ServerAliveInterval={beat}",
        "ServerAliveCountMax=2",
    )
    if settings.key is not None:
        words += ["-i", os.path.expanduser(settings.key), *_options("IdentitiesOnly=yes")]  # noqa: PTH111 - text
    if not settings.agent:
        words += _options("IdentityAgent=none")
    if settings.known_hosts is not None:
        path = os.path.expanduser(settings.known_hosts)  # noqa: PTH111 - text
        words += _options(f'UserKnownHostsFile="{path}"', "GlobalKnownHostsFile=/dev/null")
    return words


def _file(settings: SSH) -> list[str]:
    if settings.ssh_config is None:
        return []
    return ["-F", os.path.expanduser(settings.ssh_config)]  # noqa: PTH111 - text


def _jump(settings: SSH, way: tuple[Hop, ...], control: str) -> str:
    """The command that leads to a host by the last of these, which the others lead to."""
    *before, last = way
    words = ["ssh", *_common(settings), *_options("ClearAllForwardings=yes")]
    if control:
        # Hosts are logged in to at once, and many servers take ten newcomers at a time.
        words += _options("ControlMaster=auto", f"ControlPath={control}", "ControlPersist=10")
    if before:
        words += _options(f"ProxyCommand={_jump(settings, tuple(before), '')}")
    text = shlex.join([*words, "-W", "\0", *_to(last)])
    return text.replace("%", "%%").replace(shlex.quote("\0"), "'[%h]:%p'")


def _to(hop: Hop) -> list[str]:
    words = ["-l", hop.user] if hop.user else []
    return [*words, *(["-p", hop.port] if hop.port else []), "--", hop.host]


def _options(*options: str) -> list[str]:
    return [word for option in options for word in ("-o", option)]
