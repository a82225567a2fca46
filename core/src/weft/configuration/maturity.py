"""Reads the ledgers: how far evidence has taken each component, and what its owners decided.

Weft keeps one ledger, ``maturity.toml``, for core and for the plugins of its own repository; other
packages ship one of the same form within their package, whose levels are shown as *self-reported*.
A component without an entry is *unrated*. A ledger that cannot be read is a warning and rates
nothing; it never stops a run.

A level is a claim; ``weft.configuration.verification`` holds it against its evidence. Here it is
only read, which has to be quick: it happens whenever components are listed.
"""

import sys
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import attrs

from weft.errors import WeftWarning
from weft.values.plugin import Component, Level, State

__all__ = [
    "LEDGER",
    "Entry",
    "Ledger",
    "Piece",
    "Rating",
    "ledger_of",
    "ledgers_for",
    "notice",
    "own_ledger",
    "package_of",
    "rating",
    "read",
]

LEDGER: Final = "maturity.toml"

_SCHEMA: Final = 1


@attrs.frozen(kw_only=True)
class Piece:
    """What a ledger says of one piece of evidence.

    Attributes:
        rules: the rules that it is to prove.
        kind: how it was obtained, as in :class:`weft.configuration.evidence.Evidence`.
        file: where it is, from the folder of the ledger.
        sha256: the digest of the file, in hexadecimal digits.
    """

    rules: tuple[str, ...]
    kind: str = ""
    file: str = ""
    sha256: str = ""


@attrs.frozen(kw_only=True)
class Entry:
    """What a ledger says of one component.

    Attributes:
        key: ``kind.name``.
        level: what is claimed for it.
        state: what its owners decided.
        owner: who answers for it.
        package: the distribution that brings it, if the ledger says so.
        replacement: what to use instead, for what is deprecated or removed.
        exempt: reasons why a rule need not be met, by rule.
        pieces: the evidence.
    """

    key: str
    level: Level
    state: State = State.ACTIVE
    owner: str = ""
    package: str = ""
    replacement: str = ""
    exempt: Mapping[str, str] = attrs.field(factory=dict)
    pieces: tuple[Piece, ...] = ()


@attrs.frozen(kw_only=True)
class Ledger:
    """One ledger, read.

    Attributes:
        source: the file.
        entries: by ``kind.name``.
        levels: the rules of each level by itself; levels build on each other.
        rules: what each rule asks for.
        pythons: the versions of Python, as ``3.11``, under which a kit has to pass.
        pieces: evidence for all components that it speaks of.
        problems: sentences on what is wrong with the file.
    """

    source: str
    entries: Mapping[str, Entry]
    levels: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    rules: Mapping[str, str] = attrs.field(factory=dict)
    pythons: tuple[str, ...] = ()
    pieces: tuple[Piece, ...] = ()
    problems: tuple[str, ...] = ()

    def evidence_of(self, key: str) -> tuple[Piece, ...]:
        """What is named as evidence for a component: its own, and what is there for all."""
        entry = self.entries.get(key)
        return (*(entry.pieces if entry is not None else ()), *self.pieces)

    def backed(self, key: str) -> frozenset[str]:
        """The rules for which a component names evidence, or a reason to do without."""
        entry = self.entries.get(key)
        named = [rule for piece in self.evidence_of(key) for rule in piece.rules]
        return frozenset([*named, *(entry.exempt if entry is not None else ())])

    def needed(self, level: Level) -> tuple[str, ...]:
        """The rules that a level rests on, with those of the levels below it."""
        return tuple(
            rule
            for name, rules in self.levels.items()
            if Level(name).rank <= level.rank
            for rule in rules
        )


