"""Routes end where they should, go through the client last, and ask no stager too much."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.data.routes import (
    CLIENT,
    Copy,
    Ground,
    Hop,
    How,
    NoRoute,
    World,
    out_there,
    route,
    site_file,
)

IN, OUT = "in", "out"
RELAY = "/run/relay"
ABILITIES = (IN, OUT, "anywhere", "third-party")
SCHEMES = ("s3", "globus", "rsync")

ABLE = {
    "https": frozenset({IN, "anywhere"}),
    "s3": frozenset({IN, OUT, "anywhere"}),
    "globus": frozenset({IN, OUT, "third-party"}),
    "rsync": frozenset({IN, OUT}),
}
A = Ground(
    name="A", folder="/a", urls={"globus": "globus://COLLECTION-A/scratch", "s3": "s3://bucket/a"}
)
B = Ground(name="B", folder="/b", urls={"globus": "globus://COLLECTION-B/work"})
BARE = Ground(name="bare", folder="/bare")
NEAR = Ground(name="near", folder="/near", urls={"rsync": "rsync://near/weft"})
WORLD = World(
    sites={one.name: one for one in (A, B, BARE, NEAR)},
    can=lambda scheme: ABLE.get(scheme, frozenset()),
)
HERE = Copy(CLIENT, "/home/me/x")


def hows(*copies: Copy, to: Copy) -> list[How]:
    return [hop.how for hop in route(copies, to, WORLD, RELAY)]


@pytest.mark.parametrize(
    ("copy", "target", "expected"),
    [
        (Copy("A", "/a/x"), Copy("A", "/a/x"), []),
        (Copy("A", "/a/x"), Copy("A", "/a/y"), [How.LINK]),
        (out_there("https://host/x"), Copy("bare", "/bare/x"), [How.FETCH]),
        (out_there("globus://OTHER/x"), Copy("A", "/a/x"), [How.THIRD_PARTY]),
        (out_there("globus://OTHER/x"), Copy("bare", "/bare/x"), [How.PULL, How.CARRY]),
        (out_there("rsync://host/x"), Copy("near", "/near/x"), [How.PULL, How.PUSH]),
        (HERE, Copy("bare", "/bare/x"), [How.CARRY]),
        (HERE, Copy("near", "/near/x"), [How.PUSH]),
        (HERE, Copy("B", "/b/x"), [How.CARRY]),
        (HERE, out_there("rsync://host/x"), [How.PUSH]),
        (Copy("bare", "/bare/x"), HERE, [How.CARRY]),
        (Copy("near", "/near/x"), HERE, [How.PULL]),
        (Copy("bare", "/bare/x"), out_there("s3://bucket/x"), [How.SEND]),
        (Copy("B", "/b/x"), out_there("globus://OTHER/x"), [How.THIRD_PARTY]),
        (Copy("bare", "/bare/x"), out_there("globus://OTHER/x"), [How.CARRY, How.PUSH]),
        (Copy("bare", "/bare/x"), out_there("rsync://host/x"), [How.CARRY, How.PUSH]),
        (Copy("A", "/a/x"), Copy("B", "/b/x"), [How.THIRD_PARTY]),
        (Copy("A", "/a/x"), Copy("bare", "/bare/x"), [How.FETCH]),
        (Copy("bare", "/bare/x"), Copy("A", "/a/x"), [How.SEND]),
        (Copy("near", "/near/x"), Copy("bare", "/bare/x"), [How.PULL, How.CARRY]),
        (Copy("bare", "/bare/x"), Copy("B", "/b/x"), [How.CARRY, How.CARRY]),
    ],
)
def test_the_way_of_a_file_is_the_cheapest_that_its_stagers_can_go(
    copy: Copy, target: Copy, expected: list[How]
) -> None:
    assert hows(copy, to=target) == expected


def test_of_several_copies_the_one_that_is_best_placed_is_taken() -> None:
    target = Copy("bare", "/bare/x")
    assert hows(HERE, Copy("A", "/a/x"), to=target) == [How.FETCH]
    assert hows(HERE, Copy("near", "/near/x"), to=target) == [How.CARRY]
    assert hows(HERE, Copy("bare", "/bare/y"), to=target) == [How.LINK]


def test_the_url_of_a_path_is_written_as_urls_are() -> None:
    (hop,) = route([Copy("A", "/a/sub dir/ä?#\n")], Copy("bare", "/bare/x"), WORLD)
    assert hop.url == "s3://bucket/a/sub%20dir/%C3%A4%3F%23%0A"
    assert (hop.at, hop.scheme) == ("bare", "s3")


def test_without_a_stager_the_reason_says_what_was_looked_at() -> None:
    with pytest.raises(NoRoute, match="the stager of 'ftp' can: nothing"):
        route([out_there("ftp://host/x")], Copy("bare", "/bare/x"), WORLD, RELAY)
    with pytest.raises(NoRoute, match="the stager of 'https' can: anywhere, in"):
        route([Copy("bare", "/bare/x")], out_there("https://host/x"), WORLD, RELAY)
    with pytest.raises(NoRoute, match="not known to be anywhere"):
        route([], HERE, WORLD, RELAY)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("site://A/x", "/a/x"),
        ("site://A/sub/a%20b", "/a/sub/a b"),
        ("site://A/a\nb/ü", "/a/a\nb/ü"),
        ("site://A/..x/y..", "/a/..x/y.."),
        ("site://A/sub/folder/", "/a/sub/folder"),
    ],
)
def test_a_file_of_a_site_is_below_its_folder(url: str, path: str) -> None:
    assert site_file(url, WORLD) == Copy("A", path)


@pytest.mark.parametrize(
    "rest",
    ["", "../x", "x/../../y", "x/%2e%2e/y", "/etc/passwd", "%2Fetc", "a%00b", "./x", "x//", "/"],
)
def test_what_leads_out_of_a_site_is_refused(rest: str) -> None:
    with pytest.raises(ValueError, match="no path below the folder of the site 'A'"):
        site_file(f"site://A/{rest}", WORLD)


def test_a_site_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match=r"no site named 'C'; .* 'A', 'B', 'bare', 'near'"):
        site_file("site://C/x", WORLD)


# --------------------------------------------------------------------------- whatever the world is

abilities = st.fixed_dictionaries(dict.fromkeys(SCHEMES, st.frozensets(st.sampled_from(ABILITIES))))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    able = draw(abilities)
    names = draw(st.lists(st.sampled_from("ABCD"), min_size=1, max_size=4, unique=True))
    sites = {
        name: Ground(
            name=name,
            folder=f"/{name}",
            urls={
                scheme: f"{scheme}://{name}"
                for scheme in draw(st.lists(st.sampled_from(SCHEMES), unique=True))
            },
        )
        for name in names
    }
    return World(sites=sites, can=lambda scheme: able.get(scheme, frozenset()))


@st.composite
def asked(draw: st.DrawFn) -> tuple[World, list[Copy], Copy]:
    world = draw(worlds())
    places = st.one_of(
        st.just(Copy(CLIENT, "/home/x")),
        st.sampled_from(sorted(world.sites)).map(lambda name: Copy(name, f"/{name}/x")),
        st.sampled_from(SCHEMES).map(lambda scheme: out_there(f"{scheme}://elsewhere/x")),
    )
    copies = draw(st.lists(places, min_size=1, max_size=4, unique=True))
    return world, copies, draw(places)


def found(question: tuple[World, list[Copy], Copy]) -> tuple[Hop, ...] | None:
    world, copies, target = question
    try:
        return route(copies, target, world, RELAY)
    except NoRoute:
        return None


@given(asked())
def test_every_route_begins_at_a_copy_and_ends_at_the_target(
    question: tuple[World, list[Copy], Copy],
) -> None:
    hops = found(question)
    _, copies, target = question
    if hops is None:
        return
    if not hops:
        assert target in copies
        return
    assert hops[0].source in copies
    assert hops[-1].target == target
    for one, other in pairwise(hops):
        assert one.target == other.source


@given(asked())
def test_no_hop_asks_of_a_stager_what_it_cannot_do(
    question: tuple[World, list[Copy], Copy],
) -> None:
    world = question[0]
    for hop in found(question) or ():
        needs = {
            How.FETCH: {IN, "anywhere"},
            How.SEND: {OUT, "anywhere"},
            How.PUSH: {OUT},
            How.PULL: {IN},
            How.CARRY: set(),
            How.LINK: set(),
            How.THIRD_PARTY: {"third-party", IN if hop.target.site is not None else OUT},
        }[hop.how]
        assert needs <= (world.can(hop.scheme) if hop.url else frozenset())
        if hop.how is How.THIRD_PARTY:
            # Both sides are reached by its scheme.
            for end in (hop.source, hop.target):
                if end.site is None:
                    assert end.where.startswith(f"{hop.scheme}://")
                else:
                    assert hop.scheme in world.sites[end.site].urls


@given(asked())
def test_nothing_goes_through_the_client_if_there_is_a_direct_way(
    question: tuple[World, list[Copy], Copy],
) -> None:
    world, copies, target = question
    hops = found(question)
    if hops is not None and len(hops) == 2:
        assert hops[0].target == Copy(CLIENT, RELAY)
        with pytest.raises(NoRoute):
            route(copies, target, world)  # that is: without a path at the client
        assert target.site != CLIENT


@given(asked())
def test_the_order_in_which_copies_are_named_decides_nothing(
    question: tuple[World, list[Copy], Copy],
) -> None:
    world, copies, target = question
    assert found(question) == found((world, copies[::-1], target))


@given(asked())
def test_a_site_is_always_reached_from_another_and_from_the_client(
    question: tuple[World, list[Copy], Copy],
) -> None:
    _, copies, target = question
    if target.site is not None and any(copy.site is not None for copy in copies):
        assert found(question) is not None
