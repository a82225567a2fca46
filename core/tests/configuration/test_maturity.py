from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from weft.configuration.discovery import scan
from weft.configuration.maturity import Ledger, Rating, notice, own_ledger, package_of, rating, read
from weft.configuration.registry import Registry
from weft.errors import WeftWarning
from weft.values.plugin import Component, Level, State

if TYPE_CHECKING:
    from core.tests.conftest import Site

LEDGER = """
schema = 1

[levels]
experimental = ["M01", "M02"]
tested = ["M10"]

[component."executor.alpha"]
claim = "experimental"
state = "frozen"
owner = "the alpha group"

[[component."executor.alpha".evidence]]
rule = ["M01", "M10"]

[[component."executor.alpha".evidence]]
rule = "M02"
"""


def rated(site: "Site", name: str = "alpha") -> Any:
    (row,) = [row for row in site.registry().listing() if row.name == name]
    return row


def test_weft_s_own_ledger_is_found_and_sound() -> None:
    ledger = own_ledger()

    assert not ledger.problems
    assert ledger.entries["executor.threads"].level in set(Level)
    assert ledger.needed(Level.TESTED) == ("M01", "M02", "M10", "M11", "M12", "M13")


def test_every_component_of_core_has_an_entry() -> None:
    keys = {offer.key for offer in scan().components if offer.dist == "weft"}

    assert keys <= set(own_ledger().entries)


def test_a_package_without_a_ledger_is_unrated(site: "Site") -> None:
    site.plugin("ex-alpha", "executor", "alpha")

    row = rated(site)

    assert (row.level, row.state, row.self_reported) == (Level.UNRATED, State.ACTIVE, False)


def test_the_ledger_of_a_package_is_read_without_importing_it_and_shown_as_self_reported(
    site: "Site",
) -> None:
    site.write("bomb/__init__.py", "raise SystemExit('imported')\n")
    site.write("bomb/maturity.toml", LEDGER)
    site.dist("weft-bomb", components={"executor.alpha": "bomb:it"})

    row = rated(site)

    assert (row.level, row.state, row.self_reported) == (Level.EXPERIMENTAL, State.FROZEN, True)


def test_a_stranger_does_not_inherit_the_rating_of_weft_s_own_component(site: "Site") -> None:
    site.plugin("evil", "executor", "threads")

    assert rated(site, "threads").level is Level.UNRATED


def test_evidence_is_counted_by_rules(tmp_path: Path) -> None:
    file = tmp_path / "pkg" / "maturity.toml"
    file.parent.mkdir()
    file.write_text(LEDGER)

    found = rating("executor.alpha", package="pkg", dist="pkg", path=[str(tmp_path)])

    assert (found.evidence, found.met, found.needed) == (2, 3, 3)
    assert found.owner == "the alpha group"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("schema = ", "cannot be read"),
        ("schema = 9", "its schema is 9; this weft reads schema 1"),
        ("[component]", "its schema is None"),
        ("schema = 1\ncomponent = 3", "'component' is not a table"),
        ("schema = 1\n[component.'a.b']\nclaim = 'great'", "'a.b' is ignored: 'great'"),
        ("schema = 1\n[component]\n'a.b' = 3", "'a.b' is ignored: it is not a table"),
        ("schema = 1\n[component.'a.b']\nevidence = 3", "'a.b' is ignored"),
    ],
)
def test_a_malformed_ledger_is_a_warning_and_rates_nothing(
    tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "maturity.toml"
    file.write_text(text)

    with pytest.warns(WeftWarning, match="has problems") as caught:
        ledger = read(str(file))

    assert said in str(caught[0].message)
    assert not ledger.entries
    assert ledger.problems


def test_one_bad_entry_leaves_the_others_alone(tmp_path: Path) -> None:
    file = tmp_path / "maturity.toml"
    file.write_text(LEDGER + "\n[component.'executor.beta']\nstate = 'sleepy'\n")

    with pytest.warns(WeftWarning):
        assert set(read(str(file)).entries) == {"executor.alpha"}


def test_a_missing_ledger_rates_nothing(tmp_path: Path) -> None:
    with pytest.warns(WeftWarning):
        assert read(str(tmp_path / "none.toml")).entries == {}


@pytest.fixture
def alpha() -> Any:
    return Component(
        kind="executor", name="alpha", settings="a:S", factory="a:build", summary="The first."
    )


def test_the_first_use_of_an_experimental_component_is_worth_a_line(alpha: Component) -> None:
    rated = Rating(key="executor.alpha", level=Level.EXPERIMENTAL, evidence=1, met=3, needed=6)

    assert notice(alpha, rated) == (
        "executor.alpha is experimental: 3 of 6 rules of the next level (weft plugin info alpha)."
    )
    # The evidence of weft's own is made by its checks, and is not there to be counted.
    assert notice(alpha, Rating(key="executor.alpha", level=Level.EXPERIMENTAL, needed=6)) == (
        "executor.alpha is experimental (weft plugin info alpha)."
    )


def test_what_is_tested_is_not_spoken_of(alpha: Component) -> None:
    assert notice(alpha, Rating(key="executor.alpha", level=Level.TESTED)) == ""


def test_what_is_deprecated_names_what_replaces_it(alpha: Component) -> None:
    said = notice(
        alpha,
        Rating(key="x", level=Level.PROVEN, state=State.DEPRECATED, replacement="executor.beta"),
    )

    assert said == "executor.alpha is deprecated; use executor.beta instead."


def test_a_package_that_weft_knows_of_is_named() -> None:
    assert package_of("executor.threads") is None
    assert package_of("executor.nowhere") is None


def test_without_any_ledger_nothing_is_rated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "weft.configuration.maturity.own_ledger", lambda: Ledger(source="", entries={})
    )

    assert {row.level for row in Registry([]).listing()} == {Level.UNRATED}
