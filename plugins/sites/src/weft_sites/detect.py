"""Which sites this machine may belong to: what is seen here, held against what site files say."""

import os
import shutil
import socket
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatch

import attrs

from weft_sites.values import Site

__all__ = ["Facts", "Match", "matches", "seen_here"]


@attrs.frozen(kw_only=True)
class Facts:
    """What is seen of a machine.

    Attributes:
        hosts: its names.
        environment: the variables there are.
        has: whether a program is on ``PATH``.
    """

    hosts: tuple[str, ...]
    environment: Mapping[str, str] = attrs.field(repr=False)
    has: Callable[[str], bool]


@attrs.frozen(kw_only=True)
class Match:
    """A site that this machine may belong to, and what tells so."""

    site: Site
    why: str


def seen_here() -> Facts:
    """What is seen of this machine. Nothing outside it is asked."""
    name = socket.gethostname()
    # The full name, as far as this machine itself knows it.
    names = (name, *(f"{name}.{domain}" for domain in _domains()))
    return Facts(
        hosts=names,
        environment=dict(os.environ),
        has=lambda program: shutil.which(program) is not None,
    )


def _domains() -> list[str]:
    try:
        with open("/etc/resolv.conf", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - no Path needed
            words = [line.split() for line in file]
    except OSError:
        return []
    return [word for line in words if line[:1] in (["search"], ["domain"]) for word in line[1:]]


def matches(sites: Iterable[Site], facts: Facts) -> list[Match]:
    """The sites that what is seen speaks for: those that are told by name first."""
    found = [Match(site=site, why=why) for site in sites if (why := _why(site, facts))]
    return sorted(found, key=lambda one: not one.site.detect.names_one)


def _why(site: Site, facts: Facts) -> str:
    """What speaks for a site; empty if something does not hold, or nothing is asked for."""
    asked, reasons = site.detect, []
    if asked.hosts:
        host = next((h for h in facts.hosts for p in asked.hosts if fnmatch(h, p)), "")
        if not host:
            return ""
        reasons.append(f"this machine is called {host}")
    for name, pattern in asked.environment.items():
        value = facts.environment.get(name)
        if value is None or not fnmatch(value, pattern):
            return ""
        reasons.append(f"{name} is {value!r}")
    if not all(map(facts.has, asked.commands)) or any(map(facts.has, asked.lacks)):
        return ""
    if asked.commands:
        reasons.append(f"there is {' and '.join(asked.commands)}")
    return ", ".join(reasons)
