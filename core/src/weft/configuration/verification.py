"""Holds the claims of a ledger against their evidence: what level has a component really earned?

Three steps. :func:`gather` reads what there is: files of evidence, the digests of the sources they
have to hold for, the licence, the page. :func:`weigh` decides, rule by rule, from that alone.
:func:`verify` does both.

    ledger entry ──┐
    evidence files ┼──gather──▶ Facts ──weigh──▶ Verdict: each rule met or not, and why
    sources        ┘

A rule is met by a kit if the kit says what the rule asks for (``_BY_KIT`` below); or by a piece of
evidence of another kind that names the rule and says that it passed; or by a fact that can be seen.
Whatever was obtained from other sources than those that are there now is stale and proves nothing,
and so is a run on a real system, or a review, that is older than a year.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import attrs

from weft.configuration.evidence import (
    Evidence,
    Subject,
    digest_of_file,
    digest_of_package,
    load,
)
from weft.configuration.maturity import Entry, Ledger, Piece
from weft.errors import BadEvidence
from weft.values.plugin import Component, Level

__all__ = [
    "Facts",
    "Finding",
    "Found",
    "Verdict",
    "digest_of",
    "gather",
    "package_with",
    "verify",
    "weigh",
]

_YEAR: Final = timedelta(days=366)
_BY_DATE: Final = frozenset({"real-system", "review"})
"""Kinds of evidence that age by the calendar; all others hold for the sources they were made of."""


@attrs.frozen(kw_only=True)
class Found:
    """One file of evidence that was looked at.

    Attributes:
        file: where it is.
        rules: what the ledger says it proves; empty for one that no ledger names, which may prove
            whatever it says.
        shared: whether it is there for all components that it speaks of, rather than for this one.
        evidence: what it says; ``None`` if it counts for nothing.
        problem: why it counts for nothing.
    """

    file: str
    rules: tuple[str, ...] = ()
    shared: bool = True
    evidence: Evidence | None = None
    problem: str = ""


@attrs.frozen(kw_only=True)
class Facts:
    """What can be seen of a component and its evidence.

    Attributes:
        digest: of the sources that are there now; empty if they are not.
        spoken: the version of the interface that weft has now.
        found: the files of evidence.
        licence: whether the distribution states one.
        page: whether it says where its documentation is.
        today: when this is asked.
    """

    digest: str
    spoken: str
    found: Sequence[Found] = ()
    licence: bool = False
    page: bool = False
    today: datetime = attrs.field(factory=lambda: datetime.now(UTC))


@attrs.frozen
class Finding:
    """Whether a rule is met, and the reason in words."""

    rule: str
    met: bool
    reason: str


@attrs.frozen(kw_only=True)
class Verdict:
    """What a component has earned.

    Attributes:
        key: ``kind.name``.
        claim: the level in the ledger.
        earned: the highest level of which every rule is met, with those below it.
        findings: every rule, in the order of the levels.
        problems: what is wrong with the entry or its evidence, in sentences.
        stale: the evidence that once held and no longer does, in sentences.
    """

    key: str
    claim: Level
    earned: Level
    findings: tuple[Finding, ...]
    problems: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether no more is claimed than is earned, with nothing wrong."""
        return self.claim.rank <= self.earned.rank and not self.problems

    def missing(self, level: Level, ledger: Ledger) -> tuple[Finding, ...]:
        """The rules that a level rests on and that are not met."""
        needed = set(ledger.needed(level))
        return tuple(one for one in self.findings if one.rule in needed and not one.met)


# ----------------------------------------------------------------------------------------- weighing


def weigh(entry: Entry, ledger: Ledger, facts: Facts) -> Verdict:
    """Decide what level an entry has earned. Pure: everything it needs is in its arguments."""
    subjects, problems, stale = _standing(entry, facts)
    findings = tuple(
        _finding(rule, entry, ledger, facts, subjects)
        for rules in ledger.levels.values()
        for rule in rules
    )
    met = {one.rule for one in findings if one.met}
    earned = Level.UNRATED
    for level in (Level(name) for name in ledger.levels):
        if not set(ledger.needed(level)) <= met:
            break
        earned = level
    return Verdict(
        key=entry.key,
        claim=entry.level,
        earned=earned,
        findings=findings,
        problems=(*_wrong_with(entry, ledger), *problems),
        stale=tuple(stale),
    )


@attrs.frozen
class _Standing:
    """Evidence that counts: what it says of the component, and what it may prove."""

    found: Found
    evidence: Evidence
    subject: Subject

    def may_prove(self, rule: str) -> bool:
        return not self.found.rules or rule in self.found.rules


