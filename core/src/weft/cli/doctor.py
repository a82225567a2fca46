"""``weft doctor``: looks at everything that could keep weft from working here."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import attrs
import click

from weft import __version__
from weft.blocks.leases import found, jobs_folder
from weft.cli.console import console, counted, show_json, show_mark, show_remedy
from weft.cli.plugin import complete_name, named
from weft.configuration.check import folder_problems, load_config, missing, problems
from weft.configuration.config import Config, parts_of
from weft.configuration.discovery import Offer, canonical
from weft.configuration.hooks import Hooks
from weft.configuration.registry import CORE, Registry, default_registry
from weft.errors import ConfigFileError, WeftError
from weft.values.plugin import Component, Kind, Level
from weft.values.problem import Finding, Problem, Severity
from weft.values.settings import ExecutorSettings, Settings

__all__ = ["Line", "doctor", "examine", "own_checks", "show", "whole"]

Status = Literal["ok", "warning", "error"]

_NEEDED: Final = ("attr", "attrs", "click", "dill", "pluggy", "rich", "typeguard", "weft")
"""Top-level modules that a file of the same name in the wrong folder would hide."""

_LITTLE: Final = 200 * 1024 * 1024


@attrs.frozen
class Line:
    """One finding.

    Attributes:
        section: what was looked at.
        status: how it is.
        what: one or more sentences.
        remedy: what to do; empty where nothing is to be done.
    """

    section: str
    status: Status
    what: str
    remedy: str = ""


@click.command()
@click.argument("name", required=False, shell_complete=complete_name)
@click.option(
    "--config",
    "file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Also look at what this configuration needs.",
)
@click.option("--json", "as_json", is_flag=True, help="Write the findings as JSON.")
def doctor(name: str | None, file: Path | None, as_json: bool) -> int:
    """Look for what is wrong with this installation.

    With NAME only that component is looked at: all of it is imported, and it makes its own checks,
    with the options that it has in the configuration if one is given. With a configuration alone,
    each component that it names makes its own checks.

    Exit code: 0 if nothing is wrong (warnings may be shown), 1 if something is.
    """
    registry = default_registry()
    if name is not None:
        lines = [line for offer in named(registry, name) for line in _one(offer, registry, file)]
    else:
        lines = list(examine(registry, file))
    errors = sum(line.status == "error" for line in lines)
    if as_json:
        show_json({"ok": not errors, "findings": [attrs.asdict(line) for line in lines]})
    else:
        show(lines)
    return 1 if errors else 0


def show(lines: list[Line]) -> None:
    """Write findings for a person, under the headings of their sections."""
    out = console()
    section = ""
    for line in lines:
        if line.section != section:
            if section:
                out.print()
            section = line.section
            out.print(section, style="bold")
        show_mark(line.status, line.what, out, 2)
        if line.remedy:
            show_remedy(line.remedy, out, 4)
    errors = sum(line.status == "error" for line in lines)
    warnings = sum(line.status == "warning" for line in lines)
    out.print()
    if errors:
        more = f" and {counted(warnings, 'warning')}" if warnings else ""
        out.print(f"{counted(errors, 'problem')}{more}.", style="bold red")
    elif warnings:
        out.print(f"Nothing is broken; {counted(warnings, 'warning')}.", style="bold yellow")
    else:
        out.print("All is well.", style="bold green")


def examine(registry: Registry, file: Path | None = None) -> Iterator[Line]:
    """Everything, in the order in which it is shown."""
    config: Config | None = None
    trouble: ConfigFileError | None = None
    if file is not None:
        try:
            config = load_config(file)
        except ConfigFileError as error:
            trouble = error
    seen = registry.restricted(config) if config is not None else registry
    yield from _installation(seen)
    yield from _versions(seen)
    yield from _components(seen)
    yield from _hooks(seen, config)
    if trouble is not None:
        yield Line("Configuration", "error", f"{trouble.what} {trouble.why}".strip(), trouble.todo)
    elif config is not None:
        yield from _configuration(config, seen)
    yield from _folder(config or Config())
    if config is not None:
        for settings in parts_of(config):
            yield from own_checks(config, settings, seen)
    yield from _left_behind()


# ------------------------------------------------------------------------------------- installation


def _installation(registry: Registry) -> Iterator[Line]:
    section = "Installation"
    python = ".".join(map(str, sys.version_info[:3]))
    yield Line(section, "ok", f"Python {python} on {sys.platform}: {sys.executable}")
    home = Path(__file__).parents[1]
    yield Line(section, "ok", f"weft {__version__}: {home}")
    if registry.version != __version__:
        yield Line(
            section,
            "warning",
            f"The installed metadata is that of weft {registry.version}, the code that of "
            f"{__version__}.",
            "Install weft again; after that its own components are found as the code has them.",
        )
    yield from (Line(section, "warning", what) for what in registry.oddities)
    yield from _program(section)
    yield from _hidden(section)


def _program(section: str) -> Iterator[Line]:
    """Whether the command ``weft`` belongs to this interpreter and not to another environment."""
    from shutil import which

    program = which("weft")
    own = Path(sys.executable).parent / "weft"
    if program is None:
        yield Line(
            section,
            "warning",
            "The command 'weft' is not on the PATH.",
            f"Use {sys.executable} -m weft, or add {own.parent} to the PATH.",
        )
    elif own.exists() and Path(program).resolve() != own.resolve():
        yield Line(
            section,
            "warning",
            f"The command 'weft' on the PATH is {program}, of another environment than this one "
            f"({own}).",
            "Packages that one of them sees are not seen by the other; activate the one you mean.",
        )


def _hidden(section: str) -> Iterator[Line]:
    """Files here that would be imported in the place of a package that weft needs."""
    here = Path.cwd()
    for name in _NEEDED:
        for candidate in (here / f"{name}.py", here / name / "__init__.py"):
            if candidate.exists() and not (candidate.parent / "py.typed").exists():
                yield Line(
                    section,
                    "error" if name == CORE else "warning",
                    f"{candidate} would be imported in the place of the package {name!r} by a "
                    "script of this folder.",
                    "Give it another name.",
                )


def _versions(registry: Registry) -> Iterator[Line]:
    """Whether what weft and its plugins say they need is there, in a version they can use."""
    from importlib.metadata import PackageNotFoundError, distribution, version

    section = "Versions"
    dists = {o.dist for o in (*registry.offers(), *registry.hook_offers())} | {CORE}
    for dist in sorted(dists, key=lambda d: (canonical(d) != CORE, d)):
        try:
            needs = distribution(dist).requires or []
        except PackageNotFoundError:
            continue
        bad = False
        for need in needs:
            name, conditions = _need(need)
            if not name:
                continue
            try:
                have = version(name)
            except PackageNotFoundError:
                bad = True
                yield Line(
                    section,
                    "error",
                    f"{dist} needs {name}, which is not installed.",
                    f"Run 'pip install \"{need}\"'.",
                )
                continue
            broken = [c for c in conditions if not _holds(have, c)]
            if broken:
                bad = True
                yield Line(
                    section,
                    "error",
                    f"{dist} needs {name} {', '.join(conditions)}; installed is {have}.",
                    f"Run 'pip install \"{name}{','.join(conditions)}\"'.",
                )
        if not bad:
            yield Line(section, "ok", f"{dist} has all that it needs.")


def _need(text: str) -> tuple[str, list[str]]:
    """Name and conditions of a requirement; no name if it holds only for an extra or elsewhere."""
    import re

    body, _, marker = text.partition(";")
    if marker.strip():
        return "", []
    match = re.match(r"\s*([A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*\(?([^)@]*)\)?\s*$", body)
    if match is None:
        return "", []
    return match[1], [c.strip() for c in match[2].split(",") if c.strip()]


def _holds(have: str, condition: str) -> bool:
    """Whether a version meets a simple condition such as ``>=1.5``; what cannot be read holds."""
    import re

    match = re.fullmatch(r"(>=|<=|==|!=|>|<)\s*([0-9]+(?:\.[0-9]+)*)", condition)
    numbers = re.match(r"[0-9]+(?:\.[0-9]+)*", have)
    if match is None or numbers is None:
        return True
    ours, theirs = ([int(n) for n in v.split(".")] for v in (numbers[0], match[2]))
    length = max(len(ours), len(theirs))
    left, right = (tuple(v + [0] * (length - len(v))) for v in (ours, theirs))
    compare: dict[str, Callable[[], bool]] = {
        ">=": lambda: left >= right,
        "<=": lambda: left <= right,
        "==": lambda: left == right,
        "!=": lambda: left != right,
        ">": lambda: left > right,
        "<": lambda: left < right,
    }
    return compare[match[1]]()


# --------------------------------------------------------------------------------------- components


def _components(registry: Registry) -> Iterator[Line]:
    section = "Components"
    good: dict[str, list[Offer]] = {}
    told: set[str] = set()
    for row in registry.listing():
        if row.blocked:
            yield Line(
                section, "warning", f"{row.key} of {row.dist} may not be loaded. {row.blocked}"
            )
            continue
        if row.in_conflict and row.key not in told:
            told.add(row.key)
            yield _conflict(row.key, row.kind, row.name, registry)
        offer = next(o for o in registry.offers(row.kind, row.name) if o.dist == row.dist)
        lines = list(_light(offer, registry))
        yield from lines
        if not lines:
            label = f"{row.dist} {row.version}".strip()
            good.setdefault(label, []).append(offer)
    for package, offers in good.items():
        yield Line(section, "ok", _described(package, offers, registry))
    yield from _aliases(registry)


def _described(package: str, offers: Sequence[Offer], registry: Registry) -> str:
    """What a package brings, how far each part of it can be trusted, and where it came from."""
    levels: dict[Level, list[str]] = {}
    for offer in offers:
        levels.setdefault(registry.rating(offer).level, []).append(offer.key)
    lines = [f"{package}: {counted(len(offers), 'component')} in order."]
    ranked = sorted(levels, key=lambda one: -one.rank)
    lines += [f"{level}: {', '.join(levels[level])}" for level in ranked]
    homes = {home for offer in offers if (home := _home(offer))}
    return "\n".join([*lines, *(f"from {home}" for home in sorted(homes))])


def _home(offer: Offer) -> str:
    """The folder of the package that an offer's declaration was loaded from."""
    module = sys.modules.get(offer.target.partition(":")[0].partition(".")[0])
    file = getattr(module, "__file__", None)
    return str(Path(file).parent) if isinstance(file, str) else ""


