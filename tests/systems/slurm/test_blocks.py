"""Whole runs of htex on a real cluster: blocks, nodes, loss, and what a killed script leaves."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import weft
from weft import Config, python_app
from weft.errors import WeftError

if TYPE_CHECKING:
    from tests.systems.slurm.conftest import Cluster

BOUND = 90.0
# The first test brings up the cluster, which takes longer on a machine that has more to do.
pytestmark = pytest.mark.timeout(300)


@python_app
def node() -> str:
    """The node on which it runs, by Slurm's name."""
    return os.environ["SLURMD_NODENAME"]


@python_app
def meet(folder: str, name: str, others: int) -> str:
    """Waits until as many are here as are expected, so that no worker takes two of them."""
    place = Path(folder)
    (place / name).touch()
    until = time.monotonic() + BOUND
    while len(list(place.iterdir())) < others and time.monotonic() < until:
        time.sleep(0.05)
    return f"{os.environ['SLURM_JOB_ID']} {os.environ['SLURMD_NODENAME']}"


@python_app
def hold(begun: str, go: str) -> str:
    """Says who it is, and waits."""
    with Path(begun).open("a") as file:
        file.write(f"{os.environ['SLURM_JOB_ID']}\n")
    until = time.monotonic() + BOUND
    while not Path(go).exists() and time.monotonic() < until:
        time.sleep(0.05)
    return os.environ["SLURM_JOB_ID"]


def config(folder: Path, provider: dict[str, Any] | None = None, **options: Any) -> Config:
    asked = {"poll_interval": 1.0, "walltime": "10", **(provider or {})}
    return Config(
        run_dir=folder / "runs",
        executors=[
            weft.executor(
                "htex",
                label="htex",
                provider=weft.provider("slurm", **asked),
                launcher=weft.launcher("srun"),
                workers_per_node=1,
                **options,
            )
        ],
    )


def test_one_block_spans_nodes_and_is_gone_afterwards(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    with weft.load(config(tmp_path, nodes_per_block=2)):
        asked = [meet(str(tmp_path / "here"), str(n), 2) for n in range(2)]
        found = [one.result(BOUND).split() for one in asked]
    assert len({job for job, _ in found}) == 1
    assert len({name for _, name in found}) == 2
    assert not cluster.jobs("--states=PENDING,CONFIGURING,RUNNING")


def test_two_blocks_are_two_jobs(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    with weft.load(config(tmp_path, init_blocks=2, max_blocks=2)):
        asked = [meet(str(tmp_path / "here"), str(n), 2) for n in range(2)]
        found = [one.result(BOUND).split() for one in asked]
    assert len({job for job, _ in found}) == 2
    assert not cluster.jobs("--states=PENDING,CONFIGURING,RUNNING")


def test_a_block_that_is_cancelled_is_replaced_and_its_task_tried_again(
    cluster: Cluster, eventually: Callable[..., None], tmp_path: Path
) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    with weft.load(config(tmp_path, heartbeat=1.0, lost_after=5.0)):
        asked = hold(str(begun), str(go))
        eventually(begun.exists, "the task did not begin")
        first = begun.read_text().split()[0]
        cluster.ask("scancel", first)
        eventually(lambda: len(begun.read_text().split()) == 2, "it was not tried again")
        go.touch()
        assert asked.result(BOUND) != first


def test_a_wrong_partition_is_told_at_once(cluster: Cluster, tmp_path: Path) -> None:
    with (
        pytest.raises(WeftError, match="no partition 'norml'"),
        weft.load(config(tmp_path, {"partition": "norml"})),
    ):
        node().result(BOUND)
    assert not cluster.jobs()


def test_a_wrong_account_is_told_with_the_words_of_sbatch(cluster: Cluster, tmp_path: Path) -> None:
    if not cluster.accounts:
        pytest.skip("this cluster keeps no accounts")
    with weft.load(config(tmp_path, {"account": "nobodys"}, block_failures=1)):
        error = node().exception(BOUND)
    assert "Invalid account or account/partition combination" in str(error)


def test_the_doctor_finds_a_wrong_partition(cluster: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "wrong.py"
    file.write_text(
        textwrap.dedent("""
        import weft

        config = weft.Config(
            executors=[
                weft.executor("htex", provider=weft.provider("slurm", partition="norml"))
            ]
        )
        """)
    )
    done = subprocess.run(
        [sys.executable, "-m", "weft", "doctor", "--config", file, "--json"],
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    errors = [
        one["what"] for one in json.loads(done.stdout)["findings"] if one["status"] == "error"
    ]
    assert any("no partition 'norml'" in one for one in errors), errors


# A script of a user's: it imports nothing of the tests, which are not on its path.
KILLED = """
import time
import weft

provider = weft.provider(
    "slurm", poll_interval=1.0, walltime="10", scheduler_options=("--hold",)
)
executor = weft.executor("htex", label="htex", provider=provider)
if __name__ == "__main__":
    with weft.load(weft.Config(run_dir={folder!r}, executors=[executor])):
        time.sleep(600)
"""


def test_what_a_killed_script_left_is_cancelled_by_the_next(
    cluster: Cluster, eventually: Callable[..., None], tmp_path: Path
) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED.format(folder=str(tmp_path / "first")))
    with subprocess.Popen([sys.executable, script], start_new_session=True) as process:
        try:
            eventually(cluster.jobs, "it did not submit")
            leases = tmp_path / "state" / "jobs"
            eventually(lambda: list(leases.glob("*.lease")), "its job is not on record")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    (left,) = cluster.jobs()
    with weft.load(config(tmp_path / "second", init_blocks=0)):
        eventually(lambda: left not in cluster.jobs(), "the job of the killed script stays")
    assert "CANCELLED" in cluster.ask(
        "squeue", "--noheader", "--states=all", "--format=%T", "--jobs", left
    )
