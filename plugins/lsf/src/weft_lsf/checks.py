"""What ``weft doctor`` has looked at where LSF is used."""

from collections.abc import Iterator
from pathlib import Path

from weft.batch.provider import commands_of, met
from weft.errors import WeftError
from weft.values.problem import Finding, Severity
from weft_lsf.dialect import LSFDialect
from weft_lsf.settings import LSF

__all__ = ["checks"]


def checks(settings: LSF, _folder: Path) -> Iterator[Finding]:
    """Look whether the cluster answers, and has the queue with as much time."""
    dialect = LSFDialect(settings)
    try:
        yield from met(dialect, commands_of(dialect, settings)).findings
    except WeftError as trouble:
        yield Finding(
            what=trouble.what, severity=Severity.ERROR, why=trouble.why, remedy=trouble.todo
        )
