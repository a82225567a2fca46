"""``weft plugin add``, ``why``, ``check`` and ``typings``: what concerns whole packages."""

import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import click
from rich.text import Text

from weft.cli.console import console, counted, show_mark, show_remedy, write
from weft.cli.doctor import Line, show, whole
from weft.cli.plugin import complete_name, named
from weft.configuration.discovery import Offer
from weft.configuration.registry import CORE, Registry, default_registry
from weft.configuration.typings import MARK, Typed, render
from weft.errors import ConfigurationError, InterfaceMismatch, WeftError
from weft.interfaces import module_of
from weft.values.plugin import Component, Kind
from weft.values.settings import Settings, options_of

__all__ = ["add", "check", "typings", "why"]


# ---------------------------------------------------------------------------------------------- add


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("packages", nargs=-1, required=True, type=click.UNPROCESSED)
def add(packages: tuple[str, ...]) -> int:
    """Install packages into the environment of this very interpreter, and say what they bring.

    Options such as `--upgrade` or `--no-index` go on to pip, or to uv where there is no pip.
    """
    before = {offer.qualified for offer in Registry().offers()}
    command = [*_installer(), *packages]
    if subprocess.run(command, check=False).returncode != 0:
        raise ConfigurationError(
            f"{shlex.join(packages)} could not be installed.",
            why="The lines above are what the installer said.",
            todo=f"To see it alone, run: {shlex.join(command)}",
        )
    now = Registry()
    came = [offer for offer in now.offers() if offer.qualified not in before]
    for offer in came:
        _tell(offer, now)
    if not came:
        console().print(
            f"Installed for {sys.executable}. No component is new; 'weft plugin list' shows all."
        )
    return 0


def _tell(offer: Offer, registry: Registry) -> None:
    """Say how a component that has just come is named, and whether its declaration is sound."""
    out = console()
    try:
        registry.manifest(offer)
    except WeftError as trouble:
        show_mark("error", f"{trouble.what} {trouble.why}".strip(), out)
        return
    spelled = registry.spelled(offer)
    show_mark("ok", f"{_use(offer, spelled)} from {offer.dist} {offer.version}", out)
    if spelled != offer.name:
        show_mark("warning", _taken(offer, registry), out, 2)


def _taken(offer: Offer, registry: Registry) -> str:
    others = [one.dist for one in registry.offers(offer.kind, offer.name) if one != offer]
    verb = "offers" if len(others) == 1 else "offer"
    return f"The bare name {offer.name!r} does not mean it: {' and '.join(others)} {verb} it, too."


def _installer() -> list[str]:
    """The words before the packages; always those of this interpreter's environment."""
    if find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "install"]
    uv = which("uv")
    if uv is not None:
        return [uv, "pip", "install", "--python", sys.executable]
    raise ConfigurationError(
        f"Nothing here can install packages for {sys.executable}.",
        why="This environment has no pip, and no uv is on the PATH.",
        todo=f"Run '{sys.executable} -m ensurepip', or install uv.",
    )


def _use(offer: Offer, name: str) -> str:
    if offer.kind == Kind.COMMAND:
        return f"weft {offer.name.replace('plugin-', 'plugin ', 1)}"
    return f"weft.{offer.kind}({name!r})"


# ---------------------------------------------------------------------------------------------- why


@click.command()
@click.argument("name", shell_complete=complete_name)
def why(name: str) -> int:
    """Say which package a name means here, and why that one.

    Exit code 1 if the name alone means none.
    """
    registry, out = default_registry(), console()
    offers = named(registry, name)
    clear = True
    for kind, bare in dict.fromkeys((offer.kind, offer.name) for offer in offers):
        same = registry.offers(kind, bare)
        out.print(Text.assemble((f"{kind} {bare}", "bold")))
        try:
            chosen = registry.offer(kind, bare)
        except WeftError as trouble:
            chosen, clear = None, False
            show_mark("error", f"{trouble.what} {trouble.why}".strip(), out, 2)
            if trouble.todo:
                show_remedy(trouble.todo, out, 4)
        for offer in same:
            show_mark(
                "ok" if offer == chosen else "warning", _fate(offer, chosen, registry), out, 2
            )
            place = f"{offer.target}, installed in {offer.folder}" if offer.folder else offer.target
            write(Text(place, style="dim"), out, 4)
            told = _age(offer, registry) if offer == chosen else ""
            if told:
                write(Text(told, style="yellow"), out, 4)
    return 0 if clear else 1


def _age(offer: Offer, registry: Registry) -> str:
    """What is to be said of the interface that an offer was built for."""
    try:
        return registry.adaptation(registry.manifest(offer))
    except InterfaceMismatch as trouble:
        return trouble.what
    except ConfigurationError:
        return ""  # which package a name means is known all the same; the doctor says the rest


