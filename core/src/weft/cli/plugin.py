"""``weft plugin``: what is installed, what each part can do, and how to start one of your own."""

from collections.abc import Mapping
from typing import Any

import attrs
import click
from click.shell_completion import CompletionItem
from rich.console import Console
from rich.text import Text

from weft.cli import AllWords, Lazy, LazyGroup
from weft.cli.console import (
    columns,
    console,
    counted,
    level_style,
    show_error,
    show_json,
    show_mark,
    show_remedy,
    write,
)
from weft.configuration.check import missing
from weft.configuration.discovery import Offer
from weft.configuration.options import allowed, annotations_of, nearest
from weft.configuration.registry import (
    CORE,
    IN_PROCESS,
    Listed,
    Registry,
    default_registry,
    interface_version,
)
from weft.errors import ConfigurationError, WeftError
from weft.interfaces import module_of
from weft.values.plugin import Component, Kind, Level, State, normalized
from weft.values.settings import options_of

__all__ = ["complete_name", "info", "list_", "named", "new", "plugin"]


@click.group(
    cls=LazyGroup,
    prefix="plugin-",
    lazy={
        "list": Lazy("weft.cli.plugin:list_", "List the components that are installed."),
        "info": Lazy("weft.cli.plugin:info", "Tell all that is known of a component."),
        "new": Lazy("weft.cli.plugin:new", "Start a package of your own."),
        "add": Lazy("weft.cli.packages:add", "Install a package beside weft."),
        "why": Lazy("weft.cli.packages:why", "Say which package a name means, and why."),
        "check": Lazy("weft.cli.packages:check", "Load a component and look at what it declares."),
        "typings": Lazy("weft.cli.packages:typings", "Write a module that types the names."),
    },
)
def plugin() -> None:
    """List, describe and start plugins."""


# --------------------------------------------------------------------------------------------- list


@click.command("list")
@click.option("--kind", type=click.Choice([kind.value for kind in Kind]), help="Only this kind.")
@click.option("--json", "as_json", is_flag=True, help="Write the list as JSON.")
def list_(kind: str | None, as_json: bool) -> None:
    """List the components that are installed.

    Nothing of any package is imported, so a broken one is listed too; `weft doctor` finds it.
    """
    registry = default_registry()
    rows = [row for row in registry.listing() if kind is None or row.kind == kind]
    if as_json:
        show_json([attrs.asdict(row) for row in rows])
        return
    out = console()
    if not rows:
        out.print(f"No {kind or 'component'} is installed.")
        return
    _print_rows(rows, out)
    _print_notes(rows, registry, kind, out)


def _print_rows(rows: list[Listed], out: Console) -> None:
    table = columns("kind", "name", "package", "level")
    before = ""
    for row in rows:
        table.add_row(
            Text(row.kind if row.kind != before else "", style="bold"),
            Text(row.name, style="" if row.chosen else "dim"),
            Text(f"{row.dist} {row.version}".strip()),
            _level(row),
        )
        before = row.kind
    write(table, out)


def _level(row: Listed) -> Text:
    text = Text.assemble((row.level.value, level_style(row.level)))
    if row.self_reported:
        bare = row.level is not Level.UNRATED and not row.evidence
        word, style = ("no evidence", "yellow") if bare else ("self-reported", "dim")
        text.append(f", {word}", style=style)
    if row.state is not State.ACTIVE:
        text.append(f", {row.state.value}", style="yellow")
    if row.blocked:
        text.append(", blocked", style="red")
    elif row.in_conflict:
        text.append(", hidden" if not row.chosen else ", chosen", style="red")
    return text


