"""Runs a command of Slurm, within a time."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence

import attrs

__all__ = ["Commands", "Said", "Silent"]


class Silent(Exception):
    """A command has not come back in time, and was ended."""


@attrs.frozen(kw_only=True)
class Said:
    """What a command has said.

    Attributes:
        code: its exit code; negative for a signal.
        out, err: what it printed.
    """

    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """What it said of its failure, in one line."""
        return " ".join((self.err.strip() or self.out.strip() or f"exit code {self.code}").split())


@attrs.frozen(kw_only=True)
class Commands:
    """The commands of one cluster.

    Attributes:
        environment: that of the commands.
        timeout: seconds that each may take.
        cluster: another one than that of this machine; empty for that one.
    """

    environment: Mapping[str, str] = attrs.field(repr=False)
    timeout: float
    cluster: str = ""

    def find(self, name: str) -> str | None:
        """Where a command is."""
        return shutil.which(name, path=self.environment.get("PATH", os.defpath))

    def run(self, name: str, *words: str) -> Said:
        """Run a command to its end.

        Raises:
            OSError: it is not there, or cannot be started.
            Silent: it has not come back in time, and was ended with all that it had started.
        """
        path = self.find(name)
        if path is None:
            raise FileNotFoundError(f"there is no command {name!r} on PATH")
        where = [f"--clusters={self.cluster}"] if self.cluster else []
        return self._to_its_end(name, [path, *where, *words])

    def _to_its_end(self, name: str, words: Sequence[str]) -> Said:
        # A group of its own: sites put scripts in the place of commands, and those start others.
        with subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(self.environment),
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        ) as process:
            try:
                out, err = process.communicate(timeout=self.timeout)
            except BaseException as trouble:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if isinstance(trouble, subprocess.TimeoutExpired):
                    raise Silent(f"{name} has not come back within {self.timeout:g} s") from None
                raise
        return Said(code=process.returncode, out=out, err=err)
