"""``weft site``: configurations of clusters, by name."""

import datetime as dt
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

import attrs
import click

from weft.errors import WeftError
from weft_sites.detect import matches, seen_here
from weft_sites.layers import Unfilled, filled
from weft_sites.python import KINDS, program
from weft_sites.repositories import Entry, Repositories, home
from weft_sites.values import Site

__all__ = ["main"]

_STALE: Final = 365
_SETTINGS: Final = {"help_option_names": ["-h", "--help"]}


def main(words: Sequence[str]) -> int:
    """The command ``weft site``. Returns its exit code."""
    answer = _group.main(list(words), prog_name="weft site", standalone_mode=False)
    return answer if isinstance(answer, int) else 0


@click.group(context_settings=_SETTINGS)
def _group() -> None:
    """Find the configuration of a cluster by its name, and fill it in.

    Site files are data: what a cluster's documentation says, with its source and its date, and what
    a user has to fill in. 'use' writes a Python configuration that is yours from then on.
    """


# ------------------------------------------------------------------------------------------ looking


@_group.command("list")
def _list() -> None:
    """List the sites there are."""
    entries = _repositories().entries()
    rows, broken = [], []
    for entry in entries:
        try:
            site = entry.read()
        except WeftError as trouble:
            broken.append(f"{trouble.what} {trouble.why}")
            continue
        name = entry.qualified if entry.hidden else entry.name
        rows.append((name, entry.repository.name, site.date.isoformat(), site.title))
    _table(("site", "from", "as of", "what it is"), rows)
    click.echo()
    click.echo("'weft site show NAME' tells more; 'weft site detect' looks where you are.")
    for line in broken:
        click.echo(f"! {line}", err=True)


@_group.command("show")
@click.argument("name")
def _show(name: str) -> None:
    """Show what is known of a site, and what you have to fill in."""
    repositories = _repositories()
    entry, site = repositories.entry(name), repositories.site(name)
    click.echo(click.style(site.title, bold=True))
    facts = {
        "file": str(entry.path),
        "from": _origin(entry),
        "source": site.source,
        "as of": site.date.isoformat() + _age(site),
        "needs": ", ".join(site.packages),
        "known by": _known_by(site),
    }
    for key, value in facts.items():
        if value:
            click.echo(f"  {key:<9} {value}")
    if site.notes:
        click.echo()
        _wrapped(site.notes, "  ")
    click.echo("\nTo fill in:")
    for key, fill in site.fill.items():
        like = f", such as {fill.example}" if fill.example else ""
        need = f"{_shown(fill.default)} when left out" if fill.default is not None else "needed"
        _wrapped(f"{fill.help} ({need}{like})", f"  {key:<12} ", " " * 15)
    if not site.fill:
        click.echo("  nothing")
    click.echo("\nWhat it sets:")
    for place, value in _leaves({"config": site.config, "executors": site.executors}):
        click.echo(f"  {place} = {_shown(value)}")
    if site.executors:
        click.echo(f"\n{_next(name, site)}")


@_group.command("detect")
def _detect() -> int:
    """Say which sites this machine may belong to, and propose a configuration.

    Exit code: 0, or 1 if nothing speaks for any site.
    """
    repositories = _repositories()
    known = []
    for entry in repositories.entries():
        if not entry.hidden:
            try:
                known.append(attrs.evolve(entry.read(), name=entry.name))
            except WeftError as trouble:
                click.echo(f"! {trouble.what} {trouble.why}", err=True)
    found = matches(known, seen_here())
    if not found:
        click.echo("No scheduler is known here, and no site file speaks of this machine.")
        click.echo("On a login node, try again after 'module load' of the scheduler's commands;")
        click.echo("on your own machine, 'weft site use laptop' is what you want.")
        return 1
    for match in found:
        click.echo(f"{click.style(match.site.name, bold=True)}: {match.site.title}")
        _wrapped(f"{match.why[:1].upper()}{match.why[1:]}.", "  ")
        click.echo(f"  {_next(match.site.name, repositories.site(match.site.name))}")
        click.echo()
    _wrapped(
        "'weft site show NAME' says what each sets; 'weft provider try' submits one tiny job.", ""
    )
    return 0


# -------------------------------------------------------------------------------------------- using