def _print_notes(rows: list[Listed], registry: Registry, kind: str | None, out: Console) -> None:
    out.print()
    dists = {row.dist for row in rows}
    out.print(
        f"{counted(len(rows), 'component')} from {counted(len(dists), 'package')}. "
        "'weft plugin info NAME' tells more.",
        style="dim",
    )
    told = set()
    for row in rows:
        if row.in_conflict and row.key not in told:
            told.add(row.key)
            _print_conflict(row, [r for r in rows if r.key == row.key], out)
    for blocked in sorted({row.blocked for row in rows if row.blocked}):
        show_mark("warning", blocked, out)
    hooks = sorted({offer.dist for offer in registry.hook_offers()})
    if hooks and kind is None:
        watch = "watches" if len(hooks) == 1 else "watch"
        what = f"{counted(len(hooks), 'package')} {watch} every run through hooks"
        show_mark("warning", f"{what}: {', '.join(hooks)}.", out)


def _print_conflict(row: Listed, same: list[Listed], out: Console) -> None:
    chosen = next((r for r in same if r.chosen), None)
    means = (
        f"the bare name means that of {chosen.dist}"
        if chosen is not None
        else "the bare name is an error"
    )
    others = " or ".join(f"weft.{row.kind}('{r.dist}:{r.name}')" for r in same if not r.chosen)
    text = (
        f" {counted(len(same), 'package')} offer {row.key}: {means}. "
        f"Write {others}, or Config(prefer={{{row.key!r}: '...'}})."
    )
    show_mark("warning", text.strip(), out)


# --------------------------------------------------------------------------------------------- info