def _fate(offer: Offer, chosen: Offer | None, registry: Registry) -> str:
    who = f"{offer.dist} {offer.version}".strip()
    forbidden = registry.rules.forbids(offer.dist)
    if forbidden:
        return f"{who} may not be loaded: {forbidden}"
    if chosen is None:
        return f"{who} offers it; write {offer.qualified!r} to mean this one."
    if offer != chosen:
        return f"{who} offers it too; write {offer.qualified!r} to mean this one."
    rivals = [one for one in registry.offers(offer.kind, offer.name) if one.target != offer.target]
    if not rivals:
        return f"{who}: nobody else offers it."
    if registry.rules.preferred(offer.key) is not None:
        return f"{who}: the configuration prefers it."
    if offer.dist == CORE:
        return f"{who}: names of weft itself are reserved."
    return f"{who}: the others may not be loaded."


# -------------------------------------------------------------------------------------------- check


@click.command()
@click.argument("name", shell_complete=complete_name)
def check(name: str) -> int:
    """Load a component, all of it, and look at what it declares.

    The quick part of what a conformance kit does, without running anything: the kit itself is in
    the package weft-testkit. Exit code 1 if something is wrong.
    """
    registry = default_registry()
    found = [
        line
        for offer in named(registry, name)
        for line in (*whole(offer, registry), *_declared(offer, registry))
    ]
    show(found)
    return 1 if any(line.status == "error" for line in found) else 0


def _declared(offer: Offer, registry: Registry) -> Iterator[Line]:
    section = f"{offer.kind} {offer.name} ({offer.dist} {offer.version})".replace(" )", ")")
    try:
        component = registry.manifest(offer)
        cls = registry.class_of(offer) if component.kind.has_interface else None
        factory = registry.factory_of(offer)
    except WeftError:
        return  # told already
    if registry.spelled(offer) != offer.name:
        remedy = f"Write weft.{offer.kind}({offer.qualified!r}), or have one of them renamed."
        yield Line(section, "warning", _taken(offer, registry), remedy)
    lacking = sorted(getattr(factory, "__abstractmethods__", ()))
    if lacking:
        what = f"{component.factory} lacks {_listed(lacking)}, which the interface asks for."
        yield Line(section, "error", what, f"weft.interfaces.{component.kind} describes them.")
    yield from _capabilities(section, component)
    if cls is not None:
        yield from _options(section, cls)


def _capabilities(section: str, component: Component) -> Iterator[Line]:
    interface = module_of(component.kind)
    known = getattr(interface, "CAPABILITIES", {})
    own = getattr(interface, "OWN_CAPABILITIES", None)
    strange = sorted(
        name
        for name in set(component.capabilities) - set(known)
        if own is None or not name.startswith(own)
    )
    silent = sorted(set(known) - set(component.capabilities))
    if strange:
        what = f"It declares {_listed(strange)}, which the interface does not know."
        yield Line(section, "error", what, "Leave them out, or mend the spelling.")
    if silent:
        what = f"It says nothing about {_listed(silent)}."
        yield Line(section, "warning", what, "Declare each as full, partial or not at all.")
    if known and not strange and not silent:
        yield Line(section, "ok", f"It says of each capability ({len(known)}) whether it has it.")


def _options(section: str, cls: type[Settings]) -> Iterator[Line]:
    options = list(options_of(cls))
    unhelpful = [option.name for option in options if not option.help]
    if unhelpful:
        yield Line(
            section,
            "error",
            f"The options {_listed(unhelpful)} have no help text.",
            "Write them with setting(help='...').",
        )
    elif options:
        yield Line(section, "ok", f"{counted(len(options), 'option')}, each with a help text.")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))


# ------------------------------------------------------------------------------------------ typings


@click.command()
@click.argument(
    "file", type=click.Path(dir_okay=False, path_type=Path), default=Path("weft_env.py")
)
@click.option(
    "--check", "only_check", is_flag=True, help="Write nothing; exit 1 if it is outdated."
)
def typings(file: Path, only_check: bool) -> int:
    """Write a module that gives the names of installed plugins their types.

    With `from weft_env import executor`, a type checker finds a misspelt name or option, a wrong
    type, a part of the wrong kind and a missing option. Write it again when packages change.
    """
    registry, out = default_registry(), console()
    given, broken = _typed(registry)
    text = render(given)
    there = file.read_text(encoding="utf-8") if file.exists() else ""
    if only_check:
        if there == text:
            out.print(f"{file} is up to date.")
            return 0
        out.print(f"{file} is outdated: run 'weft plugin typings {file}'.")
        return 1
    if there and not there.startswith(MARK):
        raise ConfigurationError(
            f"{file} was not written by this command, so it is left alone.",
            todo="Name another file, or remove that one.",
        )
    file.write_text(text, encoding="utf-8")
    for what in broken:
        show_mark("warning", what, out)
    out.print(
        f"{file} types {counted(len(given), 'component')}. Write: from {file.stem} import executor"
    )
    return 0


def _typed(registry: Registry) -> tuple[list[Typed], list[str]]:
    given, broken = [], []
    for offer in registry.offers():
        if offer.kind == Kind.COMMAND:
            continue
        try:
            component, cls = registry.manifest(offer), registry.class_of(offer)
            chosen = registry.offer(offer.kind, offer.name) == offer
        except WeftError as trouble:
            broken.append(f"{offer.qualified} is left out: {trouble.what}")
            continue
        names = (offer.name, *component.aliases) if chosen else ()
        given.append(Typed(component.kind, (*names, offer.qualified), cls))
    return given, broken