@_group.command("use")
@click.argument("name")
@click.argument("words", nargs=-1, metavar="[NAME=VALUE]...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where to write it; shown when left out.",
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def _use(name: str, words: tuple[str, ...], output: Path | None, *, force: bool) -> None:
    """Write the configuration of a site, filled in, as Python that is yours.

    What stands behind the name fills it in: 'weft site use polaris account=abc -o config.py'.
    """
    said = _said(words)
    site = _repositories().site(name)
    try:
        text = program(site, *filled(site, said))
    except Unfilled as trouble:
        raise WeftError(
            f"{name} is not filled in.",
            why=" ".join(map(str, trouble.args)),
            todo=f"Say it behind the name: {_use_line(name, site)}",
        ) from None
    missing = _missing(site)
    if output is None:
        click.echo(text, nl=False)
    else:
        if output.exists() and not force:
            raise WeftError(
                f"{output} is there, so nothing was written.",
                todo="Give --force to write over it, or another name.",
            )
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as trouble:
            raise WeftError(f"{output} cannot be written.", why=f"{trouble}.") from None
        click.echo(f"Written: {output}", err=True)
    if missing:
        click.echo(f"! Not installed: {', '.join(missing)}", err=True)
        click.echo(f"  → weft plugin add {' '.join(missing)}", err=True)
    elif output is not None:
        label = next(iter(site.executors))
        click.echo(f"Next: weft check {output}", err=True)
        if "provider" in site.executors[label]:
            click.echo(f"      weft provider try {label} --config {output}", err=True)


def _said(words: Sequence[str]) -> dict[str, str]:
    said: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise click.UsageError(f"{word!r} is not NAME=VALUE.")
        if key in said:
            raise click.UsageError(f"{key} is said twice.")
        said[key.replace("-", "_")] = value
    return said


def _missing(site: Site) -> list[str]:
    """The packages of a site that are not here, judged by the components that they bring."""
    from importlib.metadata import PackageNotFoundError, version

    absent = []
    for package in site.packages:
        try:
            version(package)
        except PackageNotFoundError:
            absent.append(package)
    offered = {one.name for one in entry_points(group="weft.components")}
    wanted = {f"executor.{one['plugin']}" for one in site.executors.values() if "plugin" in one}
    for executor in site.executors.values():
        wanted |= {f"{kind}.{executor[kind]['plugin']}" for kind in KINDS if kind in executor}
    return absent if wanted - offered else []


# ------------------------------------------------------------------------------------- repositories


@_group.command("add")
@click.argument("name")
@click.argument("location")
@click.option("--sha256", default="", help="Of what a web server sends; needed there.")
@click.option("--revision", default="", help="A branch or a tag of git.")
def _add(name: str, location: str, sha256: str, revision: str) -> None:
    """Add a repository of site files, which is asked before the others.

    LOCATION is a folder, what 'git clone' takes, or the address of a .toml, .zip or .tar.gz.
    Site files are the *.toml in it, or in its folder 'sites'.
    """
    repositories = _repositories()
    made = repositories.add(name, location, sha256=sha256, revision=revision)
    mine = [one for one in repositories.entries() if one.repository.name == name]
    pinned = f" at {made.pin[:12]}" if made.pin else ""
    click.echo(f"Added {name}{pinned}: {', '.join(one.name for one in mine) or 'no site file'}.")
    below = {one.name for one in repositories.entries() if one.hidden}
    ours = [one.name for one in mine if one.name in below]
    if ours:
        click.echo(f"They hide others of the same name: {', '.join(ours)}.")
    for one in mine:
        try:
            repositories.site(one.qualified)
        except WeftError as trouble:
            click.echo(f"! {trouble.what} {trouble.why}", err=True)


@_group.command("update")
@click.argument("name")
def _update(name: str) -> None:
    """Fetch a repository of git again."""
    before, after = _repositories().update(name)
    if before.pin == after.pin:
        click.echo(f"{name} is as it was, at {after.pin[:12]}.")
    else:
        click.echo(f"{name} was at {before.pin[:12]} and is at {after.pin[:12]}.")


@_group.command("remove")
@click.argument("name")
def _remove(name: str) -> None:
    """Forget a repository. Configurations that were written stay as they are."""
    _repositories().remove(name)
    click.echo(f"Removed {name}.")


# ------------------------------------------------------------------------------------------ writing


def _repositories() -> Repositories:
    return Repositories(home())


def _origin(entry: Entry) -> str:
    repository = entry.repository
    pinned = f" at {repository.pin[:12]}" if repository.pin else ""
    return f"{repository.name} ({repository.location}{pinned})"


def _age(site: Site) -> str:
    days = (dt.datetime.now(tz=dt.UTC).date() - site.date).days
    return f", {days // 365} years ago: look at the source" if days > _STALE else ""


def _known_by(site: Site) -> str:
    asked = site.detect
    parts = [*asked.hosts, *(f"{key}={value}" for key, value in asked.environment.items())]
    parts += [f"the command {one}" for one in asked.commands]
    return ", ".join([*parts, *(f"no command {one}" for one in asked.lacks)])


def _next(name: str, site: Site) -> str:
    return f"→ {_use_line(name, site)}"


def _use_line(name: str, site: Site) -> str:
    words = [
        f"{key}={fill.example or '…'}" for key, fill in site.fill.items() if fill.default is None
    ]
    return " ".join(["weft site use", name, *words, "-o config.py"])


def _leaves(value: Any, place: str = "") -> "list[tuple[str, Any]]":
    if isinstance(value, Mapping):
        return [
            leaf
            for key, one in value.items()
            for leaf in _leaves(one, f"{place}.{key}" if place else key)
        ]
    return [(place.removeprefix("executors."), value)]


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head) - 1)]
    for row in [tuple(word.upper() for word in head), *rows]:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo("  ".join([*cells, row[-1]]))


def _wrapped(text: str, first: str, rest: str | None = None) -> None:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 100
    for line in text.splitlines():
        filled_in = textwrap.fill(
            line,
            width=max(40, width),
            initial_indent=first,
            subsequent_indent=first if rest is None else rest,
            break_on_hyphens=False,
        )
        click.echo(filled_in)