@attrs.frozen(kw_only=True)
class Rating:
    """How a component is rated, and by whom.

    Attributes:
        key: ``kind.name``.
        level: the level that is claimed; ``unrated`` without an entry.
        state: what its owners decided.
        owner: who answers for it; may be empty.
        source: the ledger; empty without an entry.
        self_reported: whether it is the package's own ledger rather than weft's.
        replacement: what to use instead.
        evidence: how many pieces of evidence the ledger names.
        met, needed: how many of the rules of the next level, and of those below, have evidence, and
            how many there are.
    """

    key: str
    level: Level = Level.UNRATED
    state: State = State.ACTIVE
    owner: str = ""
    source: str = ""
    self_reported: bool = False
    replacement: str = ""
    evidence: int = 0
    met: int = 0
    needed: int = 0


def rating(
    key: str, *, package: str = "", dist: str = "", path: Sequence[str] | None = None
) -> Rating:
    """What the ledgers say of a component.

    Args:
        key: ``kind.name``.
        package: the top-level package its declaration lies in; it is looked for, not imported.
        dist: the distribution it comes from. An entry of weft's ledger counts only for the
            distribution it names.
        path: where packages are looked for; ``sys.path`` when left out.
    """
    found = ledger_of(key, package=package, dist=dist, path=path)
    if found is None:
        return Rating(key=key)
    ledger, ours = found
    return _rated(ledger.entries[key], ledger, self_reported=not ours)


def ledger_of(
    key: str, *, package: str = "", dist: str = "", path: Sequence[str] | None = None
) -> tuple[Ledger, bool] | None:
    """The ledger with an entry for a component, and whether it is weft's own.

    Arguments are those of :func:`rating`. ``None`` if there is no entry.
    """
    ours = own_ledger()
    entry = ours.entries.get(key)
    if entry is not None and dist in {"", entry.package or "weft"}:
        return ours, True
    file = _file_of(package, None if path is None else tuple(path)) if package else None
    if file is not None and package != "weft":
        theirs = read(file)
        if key in theirs.entries:
            return _completed(theirs, ours), False
    return None


def ledgers_for(package: str, *, path: Sequence[str] | None = None) -> tuple[Ledger, ...]:
    """The ledgers in which a package's components may have entries: weft's, and its own."""
    file = _file_of(package, None if path is None else tuple(path)) if package else None
    theirs = (read(file),) if file is not None and package != "weft" else ()
    return (own_ledger(), *theirs)


def _completed(theirs: Ledger, ours: Ledger) -> Ledger:
    """A package's ledger with weft's levels, rules and Pythons where it defines none."""
    return attrs.evolve(
        theirs,
        levels=theirs.levels or ours.levels,
        rules=theirs.rules or ours.rules,
        pythons=theirs.pythons or ours.pythons,
    )


def _rated(entry: Entry, ledger: Ledger, *, self_reported: bool) -> Rating:
    above = tuple(Level)[min(entry.level.rank + 1, len(Level) - 1)]
    needed = ledger.needed(above)
    backed = ledger.backed(entry.key)
    return Rating(
        key=entry.key,
        level=entry.level,
        state=entry.state,
        owner=entry.owner,
        source=ledger.source,
        self_reported=self_reported,
        replacement=entry.replacement,
        evidence=len(ledger.evidence_of(entry.key)),
        met=sum(rule in backed for rule in needed),
        needed=len(needed),
    )


def notice(component: Component, rated: Rating) -> str:
    """One line for the first use of a component that deserves one; empty for most."""
    if component.deprecated:
        return f"{component.key} is deprecated: {component.deprecated}"
    if rated.state in {State.DEPRECATED, State.REMOVED}:
        instead = f"; use {rated.replacement} instead" if rated.replacement else ""
        return f"{component.key} is {rated.state.value}{instead}."
    if rated.level in {Level.UNRATED, Level.EXPERIMENTAL}:
        counts = rated.needed and (rated.evidence or rated.self_reported)
        rules = f": {rated.met} of {rated.needed} rules of the next level" if counts else ""
        return f"{component.key} is {rated.level.value}{rules} (weft plugin info {component.name})."
    return ""


def package_of(key: str) -> str | None:
    """The distribution that brings a component, if weft's ledger knows one that is not core."""
    entry = own_ledger().entries.get(key)
    return entry.package or None if entry is not None else None


