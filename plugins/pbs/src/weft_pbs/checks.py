"""What ``weft doctor`` has looked at where PBS is used."""

from collections.abc import Iterator
from pathlib import Path

from weft.batch.commands import Line, NoAnswer
from weft.batch.provider import commands_of, met
from weft.errors import WeftError
from weft.values.problem import Finding, Severity
from weft_pbs import parse
from weft_pbs.dialect import PbsDialect
from weft_pbs.settings import Pbs
from weft_pbs.site import judged_nodes

__all__ = ["checks"]


def checks(settings: Pbs, _folder: Path) -> Iterator[Finding]:
    """Look whether the server answers, and has the queue, the time and the nodes asked for."""
    dialect = PbsDialect(settings)
    commands = commands_of(dialect, settings)
    try:
        found = met(dialect, commands)
    except WeftError as trouble:
        yield Finding(
            what=trouble.what, severity=Severity.ERROR, why=trouble.why, remedy=trouble.todo
        )
        return
    site = dialect.cluster
    assert site is not None  # it was met
    yield Finding(what=f"The server {site.name!r} answers, with {site.kind}.")
    yield from found.findings
    try:
        nodes = parse.nodes(commands.ask(Line(("pbsnodes", "-a")), dialect.passing).good())
    except NoAnswer as error:
        yield Finding(
            what="What nodes there are could not be found out.",
            why=f"{error}. Some sites keep it from users.",
        )
        return
    yield from judged_nodes(settings, nodes)