def _conflict(key: str, kind: str, name: str, registry: Registry) -> Line:
    dists = [offer.dist for offer in registry.offers(kind, name)]
    try:
        chosen = registry.offer(kind, name).dist
    except WeftError:
        return Line(
            "Components",
            "error",
            f"{key} is offered by {' and '.join(dists)}, so the bare name is an error.",
            f"Write weft.{kind}('{dists[0]}:{name}'), or Config(prefer={{{key!r}: {dists[0]!r}}}).",
        )
    why = "the name is reserved for weft" if chosen == CORE else "Config(prefer=...) says so"
    return Line(
        "Components",
        "warning",
        f"{key} is offered by {' and '.join(dists)}; the bare name means that of {chosen}, because "
        f"{why}.",
    )


def _light(offer: Offer, registry: Registry) -> Iterator[Line]:
    """What can be known of a component without importing its heavy part."""
    section = "Components"
    try:
        component = registry.manifest(offer)
        if component.kind.has_interface:
            registry.class_of(offer)
    except WeftError as trouble:
        yield Line(section, "error", f"{trouble.what} {trouble.why}".strip(), trouble.todo)
        return
    yield from _former(section, component, offer, registry)
    for what, remedy in missing(component.requires, component.key):
        # What is only installed and not used may lack something without harm.
        yield Line(section, "warning", what, remedy)


