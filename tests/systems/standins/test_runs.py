"""Whole runs of htex over the stand-ins for schedulers that no test machine has."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import weft
from tests.systems.needs import absent
from weft import Config, python_app
from weft_testkit.standin import Cell

BOUND = 90.0
PLUGINS = Path(__file__).parents[3] / "plugins"


@attrs.frozen
class Scheduler:
    """A scheduler that is none.

    Attributes:
        name: of its provider.
        job: the variable in which a job finds which one it is.
        held: the option with which a job is submitted, but does not begin.
        asks: the command that asks how jobs are, and a word by which that is told.
        cell: what its stand-in has to know.
    """

    name: str
    job: str
    held: str
    asks: tuple[str, str]
    cell: dict[str, Any]


SCHEDULERS = [
    Scheduler(
        "condor",
        "_CONDOR_SCRATCH_DIR",
        "hold = true",
        ("condor_q", "-json"),
        {"pool": [{"TotalSlotCpus": 8, "TotalSlotMemory": 16384}]},
    ),
    Scheduler(
        "flux",
        "FLUX_JOB_ID",
        "--urgency=0",
        ("flux jobs", "--json"),
        {"queues": {"batch": {}}, "queue": "batch"},
    ),
    Scheduler(
        "lsf",
        "LSB_JOBID",
        "-H",
        ("bjobs", "-json"),
        {"queues": {"normal": {}}, "queue": "normal"},
    ),
]


@pytest.fixture(params=SCHEDULERS, ids=lambda one: one.name)
def scheduler(request: pytest.FixtureRequest) -> Scheduler:
    found: Scheduler = request.param
    return found


@pytest.fixture
def cell(scheduler: Scheduler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cell]:
    options = dict(scheduler.cell)
    if scheduler.name == "condor":
        bindings = importlib.util.find_spec("htcondor2")
        if bindings is None or bindings.origin is None:
            absent("htcondor is not installed")
        options["bindings"] = str(Path(bindings.origin).parents[1])
    made = Cell(tmp_path / "cell")
    made.install(PLUGINS / scheduler.name / "tests" / "standins.py", machines=4, **options)
    monkeypatch.setenv("PATH", f"{made.programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("WEFT_STATE", str(tmp_path / "state"))
    yield made
    left = made.left()
    made.end()
    assert not left, f"jobs were left behind: {left}"


@python_app
def meet(folder: str, name: str, job: str) -> str:
    """Waits until two are here, so that no worker takes both of them. Tells the job."""
    place = Path(folder)
    (place / name).touch()
    until = time.monotonic() + BOUND
    while len(list(place.iterdir())) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    return os.environ[job]


def config(folder: Path, name: str, *lines: str, **options: Any) -> Config:
    # Only what the tests themselves have on their path; a job of HTCondor begins without any.
    environment = {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}
    begin = [f"export {key}='{value}'" for key, value in environment.items()]
    return Config(
        run_dir=folder / "runs",
        executors=[
            weft.executor(
                "htex",
                label="htex",
                provider=weft.provider(
                    name, poll_interval=0.5, command_timeout=60.0, scheduler_options=lines
                ),
                worker_init="\n".join(begin),
                workers_per_node=1,
                **options,
            )
        ],
    )


def eventually(holds: Callable[[], object], what: str) -> None:
    until = time.monotonic() + BOUND
    while not holds():
        assert time.monotonic() < until, what
        time.sleep(0.1)


def test_two_blocks_are_two_jobs_and_gone_afterwards(
    scheduler: Scheduler, cell: Cell, tmp_path: Path
) -> None:
    (tmp_path / "here").mkdir()
    with weft.load(config(tmp_path, scheduler.name, init_blocks=2, max_blocks=2)):
        asked = [meet(str(tmp_path / "here"), str(n), scheduler.job) for n in range(2)]
        assert len({one.result(BOUND) for one in asked}) == 2
    assert [entry.number for entry in cell.jobs()] == [1, 2]


# A script of a user's: it imports nothing of the tests, which are not on its path.
KILLED = """
import time
import weft

provider = weft.provider(
    {name!r}, poll_interval=0.5, command_timeout=60.0, scheduler_options=({held!r},)
)
executor = weft.executor("htex", label="htex", provider=provider)
if __name__ == "__main__":
    with weft.load(weft.Config(run_dir={folder!r}, executors=[executor])):
        time.sleep(600)
"""


def test_what_a_killed_script_left_is_cancelled_by_the_next(
    scheduler: Scheduler, cell: Cell, tmp_path: Path
) -> None:
    script = tmp_path / "killed.py"
    script.write_text(
        KILLED.format(
            folder=str(tmp_path / "first"),
            name=scheduler.name,
            held=scheduler.held,
        )
    )
    with subprocess.Popen([sys.executable, script], start_new_session=True) as process:
        try:
            # What it asks about, it has put on record before.
            command, word = scheduler.asks
            eventually(
                lambda: any(word in words for words in cell.calls(command)), "it did not submit"
            )
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert cell.left() == [1]
    with weft.load(config(tmp_path / "second", scheduler.name, init_blocks=0)):
        eventually(lambda: not cell.left(), "the job of the killed script stays")
    assert cell.job(1).how == "cancelled"
