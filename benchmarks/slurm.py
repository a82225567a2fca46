"""A Slurm cluster of the tests for a measurement, and a count of the commands it is asked by."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["Counted", "cluster"]

_SCRIPT = Path(__file__).resolve().parent.parent / "tests" / "systems" / "slurm" / "cluster"
_COMMANDS = ("sbatch", "squeue", "scancel", "scontrol", "sinfo", "sacct", "sacctmgr", "srun")


class Counted:
    """The commands that were called so far, each by a line in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __call__(self) -> Counter[str]:
        """How often each was called."""
        return Counter(self._file.read_text(encoding="ascii").split())


@contextmanager
def cluster() -> Iterator[Counted]:
    """A cluster of two nodes that this process finds, its commands counted.

    Raises:
        RuntimeError: it did not come up, or Slurm is not installed.
    """
    # Not in the folder of the measurement: names of sockets are short.
    folder = Path(tempfile.mkdtemp(prefix="weft-slurm-"))
    options = {"SLURM_TEST_NODES": "2", "SLURM_TEST_ACCOUNTS": "no"}
    try:
        done = subprocess.run(
            [_SCRIPT, "up", folder / "cluster"],
            env={**os.environ, **options},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"no Slurm: {done.stderr.strip()}")
        yield _counting(folder)
    finally:
        subprocess.run([_SCRIPT, "down", folder / "cluster"], timeout=90, check=True)
        shutil.rmtree(folder, ignore_errors=True)


def _counting(folder: Path) -> Counted:
    """Put programs of the same names before Slurm's, which write a line and become those."""
    calls, programs = folder / "calls", folder / "bin"
    calls.touch()
    programs.mkdir()
    for name in _COMMANDS:
        real: Any = shutil.which(name)
        if real is None:
            continue
        program = programs / name
        program.write_text(f'#!/bin/sh\necho {name} >>"{calls}"\nexec "{real}" "$@"\n')
        program.chmod(0o755)
    os.environ["PATH"] = f"{programs}:{os.environ['PATH']}"
    os.environ["SLURM_CONF"] = str(folder / "cluster" / "slurm.conf")
    return Counted(calls)