def _former(section: str, component: Component, offer: Offer, registry: Registry) -> Iterator[Line]:
    """Whether it was built for the former major of its interface."""
    told = registry.adaptation(component)
    if told:
        yield Line(
            section,
            "warning",
            f"{component.key} of {offer.dist} is of the former major of its interface. {told}",
            f"Install a newer version of {offer.dist} when there is one.",
        )


def _aliases(registry: Registry) -> Iterator[Line]:
    """Aliases that two components share, or that are the name of another one."""
    owners: dict[tuple[str, str], list[str]] = {}
    for offer in registry.offers():
        try:
            component = registry.manifest(offer)
        except WeftError:
            continue
        for alias in component.aliases:
            owners.setdefault((offer.kind, alias), []).append(offer.qualified)
    for (kind, alias), who in owners.items():
        names = [o.qualified for o in registry.offers(kind, alias)]
        if names:
            owners_of = " and ".join(who)
            what = (
                f"The alias {alias!r} of {owners_of} is never used: it is the name of {names[0]}."
            )
            yield Line("Components", "warning", what)
        elif len(who) > 1:
            what = (
                f"The {kind} alias {alias!r} is an error, since it belongs to {' and '.join(who)}."
            )
            yield Line("Components", "warning", what, "Use their names.")


def _one(offer: Offer, registry: Registry, file: Path | None) -> Iterator[Line]:
    """All of one component, and its own checks."""
    lines = list(whole(offer, registry))
    yield from lines
    if any(line.status == "error" for line in lines):
        return
    section = lines[0].section
    if file is None:
        try:
            settings = registry.class_of(offer)() if offer.kind != Kind.COMMAND else None
        except (TypeError, ValueError):
            what = "It has options that must be given before it can be looked at further."
            yield Line(section, "ok", what, "Give --config FILE.")
        else:
            if settings is not None:
                yield from _checked(section, offer, settings, registry, Config())
        return
    try:
        config = load_config(file)
    except ConfigFileError as error:
        yield Line(section, "error", f"{error.what} {error.why}".strip(), error.todo)
        return
    parts = [part for part in parts_of(config) if registry.offer_of(part) == offer]
    if not parts:
        yield Line(section, "warning", f"{file} does not name it.")
    for part in parts:
        yield from own_checks(config, part, registry)


