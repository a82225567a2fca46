"""Runs the contestants of a case in turn, each measurement in a fresh process and a fresh folder.

    round 1: A B C   round 2: A B C   …

So what else happens on the machine happens to all of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.case import Case, Sample
from benchmarks.contestants import installed

__all__ = ["Outcome", "run_case"]

_ROOT = Path(__file__).resolve().parent.parent
_POLL = 0.002


@dataclass
class Outcome:
    """What a case found.

    Attributes:
        case: which.
        sizes: the sizes measured.
        rounds: how often.
        samples: what was measured, by contestant and size, in the order of the rounds.
        absent: contestants that were not measured, and why.
    """

    case: Case
    sizes: Sequence[int]
    rounds: int
    samples: dict[tuple[str, int], list[Sample]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)


def run_case(
    case: Case,
    sizes: Sequence[int],
    rounds: int,
    *,
    contestants: Sequence[str],
    say: Callable[[str], None],
) -> Outcome:
    """Measure a case."""
    with tempfile.TemporaryDirectory(prefix="weft-benchmark-code-") as compiled:
        outcome = Outcome(case, sizes, rounds)
        _take_turns(outcome, contestants, say, _environment(Path(compiled)))
        return outcome


def _take_turns(
    outcome: Outcome,
    contestants: Sequence[str],
    say: Callable[[str], None],
    environment: dict[str, str],
) -> None:
    case, rounds = outcome.case, outcome.rounds
    for contestant in contestants:
        if not installed(contestant):
            outcome.absent[contestant] = "not installed here"
    for number in range(-1 if case.warm else 0, rounds):
        say(f"{case.name}: " + (f"round {number + 1} of {rounds}" if number >= 0 else "warm-up"))
        for size in outcome.sizes:
            for contestant in contestants:
                if contestant in outcome.absent or size > case.most.get(contestant, size):
                    continue
                sample, trouble = _measure(case, contestant, size, environment)
                if sample is None:
                    outcome.absent[contestant] = trouble
                    say(f"{case.name}: {contestant}: {trouble}")
                elif number >= 0:
                    outcome.samples.setdefault((contestant, size), []).append(sample)


def _measure(
    case: Case, contestant: str, size: int, environment: dict[str, str]
) -> tuple[Sample | None, str]:
    """One measurement; or ``None``, and why there is none."""
    with tempfile.TemporaryDirectory(
        prefix="weft-benchmark-", ignore_cleanup_errors=True
    ) as folder:
        answer = Path(folder, "answer.json")
        if contestant in case.scripts:
            program = Path(folder, "program.py")
            program.write_text(case.scripts[contestant], encoding="utf-8")
            command = [sys.executable, str(program)]
        else:
            command = [
                *(sys.executable, "-m", "benchmarks.child"),
                *(case.name, contestant, str(size), str(answer)),
            ]
        output, wall, cpu, code = _run(command, Path(folder), environment, case.seconds)
        if code != 0:
            last = (output.strip().splitlines() or ["it said nothing"])[-1]
            return None, f"ended with {code}: {last[:150]}"
        text = output.strip().splitlines()[-1] if contestant in case.scripts else answer.read_text()
        sample: Sample = json.loads(text)
        return {**sample, "process_wall": 1e3 * wall, "process_cpu": 1e3 * cpu}, ""


def _environment(compiled: Path) -> dict[str, str]:
    """What programs get: among others, a folder for byte code that they can write."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {
        **kept,
        # Some systems start programs of theirs by name, also where the environment is not active.
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), kept.get("PATH", ""))),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(_ROOT), kept.get("PYTHONPATH")))),
        "PYTHONPYCACHEPREFIX": str(compiled),
    }


def _run(
    command: list[str], folder: Path, environment: dict[str, str], seconds: float
) -> tuple[str, float, float, int]:
    """Run a program: its output, wall and processor seconds with all it waited for, exit code."""
    output = folder / "output"
    began = time.monotonic()
    with output.open("w") as target:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**environment, "STARTED": repr(began)},
            stdin=subprocess.DEVNULL,
            stdout=target,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        code, wall, cpu = _waited(process.pid, began, seconds)
    finally:
        # What it left running would be measured with the next.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.returncode = code
    return output.read_text(errors="replace"), wall, cpu, code


def _waited(pid: int, began: float, seconds: float) -> tuple[int, float, float]:
    while True:
        ended, status, used = os.wait4(pid, os.WNOHANG)
        wall = time.monotonic() - began
        if ended:
            return os.waitstatus_to_exitcode(status), wall, used.ru_utime + used.ru_stime
        if wall > seconds:
            os.kill(pid, signal.SIGKILL)
            os.wait4(pid, 0)
            return -signal.SIGKILL, wall, 0.0
        time.sleep(_POLL)
