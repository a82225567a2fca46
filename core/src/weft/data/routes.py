"""Which way a file takes to where it is wanted: a pure choice, from what is known to what is done.

    copies of it ─┬─ of a URL, of a site ──── one hop: FETCH, SEND, THIRD_PARTY ────▶ target
                  ├─ of the client ────────── one hop: PUSH, CARRY ─────────────────▶ target
                  └─ any ── PULL, CARRY ──▶ client ── PUSH, CARRY ──────────────────▶ target

A file goes through the client only if there is no other way: a hop costs what ``COSTS`` says, and
the cheapest route is taken, the first by name of several.
"""

import enum
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import quote, unquote

import attrs

__all__ = [
    "CLIENT",
    "COSTS",
    "Copy",
    "Ground",
    "Hop",
    "How",
    "NoRoute",
    "World",
    "out_there",
    "route",
    "site_file",
]

CLIENT: Final = ""
"""The site of the script."""


class How(enum.StrEnum):
    """What a hop is."""

    FETCH = "fetch"
    """The machine that wants it brings it from a URL."""
    SEND = "send"
    """The machine that has it sends it to a URL."""
    THIRD_PARTY = "third-party"
    """A stager has both sides move it between themselves."""
    PUSH = "push"
    """The client sends it to a URL."""
    PULL = "pull"
    """The client brings it from a URL."""
    CARRY = "carry"
    """Its bytes go through the executor's own channel, from the client or to it."""
    LINK = "link"
    """It is at the site already, under another path."""


COSTS: Final[Mapping[How, int]] = {
    How.LINK: 1,
    How.THIRD_PARTY: 10,
    How.FETCH: 11,
    How.SEND: 12,
    # What the client takes part in loads the machine that all else goes through.
    How.PUSH: 100,
    How.PULL: 100,
    How.CARRY: 150,
}
"""What each hop costs. Only their order counts: two hops through the client are dearer than any
other route."""


@attrs.frozen
class Copy:
    """A place where the content of a file is, or is to be.

    Attributes:
        site: the site that has it, ``CLIENT`` for that of the script, ``None`` for what only a URL
            tells.
        where: the path there, or the URL.
    """

    site: str | None
    where: str


@attrs.frozen(kw_only=True)
class Ground:
    """A site, as far as routes look at it.

    Attributes:
        name: of the site.
        folder: where its files are, as a path of its machines.
        urls: the URL of that folder for each scheme by which others reach it.
        node_folder: a folder of what each of its machines sees alone; empty if there is none.
        cache_size: bytes of fetched files that are kept there.
        keep_runs: whether the folder of a run that ended well stays.
    """

    name: str
    folder: str
    urls: Mapping[str, str] = attrs.field(factory=dict)
    node_folder: str = ""
    cache_size: int = 0
    keep_runs: bool = False

    def relative(self, path: str) -> str | None:
        """A path below the folder, from there; ``None`` for any other."""
        folder = self.folder.rstrip("/") + "/"
        return path[len(folder) :] if path.startswith(folder) else None

    def reached(self, path: str) -> Iterator[tuple[str, str]]:
        """The schemes and URLs by which others reach a path."""
        inside = self.relative(path)
        if inside is not None:
            for scheme in sorted(self.urls):
                yield scheme, f"{self.urls[scheme]}/{quote(inside)}"


@attrs.frozen(kw_only=True)
class World:
    """All that routes depend on.

    Attributes:
        sites: every site but that of the script, by its name.
        can: the capabilities that the stager of a scheme declares; none where there is no stager.
    """

    sites: Mapping[str, Ground]
    can: Callable[[str], frozenset[str]]


@attrs.frozen(kw_only=True)
class Hop:
    """One move of one file.

    Attributes:
        how: what is done.
        source, target: from where to where.
        url: the URL by which the stager knows the side that is not its own, where there is one.
        at: the site on which it is done.
    """

    how: How
    source: Copy
    target: Copy
    url: str = ""
    at: str = CLIENT

    @property
    def scheme(self) -> str:
        """The scheme of the URL."""
        return _scheme(self.url)


class NoRoute(Exception):
    """There is no way for a file; the text says what was looked at."""


def route(copies: Sequence[Copy], target: Copy, world: World, relay: str = "") -> tuple[Hop, ...]:
    """The cheapest way from one of the copies to the target; empty if it is there already.

    Args:
        copies: where the content is.
        target: where it is wanted.
        world: the sites, and what stagers can do.
        relay: a path of the client by which a file may go that must come through it.

    Raises:
        NoRoute: there is none.
    """
    if target in copies:
        return ()
    ways: list[tuple[Hop, ...]] = [
        (hop,) for copy in copies for hop in _direct(copy, target, world)
    ]
    if not ways and relay and target.site != CLIENT:
        middle = Copy(CLIENT, relay)
        ways = [
            (first, second)
            for copy in copies
            if copy.site != CLIENT
            for first in _direct(copy, middle, world)
            for second in _direct(middle, target, world)
        ]
    if not ways:
        raise NoRoute(_reason(copies, target, world))
    return min(ways, key=_rank)