def own_checks(config: Config, settings: Settings, registry: Registry) -> Iterator[Line]:
    """What the checks of one component find, with the options that it has in a configuration."""
    try:
        offer = registry.offer_of(settings)
    except WeftError:
        return  # that is said where the configuration is looked at
    label = f" {settings.called!r}" if isinstance(settings, ExecutorSettings) else ""
    yield from _checked(
        f"{offer.kind} {offer.name}{label}".strip(), offer, settings, registry, config
    )


def _checked(
    section: str, offer: Offer, settings: Settings, registry: Registry, config: Config
) -> Iterator[Line]:
    """What a component's own checks find."""
    import tempfile

    try:
        checks = registry.checks_of(offer)
    except WeftError as trouble:
        yield Line(section, "error", f"{trouble.what} {trouble.why}".strip(), trouble.todo)
        return
    if checks is None:
        return
    folder = config.run_dir.absolute()
    there = next(p for p in (folder, *folder.parents) if p.exists())
    try:
        with tempfile.TemporaryDirectory(prefix=".weft-doctor-", dir=there) as scratch:
            for finding in checks(settings, Path(scratch)):
                yield _found(section, finding)
    except Exception as trouble:  # noqa: BLE001 - the checks may be a plugin's
        what = f"Its own checks raised {type(trouble).__name__}: {trouble}"
        yield Line(section, "error", what, f"Report this to the makers of {offer.dist}.")