def _standing(entry: Entry, facts: Facts) -> tuple[list[_Standing], list[str], list[str]]:
    """The evidence that counts; what is wrong with the rest; what is only too old."""
    standing, problems, old = [], [], []
    for found in facts.found:
        if found.evidence is None:
            problems.append(found.problem)
            continue
        subject = found.evidence.subjects.get(entry.key)
        if subject is None:
            if not found.shared:
                problems.append(f"{found.file} says nothing of {entry.key}.")
            continue
        stale = _stale(found.evidence, subject, facts)
        if stale:
            old.append(f"{found.file} is stale: {stale}")
            continue
        standing.append(_Standing(found, found.evidence, subject))
    return standing, problems, old


def _stale(evidence: Evidence, subject: Subject, facts: Facts) -> str:
    if evidence.kind in _BY_DATE:
        made = datetime.fromisoformat(evidence.made)
        old = facts.today - made > _YEAR
        return f"it was made on {made:%Y-%m-%d}, more than a year ago." if old else ""
    if not facts.digest:
        return "the sources it holds for are not here."
    if subject.digest != facts.digest:
        return "the sources have changed since."
    return ""


def _wrong_with(entry: Entry, ledger: Ledger) -> list[str]:
    known = set(ledger.rules)
    strict = set(ledger.levels.get(Level.PROVEN, ()))
    wrong = []
    named = [(rule, "is exempt from") for rule in entry.exempt]
    named += [(rule, "has evidence for") for piece in entry.pieces for rule in piece.rules]
    wrong += [
        f"{entry.key} {what} rule {rule!r}, which does not exist."
        for rule, what in named
        if rule not in known
    ]
    for rule, reason in entry.exempt.items():
        if rule in strict:
            wrong.append(f"{entry.key} cannot be exempt from {rule}: no rule of proven can.")
        elif not reason.strip():
            wrong.append(f"{entry.key} is exempt from {rule} without a reason.")
    return wrong


def _finding(
    rule: str, entry: Entry, ledger: Ledger, facts: Facts, standing: Sequence[_Standing]
) -> Finding:
    if rule in entry.exempt:
        return Finding(rule, met=True, reason=f"exempt: {entry.exempt[rule]}")
    if rule in _BY_SIGHT:
        said = _BY_SIGHT[rule](entry, facts)
        return Finding(rule, met=not said, reason=said or "seen")
    usable = [one for one in standing if one.may_prove(rule)]
    for one in usable:
        stated = one.subject.rules.get(rule)
        if stated is not None and stated.outcome == "passed":
            if rule in _CHECKED and not any(one.subject.typechecked for one in standing):
                return Finding(rule, met=False, reason=_UNCHECKED)
            return Finding(rule, met=True, reason=f"{one.evidence.kind}: {one.found.file}")
    kits = [one for one in usable if one.evidence.kind == "kit"]
    test = _BY_KIT.get(rule)
    if test is None:
        return Finding(rule, met=False, reason="no evidence says that it is met")
    if not kits:
        return Finding(rule, met=False, reason="no kit has been run on these sources")
    said = test(_Case(kits, ledger.pythons, facts.spoken))
    names = ", ".join(sorted({one.found.file for one in kits}))
    return Finding(rule, met=not said, reason=said or f"kit: {names}")


_CHECKED: Final = frozenset({"M10"})
"""Rules that also ask for a kit whose calls were checked against their annotations."""

_UNCHECKED: Final = "no kit was run with its calls checked (weft_typecheck in pytest's settings)"


# What each rule asks of the kits that were run. An empty sentence means that it is met.


@attrs.frozen
class _Case:
    kits: Sequence[_Standing]
    pythons: Sequence[str]
    spoken: str

    def declaration(self) -> str:
        ended = [one.subject.rules.get("C001") for one in self.kits]
        if any(result is not None and result.outcome == "passed" for result in ended):
            return ""
        return "the kit did not find the declaration light (rule C001)"

    def passes(self) -> str:
        return self._all_pass(Level.TESTED, "rule of the kit")

    def survives_faults(self) -> str:
        return self._all_pass(Level.SUPPORTED, "rule on faults")

    def variants_die(self) -> str:
        mutants = {n: result for one in self.kits for n, result in one.subject.mutants.items()}
        alive = sorted(name for name, result in mutants.items() if not result.killed)
        if alive:
            return f"the broken variant {alive[0]} was not found broken"
        return "" if mutants else "no variant that is broken on purpose was run"

    def passes_everywhere(self) -> str:
        seen = {".".join(one.evidence.python.split(".")[:2]) for one in self.kits}
        lacking = [version for version in self.pythons if version not in seen]
        if lacking:
            return f"the kit was not run under Python {' and '.join(lacking)}"
        return self.passes()

    def _all_pass(self, level: Level, what: str) -> str:
        passed = 0
        for one in self.kits:
            if one.subject.spoken != self.spoken:
                was = one.subject.spoken
                return f"{one.found.file} is of interface {was}; this weft has {self.spoken}"
            for rule, result in one.subject.rules.items():
                if result.level is not level:
                    continue
                if result.outcome in {"failed", "absent"}:
                    ended = "failed" if result.outcome == "failed" else "was not run"
                    why = f" ({result.reason})" if result.outcome == "absent" else ""
                    return f"rule {rule} {ended} in {one.found.file}{why}"
                passed += result.outcome == "passed"
        return "" if passed else f"no {what} was run"


