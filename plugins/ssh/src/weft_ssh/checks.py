"""What ``weft doctor`` has looked at where hosts are reached by ssh."""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import attrs

from weft.values.problem import Finding, Severity
from weft_ssh.command import connection, python_of, shown
from weft_ssh.frames import GREETING
from weft_ssh.settings import SSH
from weft_ssh.words import understood

__all__ = ["Answer", "Here", "checks", "judged"]

_AT_ONCE: Final = 8
_SLACK: Final = 5.0
_CLOCKS: Final = 5.0
"""Seconds by which the clock of a host may differ before that is worth a word."""


@attrs.frozen(kw_only=True)
class Answer:
    """What a host said of itself.

    Attributes:
        python, weft: versions; weft is ``None`` where that Python does not have it.
        clock: seconds by which its clock is ahead of ours, at least; negative if it is behind.
    """

    python: str
    weft: str | None
    clock: float


@attrs.frozen(kw_only=True)
class Here:
    """The versions here."""

    python: str
    weft: str | None


def checks(settings: SSH, _folder: Path) -> Iterator[Finding]:
    """Ask each host for its Python, its weft and its clock."""
    if shutil.which("ssh") is None:
        yield Finding(
            what="There is no program ssh on PATH.",
            severity=Severity.ERROR,
            remedy="Install the client of OpenSSH.",
        )
        return
    try:
        weft = version("weft")
    except PackageNotFoundError:
        weft = None
    here = Here(python=".".join(map(str, sys.version_info[:3])), weft=weft)
    with (
        tempfile.TemporaryDirectory(prefix="weft-ssh-") as folder,
        ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="weft-ssh-check") as pool,
    ):
        control = f"{folder}/jump" if settings.jump else ""
        for host, found in zip(
            settings.hosts,
            pool.map(lambda host: _asked(settings, host, control), settings.hosts),
            strict=True,
        ):
            if isinstance(found, Finding):
                yield found
            else:
                yield from judged(host, found, here, python_of(settings))


def _asked(settings: SSH, host: str, control: str) -> Answer | Finding:
    words = connection(settings, host, control=control, flags="")
    program = Path(__file__).with_name("probe.py").read_bytes() + b"\0"
    before = time.time()
    try:
        done = subprocess.run(
            words,
            input=program,
            capture_output=True,
            timeout=settings.connect_timeout + _SLACK,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        return _silent(host, "", words)
    after = time.time()
    _, found, said = done.stdout.partition(GREETING)
    if not found:
        return _silent(host, done.stderr.decode("utf-8", "replace"), words)
    try:
        answer = json.loads(said)
        clock = float(answer["time"])
        ahead = clock - after if clock > after else min(0.0, clock - before)
        return Answer(python=str(answer["python"]), weft=answer["weft"], clock=ahead)
    except (ValueError, KeyError, TypeError) as error:
        return Finding(
            what=f"What the host {host!r} says is not understood.",
            severity=Severity.ERROR,
            why=f"{type(error).__name__}: {error}.",
            remedy=f"See what this says: '{shown(words)}'",
        )


def _silent(host: str, log: str, words: list[str]) -> Finding:
    trouble = understood(log, try_it=f"'{shown(words)}'")
    return Finding(
        what=f"The host {host!r} cannot be used.",
        severity=Severity.ERROR,
        why=f"{trouble.why[:1].upper()}{trouble.why[1:]}.",
        remedy=trouble.todo,
    )


def judged(host: str, answer: Answer, here: Here, python: str) -> Iterator[Finding]:
    """Pure: what is to be said of a host that answered.

    Args:
        host: its name.
        answer: what it said.
        here: what it is held against.
        python: the Python that was run there.
    """
    weft = f"weft {answer.weft}" if answer.weft else "no weft"
    yield Finding(what=f"The host {host!r} answers, with Python {answer.python} and {weft}.")
    if _minor(answer.python) != _minor(here.python):
        yield Finding(
            what=f"The host {host!r} has Python {answer.python}, and here it is {here.python}.",
            severity=Severity.WARNING,
            why="What tasks are and give travels as pickles, which need not be the same in both.",
            remedy=f"Name another Python than {python!r} in the option python, and in that of the "
            "executor.",
        )
    if answer.weft is None:
        yield Finding(
            what=f"The Python {python!r} on the host {host!r} has no weft.",
            severity=Severity.WARNING,
            why="Workers start there only if the executor uses another Python, or worker_init "
            "activates one that has it.",
            remedy="Install the same version as here, or name the Python that has it in the "
            "option python.",
        )
    elif answer.weft != here.weft:
        yield Finding(
            what=f"The host {host!r} has weft {answer.weft}, and here it is {here.weft}.",
            severity=Severity.WARNING,
            why="Workers of another version may be refused.",
            remedy="Install the same version on both.",
        )
    if abs(answer.clock) > _CLOCKS:
        way = "ahead of" if answer.clock > 0 else "behind"
        yield Finding(
            what=f"The clock of the host {host!r} is {abs(answer.clock):.0f} s {way} ours.",
            severity=Severity.WARNING,
            why="Files from there look newer or older than they are, and times in logs differ.",
            remedy="Have both set their clocks by NTP.",
        )


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]