def out_there(url: str) -> Copy:
    """What a URL tells of that is of no site."""
    return Copy(None, url)


def site_file(url: str, world: World) -> Copy:
    """What ``site://NAME/path`` means.

    Raises:
        ValueError: there is no such site, or the path leads out of its folder; the text says it.
    """
    name, _, rest = url.partition("://")[2].partition("/")
    ground = world.sites.get(name)
    if ground is None:
        known = ", ".join(map(repr, sorted(world.sites))) or "none"
        raise ValueError(f"There is no site named {name!r}; those of the executors are: {known}.")
    path = unquote(rest).removesuffix("/")  # of a folder
    parts = path.split("/")
    if not path or "\0" in path or any(part in {"", ".", ".."} for part in parts):
        raise ValueError(
            f"{path!r} is no path below the folder of the site {name!r}: it is empty, absolute, or "
            "has an empty part, '.' or '..'."
        )
    return Copy(name, posixpath.join(ground.folder, path))


def _rank(way: Sequence[Hop]) -> tuple[int, tuple[tuple[str, str, str, str], ...]]:
    names = tuple((hop.how.value, hop.source.site or "", hop.source.where, hop.url) for hop in way)
    return sum(COSTS[hop.how] for hop in way), names


def _direct(source: Copy, target: Copy, world: World) -> Iterator[Hop]:
    """The single hops between two places."""

    def hop(how: How, url: str = "", at: str | None = CLIENT) -> Hop:
        return Hop(how=how, source=source, target=target, url=url, at=at or CLIENT)

    if source.site == target.site and source.site is not None:
        if source.where != target.where:
            yield hop(How.LINK, at=target.site)
        return
    if target.site is None:
        yield from _outward(source, target, world, hop)
    elif target.site == CLIENT:
        yield from _homeward(source, world, hop)
    else:
        yield from _to_site(source, target, world.sites[target.site], world, hop)


_Made = Callable[..., Hop]


def _outward(source: Copy, target: Copy, world: World, hop: _Made) -> Iterator[Hop]:
    url = target.where
    scheme = _scheme(url)
    can = world.can(scheme)
    if source.site is None or "out" not in can:
        return
    if source.site == CLIENT:
        yield hop(How.PUSH, url)
        return
    ground = world.sites[source.site]
    if "anywhere" in can:
        yield hop(How.SEND, url, source.site)
    if "third-party" in can and scheme in dict(ground.reached(source.where)):
        yield hop(How.THIRD_PARTY, url)


def _homeward(source: Copy, world: World, hop: _Made) -> Iterator[Hop]:
    if source.site is None:
        if "in" in world.can(_scheme(source.where)):
            yield hop(How.PULL, source.where)
        return
    ground = world.sites[source.site or ""]
    for scheme, url in ground.reached(source.where):
        can = world.can(scheme)
        # Where two sides move it between themselves, the client may be none of them.
        if "in" in can and "third-party" not in can:
            yield hop(How.PULL, url)
    yield hop(How.CARRY)


def _to_site(source: Copy, target: Copy, ground: Ground, world: World, hop: _Made) -> Iterator[Hop]:
    reached = dict(ground.reached(target.where))
    if source.site == CLIENT:
        for scheme, url in reached.items():
            can = world.can(scheme)
            if "out" in can and "third-party" not in can:
                yield hop(How.PUSH, url)
        yield hop(How.CARRY)
        return
    for scheme, url in _urls_of(source, world):
        can = world.can(scheme)
        if "in" in can and "anywhere" in can:
            yield hop(How.FETCH, url, ground.name)
        if "in" in can and "third-party" in can and scheme in reached:
            yield hop(How.THIRD_PARTY, url)
    if source.site is not None:
        for scheme, url in reached.items():
            if {"out", "anywhere"} <= world.can(scheme):
                yield hop(How.SEND, url, source.site)


def _urls_of(copy: Copy, world: World) -> Iterator[tuple[str, str]]:
    if copy.site is None:
        yield _scheme(copy.where), copy.where
    else:
        yield from world.sites[copy.site].reached(copy.where)


def _scheme(url: str) -> str:
    return url.partition("://")[0].lower()


def _reason(copies: Sequence[Copy], target: Copy, world: World) -> str:
    if not copies:
        return "It is not known to be anywhere."
    schemes = {
        scheme for copy in copies if copy.site != CLIENT for scheme, _ in _urls_of(copy, world)
    }
    if target.site is None:
        schemes = {_scheme(target.where)}
    told = "; ".join(
        f"the stager of {scheme!r} can: {', '.join(sorted(world.can(scheme))) or 'nothing'}"
        for scheme in sorted(schemes)
    )
    return f"No stager moves it that way: {told or 'none is known for it'}."
