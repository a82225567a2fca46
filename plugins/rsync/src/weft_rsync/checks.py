"""What ``weft doctor`` has looked at where files are moved by rsync."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from weft.values.problem import Finding, Severity
from weft_rsync.settings import Rsync

__all__ = ["checks", "version_in"]

_OLDEST: Final = (3, 1)
"""The first that tells how far a whole transfer is."""

_PATIENCE: Final = 10.0


def checks(settings: Rsync, _folder: Path) -> Iterator[Finding]:
    """The program and its version, and ssh."""
    try:
        asked = subprocess.run(
            [settings.program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Finding(
            what=f"{settings.program!r} does not run: {error}.",
            severity=Severity.ERROR,
            remedy="Install rsync 3.1 or newer, or say by the option program where it is.",
        )
        return
    version = version_in(asked.stdout)
    if version is None or version < _OLDEST:
        shown = "of an unknown version" if version is None else ".".join(map(str, version))
        yield Finding(
            what=f"{settings.program!r} is {shown}, and 3.1 or newer is needed.",
            severity=Severity.ERROR,
            remedy="Install a newer rsync, or say by the option program where one is.",
        )
    if shutil.which(settings.ssh) is None:
        yield Finding(
            what=f"There is no program {settings.ssh!r}, so rsync+ssh:// cannot be used.",
            severity=Severity.WARNING,
            remedy="Install the client of OpenSSH, if hosts are to be reached by it.",
        )


def version_in(said: str) -> tuple[int, int] | None:
    """The version that ``rsync --version`` says; ``None`` if it says none."""
    found = re.match(r"rsync\s+version\s+v?([0-9]+)\.([0-9]+)", said)
    return (int(found[1]), int(found[2])) if found else None
