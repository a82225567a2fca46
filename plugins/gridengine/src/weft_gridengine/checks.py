"""What ``weft doctor`` has looked at where Grid Engine is used."""

from collections.abc import Iterator
from pathlib import Path

from weft.batch.provider import commands_of, met
from weft.errors import WeftError
from weft.values.problem import Finding, Severity
from weft_gridengine.provider import dialect_for
from weft_gridengine.settings import GridEngine

__all__ = ["checks"]


def checks(settings: GridEngine, _folder: Path) -> Iterator[Finding]:
    """Look whether qmaster answers, and has what the settings name."""
    dialect = dialect_for(settings)
    try:
        found = met(dialect, commands_of(dialect, settings))
    except WeftError as trouble:
        yield Finding(
            what=trouble.what, severity=Severity.ERROR, why=trouble.why, remedy=trouble.todo
        )
        return
    yield Finding(what=f"Grid Engine answers, as {found.site!r}.")
    yield from found.findings