_BY_KIT: Final[Mapping[str, Callable[[_Case], str]]] = {
    "M01": _Case.declaration,
    "M11": _Case.passes,
    "M12": _Case.variants_die,
    "M13": _Case.passes_everywhere,
    "M20": _Case.survives_faults,
}


def _unidentified(entry: Entry, facts: Facts) -> str:
    lacks = [
        what
        for what, there in (
            ("a licence", facts.licence),
            ("an owner", bool(entry.owner)),
            ("a page in the docs", facts.page),
        )
        if not there
    ]
    return f"it lacks {', '.join(lacks)}" if lacks else ""


_BY_SIGHT: Final[Mapping[str, Callable[[Entry, Facts], str]]] = {
    "M02": _unidentified,
    "M22": lambda entry, _: "" if entry.owner else "the ledger names no owner",
}


# ---------------------------------------------------------------------------------------- gathering


def gather(
    entry: Entry,
    ledger: Ledger,
    component: Component,
    *,
    dist: str,
    spoken: str,
    fresh: Iterable[Path] = (),
) -> Facts:
    """Look at everything that an entry rests on.

    Args:
        entry: what is claimed.
        ledger: where.
        component: its declaration.
        dist: the distribution it comes from.
        spoken: the version of its interface that weft has now.
        fresh: files of evidence that no ledger names, such as those of the checks that run now.
    """
    folder = Path(ledger.source).parent
    found = [attrs.evolve(_named(folder, piece), shared=False) for piece in entry.pieces]
    found += [_named(folder, piece) for piece in ledger.pieces]
    found += [_read(file, str(file), ()) for file in fresh]
    return Facts(
        digest=digest_of(package_with(component)),
        spoken=spoken,
        found=found,
        licence=_licensed(dist),
        page=bool(component.docs) or _page_of(entry.key, folder),
    )


def verify(
    entry: Entry,
    ledger: Ledger,
    component: Component,
    *,
    dist: str,
    spoken: str,
    fresh: Iterable[Path] = (),
) -> Verdict:
    """What an entry has earned; arguments as for :func:`gather`."""
    facts = gather(entry, ledger, component, dist=dist, spoken=spoken, fresh=fresh)
    return weigh(entry, ledger, facts)


def package_with(component: Component) -> str:
    """The top-level package that holds a component's code."""
    return component.factory.partition(":")[0].partition(".")[0]


def digest_of(package: str) -> str:
    """The digest of an installed package's sources; empty if they are not to be found."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return ""
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return digest_of_package(Path(places[0])) if places else ""


def _named(folder: Path, piece: Piece) -> Found:
    file = folder / piece.file
    if not piece.file or not file.is_file():
        return Found(
            file=piece.file, rules=piece.rules, problem=f"The evidence {piece.file!r} is not there."
        )
    if digest_of_file(file) != piece.sha256:
        return Found(
            file=piece.file,
            rules=piece.rules,
            problem=f"The evidence {piece.file!r} is not the file that the ledger means: its "
            "SHA-256 is another one.",
        )
    return _read(file, piece.file, piece.rules)


def _read(file: Path, called: str, rules: tuple[str, ...]) -> Found:
    try:
        evidence = load(file.read_text(encoding="utf-8"), called)
    except (BadEvidence, OSError, UnicodeDecodeError) as trouble:
        return Found(file=called, rules=rules, problem=_sentence(called, trouble))
    return Found(file=called, rules=rules, evidence=evidence)


def _sentence(file: str, trouble: Exception) -> str:
    why = trouble.reason if isinstance(trouble, BadEvidence) else str(trouble)
    return f"The evidence {file!r} counts for nothing: {why}."


def _licensed(dist: str) -> bool:
    from importlib.metadata import PackageNotFoundError, metadata

    try:
        told = metadata(dist)
    except PackageNotFoundError:
        return False
    return "License-Expression" in told or "License" in told


def _page_of(key: str, folder: Path) -> bool:
    kind, _, name = key.partition(".")
    return (folder / "docs" / "plugins" / f"{kind}-{name}.md").is_file()
