"""Pages of components, from their declarations, their settings classes and the maturity ledger."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path, PurePath
from typing import Any, Final

import attrs

from weft.configuration.options import allowed, annotations_of, shown_type
from weft.interfaces import module_of
from weft.values.plugin import Component, Kind

__all__ = [
    "capabilities",
    "component",
    "declared",
    "interfaces",
    "options_of_path",
    "table",
]

ROOT: Final = Path(__file__).resolve().parents[2]

_NO_INTERFACE: Final[Mapping[str, str]] = {}


@attrs.frozen
class Declared:
    """A component of this repository, and the package that brings it."""

    component: Component
    dist: str
    version: str


def declared() -> Mapping[str, Declared]:
    """Every component that a package of this repository declares, by ``kind.name``.

    Commands are left out: they are on the page of the command line.
    """
    found = {}
    for project in _projects():
        for key, target in project.get("entry-points", {}).get("weft.components", {}).items():
            made = _at(target)
            assert isinstance(made, Component), target
            if made.kind.has_interface:
                found[key] = Declared(made, project["name"], project.get("version", ""))
    return found


def _projects() -> Iterator[Mapping[str, Any]]:
    folders = [ROOT / "core"]
    for shelf in ("plugins", "contrib"):
        folders += sorted(file.parent for file in (ROOT / shelf).glob("*/pyproject.toml"))
    for folder in folders:
        source = str(folder / "src")
        if source not in sys.path:
            sys.path.append(source)  # a package that is not installed here can be read all the same
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        yield project


def _at(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


def table(kind: str) -> str:
    """The components of a kind."""
    rows = [
        f"| [`{one.component.name}`]({key.replace('.', '-')}.md) | `{one.dist}` "
        f"| {_rated(key)['claim']} | {one.component.summary} |"
        for key, one in sorted(declared().items())
        if one.component.kind == kind
    ]
    return "\n".join(["| name | package | level | |", "| --- | --- | --- | --- |", *rows])


def _rated(key: str) -> Mapping[str, Any]:
    ledger = tomllib.loads((ROOT / "maturity.toml").read_text(encoding="utf-8"))
    entry = ledger["component"].get(key, {})
    return {"claim": "unrated", "state": "active", "owner": "", **entry}


def component(key: str) -> str:
    """All that is known of a component without running it."""
    one = declared()[key]
    parts = [one.component.summary, _facts(key, one), *_settings(one.component)]
    parts += [*_capabilities(one.component), *_requires(one.component)]
    return "\n\n".join(parts)


def _facts(key: str, one: Declared) -> str:
    made, rated = one.component, _rated(key)
    rows = [
        ("kind", f"{made.kind}"),
        ("package", f"`{one.dist}`"),
        ("since", f"{one.dist} {made.since}"),
        ("level", f"[{rated['claim']}](maturity.md)"),
        ("state", f"{rated['state']}"),
        ("owner", f"{rated['owner']}"),
        ("interface", f"{made.kind} {made.interface}"),
    ]
    if made.kind is not Kind.COMMAND:
        module, _, name = made.settings.partition(":")
        rows += [
            ("use", f"`weft.{made.kind}({made.name!r})`"),
            ("or", f"`from {module} import {name}`"),
        ]
    if made.aliases:
        rows.append(("also called", ", ".join(f"`{alias}`" for alias in made.aliases)))
    if made.schemes:
        rows.append(("schemes", ", ".join(f"`{scheme}`" for scheme in made.schemes)))
    for kind, names in made.pairs_with.items():
        rows.append(
            (f"takes a {kind}", "any" if "*" in names else ", ".join(f"`{n}`" for n in names))
        )
    if made.deprecated:
        rows.append(("deprecated", made.deprecated))
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {text} |" for name, text in rows)])


def _settings(made: Component) -> Iterator[str]:
    if not made.settings:
        return
    cls = _at(made.settings)
    yield "## Options"
    said = [line.strip() for line in (cls.__doc__ or "").strip().splitlines()]
    if said:
        yield "\n".join(said)
    yield options(cls)


def options_of_path(target: str) -> str:
    """The options of the settings class at ``module:Class``."""
    return options(_at(target))


def options(cls: type[Any]) -> str:
    """A table of options: name, type, default with its unit, help."""
    hints = annotations_of(cls)
    rows = []
    for field in attrs.fields(cls):
        default, unit = _default(field), field.metadata.get("unit", "")
        cells = [
            f"`{field.alias or field.name}`",
            _type(field, hints),
            _with_unit("must be given" if default is None else default, unit),
            field.metadata.get("help", ""),
        ]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    head = ["| option | type | default, unit | |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *rows])


def _with_unit(default: str, unit: str) -> str:
    if not unit:
        return default
    return f"{default} {unit}" if default.strip("`")[0].isdigit() else f"{default} ({unit})"


def _type(field: Any, hints: Mapping[str, Any]) -> str:
    """The type, and what the validator asks for beyond it, such as ``>= 1``."""
    if field.name not in hints:
        return f"`{field.type}`"  # names something that is only there for type checkers
    plain, limited = shown_type(hints[field.name]), allowed(field, hints)
    more = limited.removeprefix(plain).strip() if limited.startswith(plain) else ""
    return f"`{plain}` `{more}`" if more else f"`{plain}`"


def _default(field: Any) -> str | None:
    default = field.default
    if default is attrs.NOTHING:
        return None
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        if not isinstance(default.factory, type):
            return "see right"  # computed on the machine that runs it, as the help says
        if attrs.has(default.factory):
            return f"`{default.factory.__name__}()`"  # its own defaults stand on its own page
        default = default.factory()
    if isinstance(default, PurePath):
        default = str(default)
    return f"`{default!r}`"


def _capabilities(made: Component) -> Iterator[str]:
    if not made.capabilities:
        return
    promises = _promises(made.kind)
    yield "## What it can do"
    rows = [
        f"| `{name}` | {support.value} | {promises.get(name, '')} |"
        for name, support in made.capabilities.items()
    ]
    yield "\n".join(["| capability | support | what it promises |", "| --- | --- | --- |", *rows])


def capabilities(kind: str) -> str:
    """The capabilities that an interface knows, and what each promises."""
    rows = [f"| `{name}` | {text} |" for name, text in _promises(Kind(kind)).items()]
    return "\n".join(["| capability | promises that the component |", "| --- | --- |", *rows])


def interfaces(_: str = "") -> str:
    """The version of each interface."""
    rows = [
        f"| {kind.value} | {module_of(kind.value).VERSION} |" for kind in Kind if kind.has_interface
    ]
    return "\n".join(["| interface | version |", "| --- | --- |", *rows])


def _promises(kind: Kind) -> Mapping[str, str]:
    found: Mapping[str, str] = getattr(module_of(kind.value), "CAPABILITIES", _NO_INTERFACE)
    return found


def _requires(made: Component) -> Iterator[str]:
    needs = made.requires
    rows = [
        (name, ", ".join(f"`{one}`" for one in given))
        for name, given in (
            ("commands", needs.commands),
            ("modules", needs.modules),
            ("platforms", needs.platforms),
        )
        if given
    ]
    if not rows:
        return
    yield "## What it needs"
    text = ["| | |", "| --- | --- |", *(f"| {name} | {given} |" for name, given in rows)]
    yield "\n".join(text)
    if needs.hint:
        yield needs.hint
