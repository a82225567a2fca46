"""``weft maturity``: what each level rests on, and whether the claims of a ledger are true."""

import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import attrs
import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from weft.cli import Lazy, LazyGroup
from weft.cli.console import (
    columns,
    console,
    counted,
    level_style,
    show_json,
    show_mark,
    symbol,
    write,
)
from weft.cli.plugin import complete_name, named
from weft.configuration.discovery import Offer
from weft.configuration.evidence import Evidence, RuleResult, Subject, dump
from weft.configuration.maturity import Ledger, ledger_of, ledgers_for
from weft.configuration.registry import Registry, default_registry, interface_version
from weft.configuration.verification import Finding, Verdict, digest_of, package_with, verify
from weft.errors import ConfigurationError
from weft.values.plugin import Component, Kind, Level

__all__ = ["check", "explain", "maturity", "record"]


@click.group(
    cls=LazyGroup,
    lazy={
        "check": Lazy("weft.cli.maturity:check", "Hold every claim against its evidence."),
        "explain": Lazy("weft.cli.maturity:explain", "Say what a component lacks for more."),
        "record": Lazy("weft.cli.maturity:record", "Run a command and keep its success."),
    },
)
def maturity() -> None:
    """Say what levels rest on, and whether claims are true."""


@attrs.frozen
class _Judged:
    """A component, its ledger, what it has earned."""

    offer: Offer
    ledger: Ledger
    ours: bool
    verdict: Verdict

    def unheld(self, fresh: Sequence[Path]) -> bool:
        """Whether it is a claim of weft's own for which there is no evidence to look at."""
        return self.ours and not fresh and not self.ledger.evidence_of(self.offer.key)


_UNHELD: Final = (
    "not looked at here. Evidence is made by the checks of weft's repository, of the state that is "
    "checked; name what they wrote with --evidence."
)


def _judged(registry: Registry, offer: Offer, fresh: Iterable[Path]) -> _Judged | None:
    """What a component has earned; ``None`` if no ledger has an entry for it."""
    package = offer.target.partition(":")[0].partition(".")[0]
    found = ledger_of(offer.key, package=package, dist=offer.dist, path=registry.path)
    if found is None:
        return None
    ledger, ours = found
    component: Component = registry.manifest(offer)
    verdict = verify(
        ledger.entries[offer.key],
        ledger,
        component,
        dist=offer.dist,
        spoken=interface_version(component.kind),
        fresh=fresh,
    )
    return _Judged(offer, ledger, ours, verdict)


_FRESH = click.option(
    "--evidence",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    help="A file of evidence that no ledger names, or a folder of them, such as those that the "
    "checks of this very state have just written.",
)


