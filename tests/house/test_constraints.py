"""One tested set of versions, written where pip reads it and where uv does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from tests.house.conftest import Tree


def pins(tree: Tree) -> list[str]:
    return [line for line in tree.text("constraints.txt").splitlines() if line and line[0] != "#"]


def asked_for(tree: Tree) -> list[Requirement]:
    """What the packages and the groups ask for, without our own packages."""
    lines = [line for group in tree.settings["dependency-groups"].values() for line in group]
    lines += [line for package in tree.packages for line in package.project["dependencies"]]
    own = {package.dist for package in tree.packages}
    return [wanted for line in lines if (wanted := Requirement(line)).name not in own]


def test_pip_and_uv_read_the_same_pins(tree: Tree) -> None:
    assert tree.settings["tool"]["uv"]["constraint-dependencies"] == pins(tree)


def test_a_pin_is_a_name_and_a_version_and_nothing_else(tree: Tree) -> None:
    shape = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*==[0-9][0-9a-z.]*")

    assert [pin for pin in pins(tree) if not shape.fullmatch(pin)] == []


def test_each_name_is_pinned_once(tree: Tree) -> None:
    names = [pin.partition("==")[0] for pin in pins(tree)]

    assert len(names) == len(set(names))


def test_all_that_is_asked_for_is_pinned_to_a_version_that_fits(tree: Tree) -> None:
    pinned = dict(pin.split("==") for pin in pins(tree))

    for wanted in asked_for(tree):
        version = pinned.get(canonicalize_name(wanted.name))
        assert version is not None, f"{wanted} has no line in constraints.txt"
        assert wanted.specifier.contains(version), f"{wanted} against {version}"


def test_packages_ask_for_lower_bounds_only(tree: Tree) -> None:
    for package in tree.packages:
        for line in package.project["dependencies"]:
            operators = {part.operator for part in Requirement(line).specifier}
            assert operators == {">="}, f"{package.dist} asks for {line}"