# ------------------------------------------------------------------------------------------ reading


def own_ledger() -> Ledger:
    """Weft's own ledger: within the installed package, or at the top of its checkout."""
    package = Path(__file__).parents[1]
    for file in (package / LEDGER, package.parents[2] / LEDGER):
        if file.is_file():
            return read(str(file))
    return Ledger(source="", entries={})


@lru_cache(maxsize=256)
def read(file: str) -> Ledger:
    """A ledger from a file. What is wrong with it is warned of, once, and rates nothing."""
    import tomllib

    try:
        with Path(file).open("rb") as stream:
            table = tomllib.load(stream)
        schema = table.get("schema")
        if schema != _SCHEMA:
            raise ValueError(f"its schema is {schema!r}; this weft reads schema {_SCHEMA}")
    except (OSError, ValueError) as trouble:
        return _warned(Ledger(source=file, entries={}, problems=(f"it cannot be read: {trouble}",)))
    problems: list[str] = []
    entries = {}
    components = _table(table, "component", problems)
    for key in components:
        try:
            entries[key] = _entry(key, components[key])
        except (TypeError, ValueError, AttributeError) as trouble:
            problems.append(f"the entry {key!r} is ignored: {trouble}")
    levels = {
        str(name): tuple(map(str, rules))
        for name, rules in _table(table, "levels", problems).items()
        if name in set(Level) and isinstance(rules, list)
    }
    rules = {str(k): str(v) for k, v in _table(table, "rules", problems).items()}
    pythons = _table(table, "supported", problems).get("python", ())
    return _warned(
        Ledger(
            source=file,
            entries=entries,
            levels=levels,
            rules=rules,
            pythons=tuple(map(str, pythons)),
            pieces=tuple(map(_piece, table.get("evidence", []))),
            problems=tuple(problems),
        )
    )


def _table(table: Mapping[str, Any], name: str, problems: list[str]) -> Mapping[str, Any]:
    found = table.get(name, {})
    if isinstance(found, dict):
        return found
    problems.append(f"{name!r} is not a table")
    return {}


def _entry(key: str, table: Mapping[str, Any]) -> Entry:
    if not isinstance(table, dict):
        raise TypeError("it is not a table")
    return Entry(
        key=key,
        level=Level(table.get("claim", Level.UNRATED)),
        state=State(table.get("state", State.ACTIVE)),
        owner=str(table.get("owner", "")),
        package=str(table.get("package", "")),
        replacement=str(table.get("replacement", "")),
        exempt={str(rule): str(reason) for rule, reason in table.get("exempt", {}).items()},
        pieces=tuple(map(_piece, table.get("evidence", []))),
    )


def _piece(table: Mapping[str, Any]) -> Piece:
    rule = table.get("rule", [])
    return Piece(
        rules=(rule,) if isinstance(rule, str) else tuple(map(str, rule)),
        kind=str(table.get("kind", "")),
        file=str(table.get("file", "")),
        sha256=str(table.get("sha256", "")),
    )


def _warned(ledger: Ledger) -> Ledger:
    if ledger.problems:
        warnings.warn(
            f"The maturity ledger {ledger.source} has problems: {'; '.join(ledger.problems)}.",
            WeftWarning,
            stacklevel=3,
        )
    return ledger


@lru_cache(maxsize=256)
def _file_of(package: str, path: tuple[str, ...] | None) -> str | None:
    """The ledger within a package. Finding a top-level package imports nothing of it."""
    for folder in sys.path if path is None else path:
        file = Path(folder, package, LEDGER)
        if file.is_file():
            return str(file)
    if path is None:  # an editable installation may lie behind an import hook
        from importlib.util import find_spec

        try:
            spec = find_spec(package)
        except (ImportError, ValueError, AttributeError):
            return None
        for folder in (spec.submodule_search_locations if spec is not None else None) or ():
            file = Path(folder, LEDGER)
            if file.is_file():
                return str(file)
    return None
