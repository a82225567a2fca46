"""What runs leave at a site, and how it goes away.

    <folder>/weft-runs/<run>/    in/ and out/ of one run; used() renews the time of its last change
    at the end of a run that went well ──tidy──▶ its folder, and those that nobody used for long

A site may be out of reach when a run ends, and a run may be killed: so each run that ends well, and
each process that uses the disk of a machine for the first time, looks for what others left. Only
folders with the name of a run are looked at: the script's own run folders may be beside them.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from weft.data.trees import removed

__all__ = ["AGE", "RUNS", "swept", "tidy", "used"]

RUNS: Final = "weft-runs"
"""The folder within that of a site where the files of runs are."""

AGE: Final = 30 * 86_400.0
"""Seconds after which the folder of a run that nobody used is removed."""

_OFTEN: Final = 3600.0
"""Seconds after which a process says again that it uses a run's folder."""

_RUN: Final = re.compile("[0-9a-f]{16}")

_said: Final[dict[str, float]] = {}


def used(folders: Sequence[str], run: str) -> None:
    """A task uses the files of a run; said to the file system now and then. Quick.

    Args:
        folders: that of the site, and that of its machine, if there is one.
        run: the name of the run's folder.
    """
    now = time.monotonic()
    last = _said.get(run)
    if last is not None and now - last < _OFTEN:
        return
    _said[run] = now
    for folder in folders:
        with contextlib.suppress(OSError):  # it is not there yet, or cannot be written to
            os.utime(Path(folder, RUNS, run))
    if last is None:
        # That of the site is looked at by runs that end, once for all of its machines.
        for folder in folders[1:]:
            swept(folder)


def tidy(folders: Sequence[str], run: str, age: float = AGE) -> int:
    """Remove the folder of a run, and of others those that nobody used for so long.

    Args:
        folders: those of a site and of its machine.
        run: the name of the folder of the run that has ended.
        age: in seconds.

    Returns:
        How many were removed.
    """
    count = 0
    for folder in folders:
        base = Path(folder, RUNS)
        if not base.is_symlink():
            count += _gone(base / run)
        count += swept(folder, age)
        with contextlib.suppress(OSError):
            base.rmdir()  # if it is empty
    return count


def swept(folder: str, age: float = AGE) -> int:
    """Remove the folders of runs that nobody used for so long; returns how many."""
    base = Path(folder, RUNS)
    if base.is_symlink():
        return 0
    try:
        names = [one.name for one in base.iterdir()]
    except OSError:
        return 0
    before = time.time() - age
    return sum(
        _gone(base / name)
        for name in names
        if _RUN.fullmatch(name) and _last_use(base / name) < before
    )


def _last_use(folder: Path) -> float:
    """When something was put into it, or a task said that it uses it; endless for no folder."""
    try:
        facts = folder.lstat()
        if not stat.S_ISDIR(facts.st_mode):
            return float("inf")
        inner = [one.stat(follow_symlinks=False).st_mtime for one in os.scandir(folder)]
    except OSError:
        return float("inf")
    return max([facts.st_mtime, *inner])


def _gone(folder: Path) -> bool:
    if folder.is_symlink() or not folder.is_dir():
        return False
    removed(folder)
    return not folder.exists()
