"""Writes evidence: how each rule ended for each component, sealed, with the digest of its sources.

Works through the reports of pytest, so that it sees everything where tests run in several
processes, too.
"""

import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import pytest

from weft.configuration.evidence import (
    Evidence,
    MutantResult,
    RuleResult,
    Subject,
    dump,
)
from weft.configuration.registry import default_registry, interface_version
from weft.configuration.verification import digest_of, package_with
from weft.values.plugin import Kind

__all__ = ["Recorder"]

_WORSE: Final = ("absent", "passed", "excused", "skipped", "provisional", "failed")
"""Of a rule that several classes tried, the worst outcome counts."""


class Recorder:
    """Collects how rules ended, and writes the file of evidence when the session is over.

    What goes by a component's name with a declaration of its own, and is no variant that has to
    fail, says nothing of that component.

    Args:
        file: where to write.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._facts: list[dict[str, Any]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect what a report says of a rule."""
        told: list[dict[str, Any]] = [
            fact  # type: ignore[misc] # pytest says that it is an object
            for name, fact in report.user_properties
            if name == "weft-rule"
        ]
        self._facts += [fact for fact in told if fact["declared"] or fact["killed_by"]]

    def pytest_sessionfinish(self) -> None:
        """Write the evidence, unless nothing ran: then what was proven before stays."""
        if not self._facts:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(dump(self._evidence()), encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say where it is."""
        if not self._facts:
            terminalreporter.write_line(
                f"weft: no rule of a kit was run, so {self._file} was not written"
            )
            return
        rules = len({(f["kind"], f["name"], f["rule"]) for f in self._facts})
        terminalreporter.write_line(f"weft: evidence for {rules} rules written to {self._file}")

    def _evidence(self) -> Evidence:
        keys = sorted({(fact["kind"], fact["name"]) for fact in self._facts})
        return Evidence(
            kind="kit",
            made=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            python=platform.python_version(),
            platform=f"{sys.platform}-{platform.machine()}",
            weft=_version("weft"),
            kit={"name": "weft-testkit", "version": _version("weft-testkit")},
            subjects={
                f"{kind}.{name}": self._subject(
                    kind, name, [f for f in self._facts if (f["kind"], f["name"]) == (kind, name)]
                )
                for kind, name in keys
            },
        )

    def _subject(self, kind: str, name: str, facts: Sequence[dict[str, Any]]) -> Subject:
        registry = default_registry()
        offer = registry.offer(kind, name)
        component = registry.manifest(offer)
        package = package_with(component)
        rules: dict[str, RuleResult] = {}
        mutants: dict[str, MutantResult] = {}
        for fact in facts:
            if fact["rule"] == "X000":
                continue
            if fact["killed_by"]:
                _add_mutant(mutants, fact)
                continue
            for rule, level in fact["all"].items():
                rules.setdefault(rule, RuleResult("absent", level, "left out of this run"))
            before = rules[fact["rule"]].outcome
            if _WORSE.index(fact["outcome"]) >= _WORSE.index(before):
                rules[fact["rule"]] = RuleResult(fact["outcome"], fact["level"], fact["reason"])
        return Subject(
            dist=offer.dist,
            version=offer.version,
            package=package,
            digest=digest_of(package),
            interface=component.interface,
            spoken=interface_version(Kind(kind)),
            typechecked=any(fact["checked"] for fact in facts),
            rules=dict(sorted(rules.items())),
            mutants=dict(sorted(mutants.items())),
        )


def _add_mutant(mutants: dict[str, MutantResult], fact: dict[str, Any]) -> None:
    """A variant is killed if its own rule failed and, as far as they ran, none before it did."""
    before = mutants.get(fact["kit"], MutantResult(fact["killed_by"], killed=True))
    mine = fact["rule"] == fact["killed_by"]
    as_wanted = fact["outcome"] == "failed" if mine else fact["outcome"] != "failed"
    mutants[fact["kit"]] = MutantResult(before.rule, killed=before.killed and as_wanted)


def _version(dist: str) -> str:
    try:
        return version(dist)
    except PackageNotFoundError:
        return ""
