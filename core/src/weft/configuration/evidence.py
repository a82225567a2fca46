"""Evidence: files that say what was proven of a component, when, with what, and of which sources.

A file of evidence is JSON that ends with a seal, the SHA-256 of all the rest, so that an edit is
seen; a ledger that names the file carries its digest too. What it says holds for the sources of
which it carries the digest, and for no others: a change of the package makes it stale.

    {"schema": 1, "kind": "kit", "made": "2026-11-21T10:00:00Z",
     "python": "3.11.7", "platform": "linux-x86_64", "weft": "0.1.0",
     "kit": {"name": "weft-testkit", "version": "0.1.0"},
     "subjects": {"executor.htex": {
         "dist": "weft-htex", "version": "0.1.0", "package": "weft_htex", "digest": "sha256:…",
         "interface": "1.0", "spoken": "1.0", "typechecked": true,
         "rules": {"E101": {"outcome": "passed", "level": "tested", "reason": ""}},
         "mutants": {"TestForgets": {"rule": "E101", "killed": true}}}},
     "seal": "sha256:…"}
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from weft.errors import BadEvidence
from weft.values.plugin import Level

__all__ = [
    "SCHEMA",
    "Evidence",
    "MutantResult",
    "RuleResult",
    "Subject",
    "digest_of_file",
    "digest_of_package",
    "dump",
    "load",
]

SCHEMA: Final = 1

OUTCOMES: Final = ("passed", "failed", "skipped", "excused", "provisional", "absent")
"""How a rule can end: it held; it did not; it was not tried; it was declared not to hold, and did
not; it did not hold, which is told but does not count yet; it was left out."""


@attrs.frozen
class RuleResult:
    """How one rule ended.

    Attributes:
        outcome: one of ``OUTCOMES``.
        level: the level of maturity that rests on the rule.
        reason: why it was not tried, or need not hold.
    """

    outcome: str = attrs.field(validator=attrs.validators.in_(OUTCOMES))
    level: Level = attrs.field(converter=Level)
    reason: str = ""


@attrs.frozen
class MutantResult:
    """Whether a variant that is broken on purpose was told from a sound one.

    Attributes:
        rule: the rule that has to fail.
        killed: whether it did, and those before it did not.
    """

    rule: str
    killed: bool


@attrs.frozen(kw_only=True)
class Subject:
    """What was proven of one component.

    Attributes:
        dist, version: the distribution that it came from.
        package: its top-level package.
        digest: of the package's sources, as :func:`digest_of_package` gives it.
        interface: the version of the interface it was built for.
        spoken: the version of the interface that weft had.
        typechecked: whether every call within the package was checked against its annotations.
        rules: how each rule of the kit ended, by id.
        mutants: what became of the variants that are broken on purpose, by name.
    """

    dist: str
    version: str
    package: str
    digest: str
    interface: str
    spoken: str
    typechecked: bool = False
    rules: Mapping[str, RuleResult] = attrs.field(factory=dict)
    mutants: Mapping[str, MutantResult] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Evidence:
    """One file of evidence.

    Attributes:
        kind: how it was obtained: ``kit``, ``types``, ``fault``, ``scale``, ``real-system``,
            ``docs`` or ``review``.
        made: when, as ISO 8601 in UTC.
        python, platform: the interpreter and the machine, as ``3.11.7`` and ``linux-x86_64``.
        weft: the version of core.
        kit: name and version of what obtained it.
        subjects: what was proven, by ``kind.name``.
        notes: anything else, for people: where a log is, who ran it.
    """

    kind: str
    made: str
    python: str
    platform: str
    weft: str
    kit: Mapping[str, str]
    subjects: Mapping[str, Subject]
    notes: Mapping[str, str] = attrs.field(factory=dict)


def digest_of_package(folder: Path) -> str:
    """The digest of a package's sources: names and contents of all its files but caches.

    The SHA-256 over, for each file in the order of its path within the folder, the path, a zero
    byte, the SHA-256 of the content. Ledgers and evidence within it are left out: they speak of the
    digest.
    """
    sums = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        inner = file.relative_to(folder)
        if not file.is_file() or "__pycache__" in inner.parts or file.suffix in {".pyc", ".pyo"}:
            continue
        if inner.parts[0] in {"evidence", "maturity.toml"}:
            continue
        sums.update(inner.as_posix().encode() + b"\0")
        sums.update(hashlib.sha256(file.read_bytes()).digest())
    return f"sha256:{sums.hexdigest()}"


def digest_of_file(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def dump(evidence: Evidence) -> str:
    """The text of a file of evidence, sealed."""
    table = {"schema": SCHEMA, **attrs.asdict(evidence)}
    table["seal"] = _seal(table)
    return json.dumps(table, indent=1, sort_keys=True) + "\n"


def load(text: str, source: str) -> Evidence:
    """Read a file of evidence.

    Args:
        text: its content.
        source: the file, for messages.

    Raises:
        BadEvidence: it is no such file, is of another schema, or was edited.
    """
    try:
        table = json.loads(text)
        if not isinstance(table, dict):
            raise TypeError("it is not an object")
        schema = table.pop("schema", None)
        if schema != SCHEMA:
            raise ValueError(f"its schema is {schema!r}; this weft reads schema {SCHEMA}")
        seal = table.pop("seal", "")
        if seal != _seal({"schema": SCHEMA, **table}):
            raise ValueError(
                "it was edited after it was written: its seal is that of another content"
            )
        table["subjects"] = {key: _subject(one) for key, one in table["subjects"].items()}
        return Evidence(**table)
    except (TypeError, ValueError, KeyError, AttributeError) as trouble:
        raise BadEvidence(source, _reason(trouble)) from trouble


def _reason(trouble: Exception) -> str:
    if isinstance(trouble, json.JSONDecodeError):
        return f"it is no JSON: {trouble}"
    return str(trouble) if type(trouble) is ValueError else f"{type(trouble).__name__}: {trouble}"


def _subject(table: Mapping[str, Any]) -> Subject:
    return Subject(
        **{
            **table,
            "rules": {key: RuleResult(**one) for key, one in table["rules"].items()},
            "mutants": {key: MutantResult(**one) for key, one in table["mutants"].items()},
        }
    )


def _seal(table: Mapping[str, Any]) -> str:
    plain = json.dumps(table, sort_keys=True, separators=(",", ":")).encode()
    return f"sha256:{hashlib.sha256(plain).hexdigest()}"