def _files(given: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in given:
        there = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not there:
            raise click.BadParameter(f"there is no *.json in {path}", param_hint="'--evidence'")
        found += there
    return found


# -------------------------------------------------------------------------------------------- check


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@_FRESH
@click.option("--json", "as_json", is_flag=True, help="Write the verdicts as JSON.")
def check(names: tuple[str, ...], evidence: tuple[Path, ...], as_json: bool) -> int:
    """Hold the claims of the installed packages against their evidence.

    With names, those of these components alone. Each level is computed anew from the files of
    evidence. Exit code 1 if a component claims more than it has earned or cannot be loaded, or if
    something is wrong with its entry or its ledger.
    """
    registry, fresh = default_registry(), _files(evidence)
    judged: list[_Judged] = []
    unheld = 0
    broken: dict[str, None] = {}  # sentences, each once
    silent: list[str] = []
    offers = [o for name in names for o in named(registry, name)] if names else registry.offers()
    for offer in offers:
        if offer.kind == Kind.COMMAND:
            continue
        for ledger in ledgers_for(offer.package, path=registry.path):
            broken.update({f"{ledger.source}: {one}.": None for one in ledger.problems})
        try:
            one = _judged(registry, offer, fresh)
        except ConfigurationError as trouble:
            broken[f"{offer.key}: {trouble.what} {trouble.why}".strip()] = None
            continue
        if one is None:
            silent.append(offer.key)
        elif one.unheld(fresh):
            unheld += 1
        else:
            judged.append(one)
    if as_json:
        show_json([_told(one) for one in judged])
    else:
        _print_table(judged, console())
        for said in broken:
            show_mark("error", said, console())
        if names and silent:
            show_mark("warning", f"No ledger rates {', '.join(silent)}.", console())
        if unheld:
            claims = counted(unheld, "claim")
            show_mark("warning", f"{claims} of weft's own ledger: {_UNHELD}", console())
        _print_sum(judged, bool(broken), console())
    return 1 if broken or not all(one.verdict.holds for one in judged) else 0


def _told(one: _Judged) -> dict[str, object]:
    return {
        **attrs.asdict(one.verdict),
        "holds": one.verdict.holds,
        "ledger": one.ledger.source,
        "self_reported": not one.ours,
    }


def _print_table(judged: Sequence[_Judged], out: Console) -> None:
    table = columns("component", "claims", "has earned", "")
    for one in judged:
        verdict = one.verdict
        table.add_row(
            verdict.key,
            Text(verdict.claim.value, style=level_style(verdict.claim)),
            Text(verdict.earned.value, style=level_style(verdict.earned)),
            Text("" if one.ours else "self-reported", style="dim"),
        )
    write(table, out)
    out.print()
    for one in judged:
        for problem in one.verdict.problems:
            show_mark("error", f"{one.verdict.key}: {problem}", out)
        for old in one.verdict.stale:
            show_mark("warning", f"{one.verdict.key}: {old}", out)
        if one.verdict.claim.rank > one.verdict.earned.rank:
            show_mark(
                "error",
                f"{one.verdict.key} claims {one.verdict.claim.value} and has earned "
                f"{one.verdict.earned.value}:",
                out,
            )
            _print_findings(one.verdict.missing(one.verdict.claim, one.ledger), one.ledger, out)
    low = [one for one in judged if one.verdict.claim.rank < one.verdict.earned.rank]
    for one in low:
        out.print(
            f"{one.verdict.key} may claim {one.verdict.earned.value}; it claims "
            f"{one.verdict.claim.value}.",
            style="dim",
        )


def _print_sum(judged: Sequence[_Judged], broken: bool, out: Console) -> None:
    if judged and not broken and all(one.verdict.holds for one in judged):
        whose = "its" if len(judged) == 1 else "their"
        show_mark("ok", f"{counted(len(judged), 'claim')} held against {whose} evidence.", out)


def _print_findings(findings: Iterable[Finding], ledger: Ledger, out: Console) -> None:
    for one in findings:
        asks = ledger.rules.get(one.rule, "")
        _print_rule(Text(one.rule, style="bold"), asks, out, 4)
        write(Text(one.reason, style="dim"), out, 9)


def _print_rule(rule: Text, asks: str, out: Console, indent: int) -> None:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_row(rule, asks)
    write(grid, out, indent)


# ------------------------------------------------------------------------------------------ explain


@click.command()
@click.argument("name", shell_complete=complete_name)
@_FRESH
def explain(name: str, evidence: tuple[Path, ...]) -> int:
    """Say what a component's level rests on, and what it lacks for the next one.

    NAME is a name, or `kind.name`, or `package:name`.
    """
    registry, fresh, out = default_registry(), _files(evidence), console()
    for number, offer in enumerate(named(registry, name)):
        if number:
            out.print()
        if offer.kind == Kind.COMMAND:
            out.print(f"{offer.key} is a command: commands are not rated.")
            continue
        one = _judged(registry, offer, fresh)
        if one is None:
            out.print(
                f"{offer.key} of {offer.dist} is unrated: neither weft's ledger nor a "
                "maturity.toml in its package has an entry for it."
            )
            continue
        _print_explained(one, fresh, out)
    return 0


def _print_explained(one: _Judged, fresh: Sequence[Path], out: Console) -> None:
    verdict = one.verdict
    by_whom = "" if one.ours else f", as {one.offer.dist} itself reports"
    out.print(
        Text.assemble(
            (verdict.key, "bold"),
            " claims ",
            (verdict.claim.value, level_style(verdict.claim)),
            " and has earned ",
            (verdict.earned.value, level_style(verdict.earned)),
            by_whom,
            ".",
        )
    )
    if one.unheld(fresh):
        show_mark("warning", f"The claim is {_UNHELD}", out)
    for problem in verdict.problems:
        show_mark("error", problem, out)
    for old in verdict.stale:
        show_mark("warning", old, out)
    by_rule = {finding.rule: finding for finding in verdict.findings}
    for level, rules in one.ledger.levels.items():
        met = all(by_rule[rule].met for rule in rules)
        out.print()
        out.print(Text.assemble((level, level_style(Level(level))), "" if met else ": not yet"))
        for rule in rules:
            mark = symbol("ok" if by_rule[rule].met else "error")
            asks = one.ledger.rules.get(rule, "")
            _print_rule(Text.assemble(mark, f" {rule}"), asks, out, 2)
            write(Text(by_rule[rule].reason, style="dim"), out, 9)
        if not met:
            break


# ------------------------------------------------------------------------------------------- record


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--rule", "rules", multiple=True, required=True, help="A rule that is proven so.")
@click.option(
    "--component", "names", multiple=True, required=True, help="A component that it is proven for."
)
@click.option(
    "--kind",
    type=click.Choice(["types", "fault", "scale", "real-system", "docs", "review"]),
    required=True,
    help="What kind of evidence it is.",
)
@click.option("--note", default="", help="What a reader should know, such as where it ran.")
@click.argument("command", nargs=-1, required=True)
def record(
    *,
    file: Path,
    rules: tuple[str, ...],
    names: tuple[str, ...],
    kind: str,
    note: str,
    command: tuple[str, ...],
) -> int:
    """Run a command; if it succeeds, write a file of evidence that says so.

    The evidence holds for the sources of the components as they are now.

    weft maturity record types.json --kind types --rule M10 --component my-exec -- mypy src
    """
    registry = default_registry()
    offers = [o for name in names for o in named(registry, name) if o.kind != Kind.COMMAND]
    ledgers = [one for offer in offers for one in ledgers_for(offer.package, path=registry.path)]
    known = dict.fromkeys(rule for ledger in ledgers for rule in ledger.rules)
    unknown = [rule for rule in rules if rule not in known]
    if unknown:
        raise click.BadParameter(
            f"there is no rule {unknown[0]!r}; the rules are {', '.join(known)}",
            param_hint="'--rule'",
        )
    before = {offer.key: _subject(registry, offer, rules) for offer in offers}
    try:
        done = subprocess.run(command, check=False)
    except OSError as trouble:
        raise click.ClickException(
            f"{command[0]} cannot be run ({trouble.strerror}), so it proves nothing; {file} was "
            "not written."
        ) from None
    if done.returncode != 0:
        raise click.ClickException(
            f"{command[0]} ended with exit code {done.returncode}, so it proves nothing; {file} "
            "was not written."
        )
    after = {offer.key: _subject(registry, offer, rules) for offer in offers}
    if before != after:
        raise click.ClickException(
            f"The sources changed while {command[0]} ran, so nobody knows what it proves; {file} "
            "was not written. Run it again."
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    evidence = Evidence(
        kind=kind,
        made=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        python=platform.python_version(),
        platform=f"{sys.platform}-{platform.machine()}",
        weft=version("weft"),
        kit={"name": "weft maturity record", "version": version("weft")},
        subjects=after,
        notes={"command": " ".join(command), **({"note": note} if note else {})},
    )
    file.write_text(dump(evidence), encoding="utf-8")
    console().print(f"{file} says that {', '.join(rules)} hold for {', '.join(after)}.")
    return 0


def _subject(registry: Registry, offer: Offer, rules: Iterable[str]) -> Subject:
    component = registry.manifest(offer)
    package = package_with(component)
    return Subject(
        dist=offer.dist,
        version=offer.version,
        package=package,
        digest=digest_of(package),
        interface=component.interface,
        spoken=interface_version(component.kind),
        rules={rule: RuleResult("passed", Level.TESTED) for rule in rules},
    )
