"""Whole runs while the load, the cluster and its nodes change: nothing is lost, nothing is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import weft
from weft import Config, python_app
from weft.errors import WeftError
from weft.values.settings import ExecutorSettings

if TYPE_CHECKING:
    from tests.systems.slurm.conftest import Cluster

BOUND = 90.0
EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
# The first test brings up the cluster, which takes longer on a machine that has more to do.
pytestmark = pytest.mark.timeout(300)
Eventually = Callable[..., None]
THERE = "--states=PENDING,CONFIGURING,RUNNING"


@python_app
def job_number() -> str:
    """The job on which it runs."""
    return os.environ["SLURM_JOB_ID"]


@python_app
def meet(folder: str, name: str, others: int) -> str:
    """Waits until as many are here as are expected, so that no worker takes two of them."""
    place = Path(folder)
    (place / name).touch()
    until = time.monotonic() + BOUND
    while len(list(place.iterdir())) < others and time.monotonic() < until:
        time.sleep(0.05)
    return f"{os.environ['SLURM_JOB_ID']} {os.environ.get('SLURM_ARRAY_JOB_ID', '')}"


def _hold(begun: str, go: str, ended: str) -> str:
    job = os.environ["SLURM_JOB_ID"]
    with Path(begun).open("a") as file:
        file.write(f"{job}\n")
    until = time.monotonic() + 4 * BOUND
    while not Path(go).exists() and time.monotonic() < until:
        time.sleep(0.05)
    with Path(ended).open("a") as file:
        file.write(f"{job}\n")
    return job


@python_app
def hold(begun: str, go: str, ended: str) -> str:
    """Says who it is, waits, and says that it has ended."""
    return _hold(begun, go, ended)


@python_app(executors=["late"])
def hold_late(begun: str, go: str, ended: str) -> str:
    """The same, on the executor whose blocks have a minute."""
    return _hold(begun, go, ended)


@python_app(executors=["wide"])
def nodes_of_wide() -> str:
    """How many nodes its block has."""
    return os.environ["SLURM_JOB_NUM_NODES"]


@python_app(executors=["htex"])
def nodes_of_htex() -> str:
    """How many nodes its block has."""
    return os.environ["SLURM_JOB_NUM_NODES"]


def htex(provider: dict[str, Any] | None = None, **options: Any) -> ExecutorSettings:
    asked = {"poll_interval": 1.0, "walltime": "10", "exclusive": False, **(provider or {})}
    made: ExecutorSettings = weft.executor(
        "htex",
        **{
            "label": "htex",
            "provider": weft.provider("slurm", **asked),
            "launcher": weft.launcher("srun"),
            "workers_per_node": 1,
            **options,
        },
    )
    return made


def config(folder: Path, *executors: ExecutorSettings, **options: Any) -> Config:
    return Config(run_dir=folder / "runs", executors=list(executors), **options)


def lines(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


# --------------------------------------------------------------------------------------- elasticity


def test_blocks_come_with_the_load_by_one_submission_and_go_without_it(
    cluster: Cluster, eventually: Eventually, tmp_path: Path
) -> None:
    """One that still has a task stays, and is the one that gives its result."""
    begun, go, ended = (tmp_path / name for name in ("begun", "go", "ended"))
    (tmp_path / "here").mkdir()
    elastic = htex(init_blocks=0, max_blocks=3, max_idle=2.0)
    with weft.load(config(tmp_path, elastic)):
        assert not cluster.jobs(THERE)
        asked = [meet(str(tmp_path / "here"), str(n), 3) for n in range(3)]
        found = [one.result(BOUND).split() for one in asked]
        assert len({job for job, *_ in found}) == 3
        assert len({array for _, array in found}) == 1, "three blocks were not one array"
        held = hold(str(begun), str(go), str(ended))
        eventually(begun.exists, "the task did not begin")
        eventually(lambda: len(cluster.jobs(THERE)) == 1, lambda: f"left: {cluster.jobs(THERE)}")
        assert cluster.jobs(THERE) == lines(begun)
        go.touch()
        assert held.result(BOUND) == lines(begun)[0]
        eventually(lambda: not cluster.jobs(THERE), "the last block is not given back")
        again = job_number().result(BOUND)
        assert again not in {job for job, *_ in found}
    assert not cluster.jobs(THERE)


def test_two_hundred_blocks_wait_as_one_array_and_go_with_the_script(
    cluster: Cluster, eventually: Eventually, tmp_path: Path
) -> None:
    many = htex({"partition": "closed"}, init_blocks=200, max_blocks=200)
    with weft.load(config(tmp_path, many)):
        eventually(
            lambda: len(cluster.jobs("--array", THERE)) == 200,
            lambda: f"{len(cluster.jobs('--array', THERE))} of 200 wait",
        )
        arrays = cluster.ask("squeue", "--noheader", "--array", "--format=%F").split()
        assert len(set(arrays)) == 1
    assert not cluster.jobs(THERE)


def test_two_executors_have_blocks_of_their_own(cluster: Cluster, tmp_path: Path) -> None:
    wide = htex({"exclusive": True}, label="wide", nodes_per_block=2)
    with weft.load(config(tmp_path, htex(), wide)):
        assert nodes_of_wide().result(BOUND) == "2"
        assert nodes_of_htex().result(BOUND) == "1"
    assert not cluster.jobs(THERE)


# ---------------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize("when", ["queued", "starting"])
def test_a_job_that_is_killed_before_it_takes_tasks_is_told_with_the_words_of_slurm(
    cluster: Cluster, eventually: Eventually, tmp_path: Path, when: str
) -> None:
    options: dict[str, Any] = {"block_failures": 1}
    if when == "queued":
        provider = {"partition": "closed"}
    else:
        provider, options = {}, {**options, "worker_init": "sleep 600"}
    state = "PENDING" if when == "queued" else "RUNNING"
    with weft.load(config(tmp_path, htex(provider, **options), retries=0)):
        asked = job_number()
        eventually(lambda: cluster.jobs(f"--states={state}"), "its job is not there")
        cluster.ask("scancel", *cluster.jobs(THERE))
        error = asked.exception(BOUND)
    assert isinstance(error, WeftError)
    assert "CANCELLED" in str(error)
    assert not cluster.jobs(THERE)


def test_a_controller_that_is_gone_for_a_while_loses_nothing(
    cluster: Cluster, eventually: Eventually, tmp_path: Path
) -> None:
    begun, go, ended = (tmp_path / name for name in ("begun", "go", "ended"))
    with weft.load(config(tmp_path, htex(max_blocks=2))):
        held = hold(str(begun), str(go), str(ended))
        eventually(begun.exists, "the task did not begin")
        # Asked to end, it puts on record what it has; what it has in a crash is Slurm's to lose.
        cluster.kill("slurmctld", signal.SIGTERM)
        try:
            # Another block is wanted, and cannot be had.
            other = job_number()
            go.touch()
            assert held.result(BOUND) == lines(begun)[0], "a block works without the controller"
            first = other.result(BOUND)
        finally:
            cluster.restart()
        assert first == lines(begun)[0]
        (tmp_path / "here").mkdir()
        both = [meet(str(tmp_path / "here"), str(n), 2) for n in range(2)]
        assert len({one.result(BOUND).split()[0] for one in both}) == 2, "no second block came"
    eventually(lambda: not cluster.jobs(THERE), "jobs were left behind")


@pytest.mark.slow
def test_a_lost_node_and_the_end_of_its_time_cost_no_task_and_a_worker_that_is_lost_is_not_heard(
    lonely: Cluster, eventually: Eventually, tmp_path: Path
) -> None:
    """Together, since both take Slurm about a minute to notice.

    What runs on a node goes on when its slurmd is gone, and comes to an end: the result of such a
    task is not taken, since it was given to another block.
    """
    files = {
        name: [tmp_path / f"{name}-{end}" for end in ("begun", "go", "ended")]
        for name in ("lost", "late")
    }
    lost = htex({"scheduler_options": ("--exclude=node1",)}, heartbeat=1.0, lost_after=200.0)
    late = htex({"walltime": "1", "scheduler_options": ("--nodelist=node1",)}, label="late")
    with weft.load(config(tmp_path, lost, late)):
        on_lost = hold(*map(str, files["lost"]))
        on_late = hold_late(*map(str, files["late"]))
        begun, go, _ = files["lost"]
        eventually(lambda: lines(begun), "the task did not begin")
        orphan = lines(begun)[0]
        lonely.kill(lonely.ask("squeue", "--noheader", "--format=%N", "--jobs", orphan))
        eventually(
            lambda: len(lines(begun)) == 2, "the task of a lost node was not given away", 2 * BOUND
        )
        assert "NODE_FAIL" in lonely.ask(
            "squeue", "--noheader", "--states=all", "--format=%T", "--jobs", orphan
        )
        go.touch()
        assert on_lost.result(BOUND) == lines(begun)[1]
        begun, go, _ = files["late"]
        eventually(
            lambda: len(lines(begun)) == 2, "the task of a late block was not given away", 2 * BOUND
        )
        assert "TIMEOUT" in lonely.ask(
            "squeue", "--noheader", "--states=all", "--format=%T", "--jobs", lines(begun)[0]
        )
        go.touch()
        assert on_late.result(BOUND) == lines(begun)[1]


# --------------------------------------------------------------------------------- the main example


def test_the_survey_runs_on_several_nodes(cluster: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "cluster.py"
    file.write_text(
        "import weft\n"
        "config = weft.Config(executors=[weft.executor('htex', nodes_per_block=2, "
        "provider=weft.provider('slurm', poll_interval=1.0), launcher=weft.launcher('srun'))])\n"
    )
    survey = EXAMPLES / "stdlib_survey.py"
    words = [sys.executable, "-m", "weft", "run", "--config", str(file), str(survey)]
    done = subprocess.run(
        [*words, "--limit", "8", "--out", "found"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=2 * BOUND,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "found" / "report.json").read_text())
    assert report["totals"]["modules"] > 100
    assert not cluster.jobs(THERE)