def _found(section: str, finding: Finding) -> Line:
    status: Status = "ok"
    if finding.severity is not None:
        status = "error" if finding.severity is Severity.ERROR else "warning"
    why = f" {finding.why}" if finding.why else ""
    return Line(section, status, f"{finding.what}{why}", finding.remedy)


def whole(offer: Offer, registry: Registry) -> Iterator[Line]:
    """All of one component: its factory is imported too, and what it requires must be there."""
    section = f"{offer.kind} {offer.name} ({offer.dist} {offer.version})".replace(" )", ")")
    try:
        component = registry.manifest(offer)
        yield Line(section, "ok", f"The manifest {offer.target} loads.")
        if component.kind.has_interface:
            registry.class_of(offer)
            yield Line(section, "ok", f"The settings {component.settings} load.")
        registry.factory_of(offer)
        yield Line(section, "ok", f"The factory {component.factory} loads.")
    except WeftError as trouble:
        yield Line(section, "error", f"{trouble.what} {trouble.why}".strip(), trouble.todo)
        return
    yield from _former(section, component, offer, registry)
    lacking = list(missing(component.requires, component.key))
    yield from (Line(section, "error", what, remedy) for what, remedy in lacking)
    if not lacking:
        yield Line(section, "ok", "All that it requires is here.")
    hooks = Hooks.open(None, registry, notice=lambda _level, _text: None)
    for _, answer in hooks.gather("weft_doctor", component=component, config=None):
        for problem in answer:
            yield _of(section, problem)


# ------------------------------------------------------------------------------------------- hooks,
# config, folders


def _hooks(registry: Registry, config: Config | None) -> Iterator[Line]:
    section = "Hooks"
    offers = registry.hook_offers()
    if os.environ.get("WEFT_HOOKS") == "0":
        if offers:
            yield Line(section, "warning", "Hooks are switched off by WEFT_HOOKS=0.")
        return
    hooks = Hooks.open(config, registry, notice=lambda _level, _text: None)
    for name in hooks.plugins:
        yield Line(section, "ok", f"{name} watches every run.")
    for problem in hooks.problems:
        yield _of(section, problem)
    hooks.close()


def _configuration(config: Config, registry: Registry) -> Iterator[Line]:
    section = "Configuration"
    wrong = [p for p in problems(config, registry) if p.place != "run_dir"]
    yield from (_of(section, problem) for problem in wrong)
    if not wrong:
        yield Line(section, "ok", "It can be used.")


def _folder(config: Config) -> Iterator[Line]:
    section = "Run folder"
    wrong = list(folder_problems(config))
    yield from (_of(section, problem) for problem in wrong)
    if wrong:
        return
    folder = config.run_dir.absolute()
    there = next(p for p in (folder, *folder.parents) if p.exists())
    yield Line(section, "ok", f"{folder} can be written.")
    from shutil import disk_usage

    free = disk_usage(there).free
    if free < _LITTLE:
        yield Line(section, "warning", f"Only {free // 2**20} MiB are free on its disk.")


def _left_behind() -> Iterator[Line]:
    """Jobs that runs which are gone have left with a scheduler."""
    section = "Jobs of runs that are gone"
    try:
        gone = [one for one in found(jobs_folder()) if one.gone and one.jobs]
    except OSError as trouble:
        yield Line(section, "warning", f"It could not be looked for them: {trouble}")
        return
    for one in gone:
        yield Line(
            section,
            "warning",
            f"These may still be there: {one}.",
            f"The next run that uses {one.site} cancels them; so does 'weft blocks --cancel FILE' "
            "with a configuration that has it.",
        )


def _of(section: str, problem: Problem) -> Line:
    place = f"{problem.place}: " if problem.place else ""
    return Line(
        section,
        "error" if problem.is_error else "warning",
        f"{place}{problem.what}",
        problem.remedy,
    )
