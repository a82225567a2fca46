"""Under which addresses other machines may reach this one, without asking anybody outside.

The system is asked for its interfaces, and its resolver for its own name. Nothing is sent.
"""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

__all__ = ["LOOPBACK", "candidates", "endpoint", "is_loopback"]

LOOPBACK: Final = "127.0.0.1"

_SIOCGIFADDR: Final = 0x8915  # Linux
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
    found = [*_ordered(_by_interface()), *_by_name(), *_by_interface6()]
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


def _by_interface() -> dict[str, str]:
    """IPv4 addresses by the name of their interface."""
    found: dict[str, str] = {}
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as asked:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                answer = fcntl.ioctl(asked.fileno(), _SIOCGIFADDR, request)
            except OSError:
                continue  # it has none, or this system asks in another way
            found[name] = socket.inet_ntoa(answer[20:24])
    return {name: address for name, address in found.items() if not is_loopback(address)}


def _ordered(found: dict[str, str]) -> Iterable[str]:
    """Those with a way out first, those of bridges to containers last."""
    outward = _outward()

    def rank(name: str) -> tuple[bool, bool]:
        return name.startswith(_BRIDGES), name not in outward

    return [found[name] for name in sorted(found, key=rank)]


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
    found = [ipaddress.IPv6Address(bytes.fromhex(line.split()[0])) for line in lines if line]
    return [str(one) for one in found if not (one.is_loopback or one.is_link_local)]
