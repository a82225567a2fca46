"""Under which addresses other machines may reach this one, without asking anybody outside.

The system is asked for its interfaces, and nothing is sent. The resolver is no help: it may ask
servers for this machine's own name, and where none answers that takes half a minute. It is asked
only where the system does not tell of interfaces.
"""

from __future__ import annotations

import array
import fcntl
import ipaddress
import socket
import struct
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

__all__ = ["LOOPBACK", "candidates", "endpoint", "is_loopback"]

LOOPBACK: Final = "127.0.0.1"

_SIOCGIFCONF: Final = 0x8912  # Linux; see netdevice(7)
_ADDRESSES: Final = 4096  # that are made room for
_NAME: Final = 16
_ENTRY: Final = _NAME + (24 if sys.maxsize > 1 << 32 else 16)
_DUPLICATE: Final = 0x08  # another machine has this address, too: IFA_F_DADFAILED
_IF_INET6: Final = Path("/proc/net/if_inet6")
_ROUTES: Final = Path("/proc/net/route")
_BRIDGES: Final = ("docker", "br-", "veth", "virbr", "lxc", "cni", "podman", "vboxnet", "vmnet")


def candidates(override: Sequence[str] = (), *, local: bool = False) -> tuple[str, ...]:
    """Addresses of this machine for managers to try, the likeliest first.

    Args:
        override: what the user says; nothing else is offered then.
        local: whether managers run on this machine alone.
    """
    if override:
        return tuple(dict.fromkeys(override))
    if local:
        return (LOOPBACK,)
    found = [*_ordered(_by_interface()), *_by_interface6()] or _by_name()
    return tuple(dict.fromkeys(found)) or (LOOPBACK,)


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(address.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return address == "localhost"


def endpoint(address: str, port: int) -> str:
    """The ``tcp://`` address."""
    bare = address.strip("[]")
    return f"tcp://[{bare}]:{port}" if ":" in bare else f"tcp://{bare}:{port}"


def _by_interface() -> list[tuple[str, str]]:
    """The names of interfaces and their IPv4 addresses; some have several."""
    room = array.array("B", bytes(_ADDRESSES * _ENTRY))
    request = struct.pack("iP", len(room), room.buffer_info()[0])
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as asked:
        try:
            answer = fcntl.ioctl(asked.fileno(), _SIOCGIFCONF, request)
        except OSError:
            return []  # this system asks in another way
    length = struct.unpack("iP", answer)[0] if sys.platform == "linux" else 0
    found = []
    for at in range(0, length, _ENTRY):
        entry = room[at : at + _ENTRY].tobytes()
        # An address may have a label of its own, such as eth0:1.
        name = entry[:_NAME].rstrip(b"\0").decode("utf-8", "replace").partition(":")[0]
        found.append((name, socket.inet_ntoa(entry[_NAME + 4 : _NAME + 8])))
    return [(name, address) for name, address in found if not is_loopback(address)]


def _ordered(found: Iterable[tuple[str, str]]) -> list[str]:
    """Those with a way out first, those of bridges to containers last."""
    outward = _outward()

    def rank(one: tuple[str, str]) -> tuple[bool, bool]:
        return one[0].startswith(_BRIDGES), one[0] not in outward

    return [address for _, address in sorted(found, key=rank)]


def _outward() -> frozenset[str]:
    """The interfaces of default routes."""
    try:
        lines = _ROUTES.read_text().splitlines()[1:]
    except OSError:
        return frozenset()
    rows = [line.split() for line in lines]
    return frozenset(row[0] for row in rows if len(row) > 1 and row[1] == "00000000")


def _by_name() -> list[str]:
    """What the resolver knows of this machine's name."""
    try:
        answers = socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    except OSError:
        return []
    addresses = [str(answer[4][0]) for answer in answers]
    return [address for address in addresses if not is_loopback(address)]


def _by_interface6() -> list[str]:
    """IPv6 addresses that are good beyond their own wire."""
    try:
        lines = _IF_INET6.read_text().splitlines()
    except OSError:
        return []
    rows = [line.split() for line in lines if line]
    found = [
        ipaddress.IPv6Address(bytes.fromhex(address))
        for address, _, _, _, flags, *_ in rows
        if not int(flags, 16) & _DUPLICATE
    ]
    return [str(one) for one in found if not (one.is_loopback or one.is_link_local)]