def complete_name(
    _ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the name of a component."""
    return [
        CompletionItem(name, help=" and ".join(kinds))
        for name, kinds in _names(default_registry()).items()
        if name.startswith(incomplete)
    ]


def _names(registry: Registry) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for offer in registry.offers():
        names.setdefault(offer.name, []).append(offer.kind)
    return names


def named(registry: Registry, name: str) -> tuple[Offer, ...]:
    """The offers that ``name``, ``kind.name`` or ``dist:name`` means on the command line.

    Raises:
        ConfigurationError: there is none.
    """
    kind, dotted, rest = name.partition(".")
    if dotted and kind in set(Kind):
        found = registry.offers(kind, rest)
    else:
        dist, _, bare = name.rpartition(":")
        found = tuple(
            o
            for o in registry.offers(None, bare)
            if not dist or normalized(o.dist) == normalized(dist)
        )
    if not found:
        found = tuple(_by_alias(registry, name))
    if found:
        return found
    known = _names(registry)
    near = nearest(normalized(name), known)
    ignored = [told for told in registry.oddities if f"{name} = " in told]
    raise ConfigurationError(
        f"No component named {name!r} is installed.",
        why=" ".join(ignored)
        or f"{counted(len(known), 'name')} are known; 'weft plugin list' shows them.",
        todo=f"Did you mean {' or '.join(repr(n) for n in near)}?" if near else "",
    )


def _by_alias(registry: Registry, name: str) -> list[Offer]:
    found = []
    for kind in Kind:
        try:
            found.append(registry.offer(kind, name))
        except ConfigurationError:
            continue
    return found


@click.command()
@click.argument("name", shell_complete=complete_name)
@click.option("--json", "as_json", is_flag=True, help="Write it as JSON.")
def info(name: str, as_json: bool) -> int:
    """Tell all that is known of a component.

    NAME is a name, or `kind.name`, or `package:name`; a name that several kinds or packages have
    shows them all.
    """
    registry = default_registry()
    offers = named(registry, name)
    broken = False
    told = []
    for number, offer in enumerate(offers):
        facts, trouble = _facts(registry, offer)
        broken = broken or trouble is not None
        if as_json:
            told.append(facts)
            continue
        if number:
            console().print()
        _print_info(facts, trouble)
    if as_json:
        show_json(told)
    return 1 if broken else 0


def _facts(registry: Registry, offer: Offer) -> tuple[dict[str, Any], WeftError | None]:
    """All that is known, as far as it can be loaded; and what kept it from being loaded."""
    rating = registry.rating(offer)
    facts: dict[str, Any] = {
        "kind": offer.kind,
        "name": offer.name,
        "package": offer.dist,
        "version": offer.version,
        "spelled": registry.spelled(offer),
        "entry_point": offer.target,
        "level": rating.level,
        "state": rating.state,
        "self_reported": rating.self_reported,
        "owner": rating.owner,
        "evidence": rating.evidence,
        "rules_met": rating.met,
        "rules_needed": rating.needed,
        "ledger": rating.source,
        "error": None,
    }
    try:
        component = registry.manifest(offer)
        facts |= _of_component(component) | {"adapted": registry.adaptation(component)}
        if component.kind.has_interface:
            cls = registry.class_of(offer)
            hints = annotations_of(cls)
            fields = {f.alias or f.name: f for f in attrs.fields(cls)}
            facts["settings"] = [
                attrs.asdict(option) | {"type": allowed(fields[option.name], hints)}
                for option in options_of(cls)
            ]
    except WeftError as trouble:
        facts["error"] = str(trouble)
        return facts, trouble
    return facts, None


def _of_component(component: Component) -> dict[str, Any]:
    return {
        "summary": component.summary,
        "interface": component.interface if component.kind.has_interface else None,
        "spoken": interface_version(component.kind) if component.kind.has_interface else None,
        "aliases": list(component.aliases),
        "settings_class": component.settings,
        "factory": component.factory,
        "capabilities": {str(k): str(v) for k, v in component.capabilities.items()},
        "requires": attrs.asdict(component.requires),
        "missing": [what for what, _ in missing(component.requires, component.key)],
        "pairs_with": {str(k): list(v) for k, v in component.pairs_with.items()},
        "schemes": list(component.schemes),
        "docs": component.docs,
        "since": component.since,
        "deprecated": component.deprecated,
    }


def _print_info(facts: Mapping[str, Any], trouble: WeftError | None) -> None:
    out = console()
    out.print(Text.assemble((f"{facts['kind']} {facts['name']}", "bold")))
    if facts.get("summary"):
        out.print(facts["summary"])
    out.print()
    table = columns("", "")
    table.show_header = False
    for name, value in _overview(facts):
        table.add_row(Text(name, style="dim"), value)
    write(table, out, 2)
    if trouble is not None:
        out.print()
        show_error(trouble, out.file)
        return
    _print_settings(facts, out)
    _print_capabilities(facts, out)
    _print_needs(facts, out)


def _overview(facts: Mapping[str, Any]) -> list[tuple[str, Text]]:
    level = Text.assemble((str(facts["level"]), level_style(facts["level"])))
    if facts["self_reported"]:
        level.append(", self-reported", style="dim")
    if facts["state"] != State.ACTIVE:
        level.append(f", {facts['state']}", style="yellow")
    if facts["rules_needed"] and (facts["evidence"] or facts["self_reported"]):
        level.append(
            f"; evidence for {facts['rules_met']} of the {facts['rules_needed']} rules up to the "
            "next level"
            if facts["level"] != Level.PROVEN
            else f"; evidence for {facts['rules_met']} of {facts['rules_needed']} rules"
        )
    core = facts["package"] in {CORE, IN_PROCESS}
    rows = [
        ("package", Text(f"{facts['package']} {facts['version']}".strip())),
        ("level", level),
        ("owner", Text(facts["owner"])),
        ("interface", _interface(facts)),
        ("aliases", Text(", ".join(facts.get("aliases", ())))),
        ("schemes", Text(", ".join(f"{s}://" for s in facts.get("schemes", ())))),
        ("use", Text(_use(facts))),
        ("or", Text(_class_use(facts), style="dim")),
        ("docs", Text(facts.get("docs", ""))),
        ("since", Text("" if core else facts.get("since", ""))),
        ("deprecated", Text(facts.get("deprecated", ""), style="yellow")),
        ("declared in", Text(facts["entry_point"], style="dim")),
    ]
    return [(name, value) for name, value in rows if value.plain]


def _interface(facts: Mapping[str, Any]) -> Text:
    if not facts.get("interface"):
        return Text("")
    text = Text(f"{facts['interface']} (this weft speaks {facts['spoken']})")
    if facts["adapted"]:
        text.append(f". {facts['adapted']}", style="yellow")
    return text


def _use(facts: Mapping[str, Any]) -> str:
    if facts["kind"] == Kind.COMMAND:
        return f"weft {facts['name'].replace('plugin-', 'plugin ', 1)}"
    return f"weft.{facts['kind']}({facts['spelled']!r})"


def _class_use(facts: Mapping[str, Any]) -> str:
    module, found, cls = facts.get("settings_class", "").partition(":")
    return f"from {module} import {cls}" if found else ""


def _heading(text: str, out: Console) -> None:
    out.print()
    out.print(text, style="bold")


def _print_settings(facts: Mapping[str, Any], out: Console) -> None:
    options = facts.get("settings")
    if not options:
        return
    _heading("Options", out)
    for option in options:
        unit = f" {option['unit']}" if option["unit"] else ""
        default = "must be given" if option["default"] is None else f"{option['default']}{unit}"
        head = Text.assemble(
            (option["name"], "bold cyan"),
            f"  {option['type']}",
            ("  = " if option["default"] is not None else "  ", "dim"),
            (default, "dim"),
        )
        write(head, out, 2)
        more = option["help"]
        if option["env"]:
            more += f" Read from {option['env']} when left out."
        if option["secret"]:
            more += " Secret: never shown or written."
        if more:
            write(Text(more), out, 6)


def _print_capabilities(facts: Mapping[str, Any], out: Console) -> None:
    if not facts.get("capabilities"):
        return
    _heading("What it can do", out)
    promises = _promises(facts["kind"])
    table = columns("", "", "")
    table.show_header = False
    styles = {"full": "green", "partial": "yellow"}
    for name, support in facts["capabilities"].items():
        table.add_row(name, Text(support, style=styles.get(support, "dim")), promises.get(name, ""))
    write(table, out, 2)


def _promises(kind: str) -> Mapping[str, str]:
    found: Mapping[str, str] = getattr(module_of(kind), "CAPABILITIES", {})
    return found


def _print_needs(facts: Mapping[str, Any], out: Console) -> None:
    requires = facts["requires"]
    listed = ("platforms", "commands", "modules")
    rows = [(name, ", ".join(requires[name])) for name in listed if requires[name]]
    rows += [
        (f"{kind}s", "any" if "*" in names else ", ".join(names) or "none")
        for kind, names in facts["pairs_with"].items()
    ]
    if rows:
        _heading("Needs and works with", out)
        table = columns("", "")
        table.show_header = False
        for name, value in rows:
            table.add_row(Text(name, style="dim"), value)
        write(table, out, 2)
    for what in facts["missing"]:
        show_mark("warning", what, out, 2)
    if facts["missing"] and requires["hint"]:
        show_remedy(requires["hint"], out, 4)


# ---------------------------------------------------------------------------------------------- new


@click.command(cls=AllWords, add_help_option=False, options_metavar="KIND NAME")
@click.pass_context
def new(ctx: click.Context, words: tuple[str, ...]) -> int:
    """Start a package of your own: layout, manifest, settings, and a test with the kit."""
    if "plugin-new" not in default_registry().names(Kind.COMMAND):
        if words[:1] in {("--help",), ("-h",)}:
            click.echo(ctx.get_help())
        raise ConfigurationError(
            "The scaffold for new plugins is not installed.",
            why="It comes with the conformance kits, in the package weft-testkit.",
            todo="Run 'pip install weft-testkit', then this command again.",
        )
    return default_registry().command("plugin-new")(list(words))
