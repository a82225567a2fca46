"""Whole runs of htex over the stand-ins: several nodes, and what a killed script leaves."""

from __future__ import annotations

import contextlib
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import weft
from weft import Config, python_app
from weft_testkit.standin import Cell

BOUND = 90.0
_EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "guide_pbs.py"


@python_app
def meet(folder: str, name: str, others: int) -> str:
    """Waits until as many are here as are expected, so that no worker takes two of them."""
    place = Path(folder)
    (place / name).touch()
    until = time.monotonic() + BOUND
    while len(list(place.iterdir())) < others and time.monotonic() < until:
        time.sleep(0.05)
    return f"{os.environ['PBS_JOBID']} {os.environ['STANDIN_NODE']}"


def config(folder: Path, *options: str, **more: Any) -> Config:
    return Config(
        run_dir=folder / "runs",
        executors=[
            weft.executor(
                "htex",
                label="htex",
                provider=weft.provider(
                    "pbs",
                    # What is tested may be found by way of the environment alone.
                    scheduler_options=("-V", *options),
                    poll_interval=0.5,
                ),
                launcher=weft.launcher("mpiexec"),
                workers_per_node=1,
                **more,
            )
        ],
    )


def eventually(holds: Callable[[], object], what: str) -> None:
    until = time.monotonic() + BOUND
    while not holds():
        assert time.monotonic() < until, what
        time.sleep(0.05)


@pytest.mark.parametrize("dialect", ["cluster", "torque"])
def test_one_block_spans_the_nodes_of_its_file_and_is_gone_afterwards(
    request: pytest.FixtureRequest, tmp_path: Path, dialect: str
) -> None:
    cell: Cell = request.getfixturevalue(dialect)
    (tmp_path / "here").mkdir()
    with weft.load(config(tmp_path, nodes_per_block=2)):
        asked = [meet(str(tmp_path / "here"), str(n), 2) for n in range(2)]
        found = [one.result(BOUND).split() for one in asked]
    assert {job for job, _ in found} == {"1.server"}
    assert {node for _, node in found} == {"node1", "node2"}
    eventually(lambda: not cell.left(), "the block was left behind")


def test_the_configuration_of_the_guide_asks_for_its_nodes(
    cluster: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cluster.configure(accounts=["research"], machines=2)
    with weft.load(runpy.run_path(str(_EXAMPLE))["config"]):
        eventually(cluster.jobs, "it did not submit")
    (entry,) = cluster.jobs()
    assert entry.nodes == 4
    assert entry.options["account"] == "research"
    assert entry.options["Resource_List.select"] == "4:ncpus=64:mpiprocs=1"
    eventually(lambda: not cluster.left(), "the block was left behind")


# A script of a user's: it imports nothing of the tests, which are not on its path.
KILLED = """
import time
import weft

provider = weft.provider("pbs", poll_interval=0.5, scheduler_options=("-h",))
executor = weft.executor("htex", label="htex", provider=provider)
if __name__ == "__main__":
    with weft.load(weft.Config(run_dir={folder!r}, executors=[executor])):
        time.sleep(600)
"""


def test_what_a_killed_script_left_is_deleted_by_the_next(cluster: Cell, tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED.format(folder=str(tmp_path / "first")))
    with subprocess.Popen([sys.executable, script], start_new_session=True) as process:
        try:
            eventually(cluster.left, "it did not submit")
            leases = Path(os.environ["WEFT_STATE"]) / "jobs"
            eventually(lambda: list(leases.glob("*.lease")), "its job is not on record")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert cluster.left() == [1]
    with weft.load(config(tmp_path / "second", init_blocks=0)):
        eventually(lambda: not cluster.left(), "the job of the killed script stays")
    assert cluster.job(1).how == "cancelled"
