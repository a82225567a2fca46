"""What ``weft doctor`` has looked at where Cobalt is used."""

from collections.abc import Iterator
from pathlib import Path

from weft.batch.provider import commands_of, met
from weft.errors import WeftError
from weft.values.problem import Finding, Severity
from weft_cobalt.dialect import CobaltDialect
from weft_cobalt.settings import Cobalt

__all__ = ["checks"]


def checks(settings: Cobalt, _folder: Path) -> Iterator[Finding]:
    """Look whether the queue manager answers, and has the queue and the time asked for."""
    dialect = CobaltDialect(settings)
    try:
        found = met(dialect, commands_of(dialect, settings))
    except WeftError as trouble:
        yield Finding(
            what=trouble.what, severity=Severity.ERROR, why=trouble.why, remedy=trouble.todo
        )
        return
    yield Finding(what=f"Cobalt answers: {found.site.partition(':')[2]}.")
    yield from found.findings
