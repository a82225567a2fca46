"""What ``weft doctor`` has looked at where PSI/J is used."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from weft.errors import WeftError
from weft.values.problem import Finding, Severity
from weft_psij.line import Failed, Gone, Line, Silent
from weft_psij.provider import opened, python_of
from weft_psij.settings import PSIJ

__all__ = ["checks"]


def checks(settings: PSIJ, _folder: Path) -> Iterator[Finding]:
    """Look whether PSI/J is there, has the executor, and whether its batch system answers."""
    with tempfile.TemporaryDirectory(prefix="weft-psij-") as folder:
        try:
            line = Line(
                python_of(settings), Path(folder) / "desk.log", lambda _: None, lambda: None
            )
        except OSError as error:
            yield Finding(
                what=f"The Python {python_of(settings)!r} cannot be started.",
                severity=Severity.ERROR,
                why=f"{error}.",
                remedy="Name one that has psij-python in the option python.",
            )
            return
        try:
            yield from _looked(settings, line, Path(folder))
        finally:
            line.close()


def _looked(settings: PSIJ, line: Line, folder: Path) -> Iterator[Finding]:
    try:
        version = opened(settings, line, folder)
    except WeftError as trouble:
        yield Finding(
            what=trouble.what, severity=Severity.ERROR, why=trouble.why, remedy=trouble.todo
        )
        return
    yield Finding(what=f"PSI/J {version} is there, with its executor {settings.executor!r}.")
    if settings.executor == "local":
        return
    try:
        said = line.ask("list", settings.command_timeout)
    except (Failed, Silent, Gone) as error:
        yield Finding(
            what=f"The batch system of {settings.executor!r} does not answer.",
            severity=Severity.ERROR,
            why=f"{error}.",
            remedy="Run the script where jobs are submitted from, with the batch system's commands "
            "on PATH.",
        )
        return
    yield Finding(what=f"Its batch system answers, and lists {len(said['ids'])} jobs of yours.")
