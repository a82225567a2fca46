"""``maturity.toml`` and the declared components are the same list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from weft.values.plugin import Level, State

if TYPE_CHECKING:
    from tests.house.conftest import Tree

ENTRY = {"package", "claim", "state", "owner", "since", "replacement", "exempt", "evidence"}


def test_the_ledger_has_an_entry_for_each_declared_component_and_no_other(tree: Tree) -> None:
    declared = {key for package in tree.packages for key in package.components}

    assert set(tree.toml(tree.root / "maturity.toml")["component"]) == declared


def test_an_entry_names_the_distribution_to_install_unless_it_is_core(tree: Tree) -> None:
    declared = {key: package.dist for package in tree.packages for key in package.components}
    components = tree.toml(tree.root / "maturity.toml")["component"]

    assert {key: entry.get("package", "weft") for key, entry in components.items()} == declared


def test_the_levels_are_those_the_code_knows_in_their_order(tree: Tree) -> None:
    ledger = tree.toml(tree.root / "maturity.toml")

    assert list(ledger["levels"]) == [level for level in Level if level is not Level.UNRATED]


def test_each_rule_belongs_to_one_level_and_has_a_meaning(tree: Tree) -> None:
    ledger = tree.toml(tree.root / "maturity.toml")
    used = [rule for rules in ledger["levels"].values() for rule in rules]

    assert sorted(used) == sorted(ledger["rules"])
    assert all(meaning.endswith(".") for meaning in ledger["rules"].values())


def test_an_entry_claims_a_level_and_has_a_state_and_an_owner(tree: Tree) -> None:
    ledger = tree.toml(tree.root / "maturity.toml")

    for key, entry in ledger["component"].items():
        assert set(entry) <= ENTRY, key
        # A command has no interface, so no kit, and is not rated.
        levels = ["unrated"] if key.startswith("command.") else list(ledger["levels"])
        assert entry["claim"] in levels, key
        assert entry["state"] in set(State), key
        assert entry["owner"], key
        assert entry["state"] == "active" or entry.get("since"), key


def test_an_exemption_has_a_reason_and_is_never_from_a_rule_of_the_highest_level(
    tree: Tree,
) -> None:
    ledger = tree.toml(tree.root / "maturity.toml")
    strict = set(ledger["levels"]["proven"])

    for key, entry in ledger["component"].items():
        for rule, reason in entry.get("exempt", {}).items():
            assert rule in ledger["rules"], key
            assert rule not in strict, key
            assert reason, key
