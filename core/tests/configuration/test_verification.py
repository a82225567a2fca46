"""What a component has earned is decided from evidence alone."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from weft.configuration.evidence import (
    Evidence,
    MutantResult,
    RuleResult,
    Subject,
    digest_of_file,
    dump,
)
from weft.configuration.maturity import Entry, Ledger, Piece, own_ledger
from weft.configuration.verification import Facts, Found, Verdict, gather, weigh
from weft.values.plugin import Component, Kind, Level

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = "executor.mine"
LEDGER = attrs.evolve(own_ledger(), pythons=("3.11", "3.13"))
PASSED = RuleResult("passed", Level.TESTED)


def subject(**changes: Any) -> Subject:
    sound = Subject(
        dist="mine",
        version="1",
        package="mine",
        digest="sha256:now",
        interface="1.0",
        spoken="1.0",
        typechecked=True,
        rules={
            "C001": PASSED,
            "E001": PASSED,
            "E200": RuleResult("passed", Level.SUPPORTED),
            "E300": RuleResult("skipped", Level.PROVEN, "endurance"),
        },
        mutants={"TestForgets": MutantResult("E001", killed=True)},
    )
    return attrs.evolve(sound, **changes)


def evidence(kind: str = "kit", about: Subject | None = None, **changes: Any) -> Evidence:
    sound = Evidence(
        kind=kind,
        made="2026-11-01T10:00:00Z",
        python="3.11.7",
        platform="linux-x86_64",
        weft="0.1.0",
        kit={},
        subjects={KEY: about or subject()},
    )
    return attrs.evolve(sound, **changes)


def stating(kind: str, *rules: str, **changes: Any) -> Evidence:
    """Evidence of another kind than a kit, which says of rules of maturity that they hold."""
    return evidence(kind, subject(rules=dict.fromkeys(rules, PASSED), mutants={}), **changes)


BOTH = [evidence(), evidence(python="3.13.0")]
TYPES = stating("types", "M10")


def unmet(found: Verdict) -> dict[str, str]:
    return {one.rule: one.reason for one in found.findings if not one.met}


def verdict(*pieces: Evidence, entry: "Mapping[str, Any] | None" = None, **facts: Any) -> Verdict:
    known = {"digest": "sha256:now", "spoken": "1.0", "licence": True, "page": True}
    known["today"] = datetime(2026, 11, 21, tzinfo=UTC)
    found = [Found(file=f"{n}.json", evidence=piece) for n, piece in enumerate(pieces)]
    entry = {"key": KEY, "level": Level.EXPERIMENTAL, "owner": "us", **(entry or {})}
    return weigh(Entry(**entry), LEDGER, Facts(found=found, **{**known, **facts}))


def reason(told: Verdict, rule: str) -> str:
    (found,) = [one for one in told.findings if one.rule == rule]
    assert not found.met
    return found.reason


def test_types_are_proven_by_a_checker_and_by_a_kit_whose_calls_were_checked() -> None:
    unchecked = evidence(about=subject(typechecked=False))
    alone = evidence("types", subject(rules={"M10": PASSED}, mutants={}, typechecked=False))

    assert "M10" not in unmet(verdict(evidence(), alone))
    assert "M10" in unmet(verdict(evidence()))
    assert unmet(verdict(unchecked, alone))["M10"].startswith("no kit was run with its calls")


def test_without_evidence_nothing_is_earned() -> None:
    told = verdict()

    assert told.earned is Level.UNRATED
    assert not told.holds
    assert [one.rule for one in told.missing(Level.EXPERIMENTAL, LEDGER)] == ["M01"]


def test_a_kit_under_both_pythons_and_checked_types_earn_tested() -> None:
    told = verdict(*BOTH, TYPES, entry={"level": Level.TESTED})

    assert told.earned is Level.TESTED
    assert told.holds


def test_a_claim_above_what_was_earned_does_not_hold() -> None:
    told = verdict(*BOTH, TYPES, entry={"level": Level.SUPPORTED})

    assert not told.holds
    assert [one.rule for one in told.missing(Level.SUPPORTED, LEDGER)] == ["M21", "M23", "M24"]


def test_levels_are_cumulative() -> None:
    """All that supported needs, and no types: the level below the gap counts."""
    more = [stating("docs", "M21"), stating("real-system", "M23"), stating("review", "M24")]

    assert verdict(*BOTH, TYPES, *more).earned is Level.SUPPORTED
    assert verdict(*BOTH, *more).earned is Level.EXPERIMENTAL


@pytest.mark.parametrize(
    ("change", "rule", "said"),
    [
        ({"rules": {}}, "M01", "did not find the declaration light"),
        ({"rules": {"E001": RuleResult("failed", Level.TESTED)}}, "M11", "E001 failed in 0.json"),
        ({"rules": {"E001": RuleResult("absent", Level.TESTED)}}, "M11", "E001 was not run"),
        ({"rules": {"E001": RuleResult("skipped", Level.TESTED)}}, "M11", "no rule of the kit"),
        ({"spoken": "0.9"}, "M11", "is of interface 0.9; this weft has 1.0"),
        ({"mutants": {}}, "M12", "no variant"),
        ({"mutants": {"X": MutantResult("E001", killed=False)}}, "M12", "X was not found broken"),
        ({}, "M13", "not run under Python 3.13"),
        ({"rules": {"E9": RuleResult("failed", Level.SUPPORTED)}}, "M20", "E9 failed"),
        ({"rules": {"E001": PASSED}}, "M20", "no rule on faults was run"),
    ],
)
def test_a_kit_meets_a_rule_or_says_why_not(change: Any, rule: str, said: str) -> None:
    assert said in reason(verdict(evidence(about=subject(**change))), rule)


def test_what_was_obtained_from_other_sources_proves_nothing() -> None:
    told = verdict(*BOTH, digest="sha256:changed")

    assert told.earned is Level.UNRATED
    assert "no kit has been run on these sources" in reason(told, "M11")


def test_stale_evidence_is_told_and_is_no_fault() -> None:
    entry = Entry(key=KEY, level=Level.UNRATED, pieces=(Piece(rules=("M11",)),))
    found = [Found(file="kit.json", rules=("M11",), evidence=evidence())]

    told = weigh(entry, LEDGER, Facts(digest="sha256:changed", spoken="1.0", found=found))

    assert told.stale == ("kit.json is stale: the sources have changed since.",)
    assert told.problems == ()


def test_evidence_of_its_own_has_to_speak_of_the_component() -> None:
    found = Found(file="kit.json", rules=("M11",), shared=False, evidence=evidence(subjects={}))

    told = weigh(
        Entry(key=KEY, level=Level.UNRATED),
        LEDGER,
        Facts(digest="sha256:now", spoken="1.0", found=[found]),
    )

    assert told.problems == ("kit.json says nothing of executor.mine.",)


@pytest.mark.parametrize(
    ("made", "met"), [("2025-11-25T00:00:00Z", True), ("2025-10-01T00:00:00Z", False)]
)
def test_a_review_is_good_for_a_year_whatever_changes(made: str, met: bool) -> None:
    told = verdict(stating("review", "M24", made=made), digest="sha256:changed")

    assert [one.met for one in told.findings if one.rule == "M24"] == [met]


def test_a_piece_proves_only_the_rules_for_which_the_ledger_names_it() -> None:
    found = [Found(file="kit.json", rules=("M01",), evidence=evidence())]
    facts = Facts(digest="sha256:now", spoken="1.0", found=found)

    told = weigh(Entry(key=KEY, level=Level.UNRATED), LEDGER, facts)

    assert {one.rule for one in told.findings if one.met} == {"M01"}


@pytest.mark.parametrize("lacking", ["licence", "page"])
def test_what_can_be_seen_is_looked_at(lacking: str) -> None:
    missing: dict[str, Any] = {lacking: False}
    told = verdict(evidence(), **missing)

    assert told.earned is Level.UNRATED
    assert lacking in reason(told, "M02")


def test_nobody_is_an_owner() -> None:
    assert "an owner" in reason(verdict(entry={"owner": ""}), "M02")


def test_an_exemption_needs_a_reason_a_rule_that_exists_and_a_level_that_has_some() -> None:
    fair = verdict(*BOTH, entry={"exempt": {"M10": "its types are those of C"}})
    assert fair.earned is Level.TESTED

    unfair = verdict(entry={"exempt": {"M10": " ", "M99": "why", "M30": "why"}})
    assert unfair.problems == (
        "executor.mine is exempt from rule 'M99', which does not exist.",
        "executor.mine is exempt from M10 without a reason.",
        "executor.mine cannot be exempt from M30: no rule of proven can.",
    )


# ---------------------------------------------------------------------------------------- gathering

COMPONENT = Component(
    kind=Kind.EXECUTOR, name="mine", settings="weft:X", factory="weft:x", summary="Mine.", docs="x"
)


def gathered(folder: Path, *pieces: Piece) -> list[str]:
    ledger = Ledger(source=str(folder / "maturity.toml"), entries={})
    entry = Entry(key=KEY, level=Level.TESTED, pieces=pieces)
    facts = gather(entry, ledger, COMPONENT, dist="weft", spoken="1.0")
    assert facts.licence
    assert facts.page
    assert facts.digest.startswith("sha256:")
    return [found.problem for found in facts.found]


def test_a_file_that_is_not_there_counts_for_nothing(tmp_path: Path) -> None:
    (said,) = gathered(tmp_path, Piece(rules=("M11",), file="kit.json"))

    assert said == "The evidence 'kit.json' is not there."


def test_a_file_that_the_ledger_does_not_mean_counts_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "kit.json").write_text(dump(evidence()))

    (said,) = gathered(tmp_path, Piece(rules=("M11",), file="kit.json", sha256="0"))

    assert "its SHA-256 is another one" in said


def test_a_file_that_was_edited_counts_for_nothing(tmp_path: Path) -> None:
    file = tmp_path / "kit.json"
    file.write_text(dump(evidence()).replace("3.11.7", "3.13.0"))

    piece = Piece(rules=("M11",), file="kit.json", sha256=digest_of_file(file))
    (said,) = gathered(tmp_path, piece)

    assert "it was edited" in said


def test_a_file_as_the_ledger_means_it_counts(tmp_path: Path) -> None:
    file = tmp_path / "kit.json"
    file.write_text(dump(evidence()))

    piece = Piece(rules=("M11",), file="kit.json", sha256=digest_of_file(file))

    assert gathered(tmp_path, piece) == [""]
