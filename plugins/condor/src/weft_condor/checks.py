"""What ``weft doctor`` has looked at where HTCondor is used."""

from collections.abc import Iterator
from pathlib import Path

from weft.batch.provider import commands_of, met
from weft.errors import WeftError
from weft.values.problem import Finding, Severity
from weft_condor.dialect import CondorDialect
from weft_condor.settings import Condor

__all__ = ["checks"]


def checks(settings: Condor, _folder: Path) -> Iterator[Finding]:
    """Look whether the queue answers, and the pool has a machine that fits."""
    dialect = CondorDialect(settings)
    try:
        yield from met(dialect, commands_of(dialect, settings)).findings
    except WeftError as trouble:
        yield Finding(
            what=trouble.what, severity=Severity.ERROR, why=trouble.why, remedy=trouble.todo
        )
