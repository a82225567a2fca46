"""Jobs by PSI/J on a real Slurm, and whole runs of htex over it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import psutil
import pytest

import weft
from tests.waiting import eventually
from weft import Config, python_app
from weft.errors import WeftError
from weft.testing import FakeContext
from weft.values.jobs import JOB_ENDED, Job, JobId, JobState, JobStatus
from weft_psij.provider import LastingPsijProvider, build
from weft_psij.settings import PSIJ

if TYPE_CHECKING:
    from tests.systems.slurm.conftest import Cluster

BOUND = 90.0
# The first test brings up the cluster, which takes longer on a machine that has more to do.
pytestmark = pytest.mark.timeout(300)
Make = Callable[..., LastingPsijProvider]


@pytest.fixture
def make(psij_python: str, cluster: Cluster, tmp_path: Path) -> Iterator[Make]:
    made: list[LastingPsijProvider] = []

    def making(**more: Any) -> LastingPsijProvider:
        given = {"executor": "slurm", "python": psij_python, "poll_interval": 0.5, **more}
        one = build(PSIJ(**given))
        assert isinstance(one, LastingPsijProvider)
        made.append(one)
        folder = tmp_path / f"context-{len(made)}"
        folder.mkdir(mode=0o700)
        one.start(FakeContext(folder))
        return one

    yield making
    for one in made:
        one.close()


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    made: list[Job] = []

    def making(command: str, name: str = "", **more: Any) -> Job:
        folder = tmp_path / (name or f"job-{len(made)}")
        folder.mkdir(mode=0o700)
        made.append(Job(name=f"job-{len(made)}", command=command, folder=folder, **more))
        return made[-1]

    return making


def end(provider: LastingPsijProvider, job_id: JobId) -> JobStatus:
    eventually(lambda: provider.status([job_id])[job_id].state in JOB_ENDED, "it does not end")
    status = provider.status([job_id])[job_id]
    # PSI/J knows of an end by what the script writes last, which is a moment before Slurm does.
    eventually(lambda: job_id not in under_way(), "Slurm says that it goes on")
    return status


def under_way() -> list[str]:
    """The jobs that wait or run, as Slurm has them."""
    words = ["squeue", "--noheader", "--format=%A", "--states=PENDING,CONFIGURING,RUNNING"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=BOUND, check=True)
    return done.stdout.split()


def runs(provider: LastingPsijProvider, job_id: JobId) -> None:
    eventually(
        lambda: provider.status([job_id])[job_id].state is JobState.RUNNING, "it does not run"
    )


def test_ends_and_their_codes(make: Make, job: Callable[..., Job]) -> None:
    provider = make()
    folder = 'it\'s a "folder" — 数据; $HOME'
    good = provider.submit(job('echo "$SAID"', name=folder, environment={"SAID": "a 'b' $c"}))
    bad = provider.submit(job("exit 3"))
    killed = provider.submit(job("kill -9 $$"))
    status = end(provider, good)
    assert (status.state, status.exit_code) == (JobState.DONE, 0), status
    assert status.stdout is not None
    assert status.stdout.read_text() == "a 'b' $c\n"
    status = end(provider, bad)
    assert (status.state, status.exit_code) == (JobState.FAILED, 3), status
    status = end(provider, killed)
    assert (status.state, status.exit_code) == (JobState.FAILED, 137), status


def test_a_job_has_as_many_nodes_as_it_asks_for(make: Make, job: Callable[..., Job]) -> None:
    provider = make()
    status = end(provider, provider.submit(job("srun hostname | wc -l", nodes=2)))
    assert status.state is JobState.DONE, status
    assert status.stdout is not None
    assert status.stdout.read_text() == "2\n"


def test_what_is_asked_for_arrives(make: Make, job: Callable[..., Job], cluster: Cluster) -> None:
    provider = make(walltime="01:02:00", attributes={"slurm.comment": "ours"})
    running = provider.submit(job("sleep 60"))
    shown = cluster.ask("scontrol", "show", "job", running)
    assert "TimeLimit=01:02:00" in shown
    assert "JobName=job-0" in shown
    assert "Comment=ours" in shown
    provider.cancel([running])
    status = end(provider, running)
    assert status.state is JobState.CANCELLED, status


def test_a_refusal_has_the_words_of_the_batch_system(make: Make, job: Callable[..., Job]) -> None:
    with pytest.raises(WeftError, match="invalid partition specified: norml"):
        make(queue="norml").submit(job("true"))


def test_a_job_that_somebody_cancels(make: Make, job: Callable[..., Job], cluster: Cluster) -> None:
    provider = make()
    running = provider.submit(job("sleep 60"))
    runs(provider, running)
    cluster.ask("scancel", running)
    status = end(provider, running)
    assert status.state is JobState.CANCELLED, status


def _is_desk(process: psutil.Process) -> bool:
    try:
        return "desk.py" in " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):  # of another test, and over
        return False


def test_a_process_that_is_killed_is_replaced_and_jobs_go_on(
    make: Make, job: Callable[..., Job], tmp_path: Path
) -> None:
    provider = make()
    running = provider.submit(job(f"while [ ! -e {tmp_path}/go ]; do sleep 0.2; done; exit 4"))
    runs(provider, running)
    (desk,) = [one for one in psutil.Process().children() if _is_desk(one)]
    desk.send_signal(signal.SIGKILL)
    desk.wait(BOUND)
    (tmp_path / "go").touch()
    status = end(provider, running)
    assert (status.state, status.exit_code) == (JobState.FAILED, 4), status


def test_what_an_earlier_client_left_is_listed_and_cancelled(
    make: Make, job: Callable[..., Job], cluster: Cluster
) -> None:
    earlier, later = make(), make()
    left = earlier.submit(job("sleep 60"))
    assert later.site == earlier.site
    assert list(later.listed({left: "job-0", "999999": "gone"})) == [left]
    later.cancel([left])
    eventually(lambda: left not in cluster.jobs(), "the job stays")
    assert end(earlier, left).state is JobState.CANCELLED


@python_app
def node() -> str:
    """The node on which it runs, by Slurm's name."""
    return os.environ["SLURMD_NODENAME"]


def test_a_whole_run(psij_python: str, cluster: Cluster, tmp_path: Path) -> None:
    provider = weft.provider(
        "psij", executor="slurm", python=psij_python, poll_interval=1.0, walltime="00:10:00"
    )
    config = Config(
        run_dir=tmp_path / "runs",
        executors=[weft.executor("htex", provider=provider, workers_per_node=1)],
    )
    with weft.load(config):
        assert node().result(BOUND).startswith("node")
    assert not cluster.jobs("--states=PENDING,CONFIGURING,RUNNING")


def test_the_configuration_of_the_guide(cluster: Cluster, psij_python: str, tmp_path: Path) -> None:
    example = Path(__file__).parents[3] / "docs" / "examples" / "guide_psij.py"
    text = example.read_text()
    assert text.count('"/opt/psij/bin/python"') == 1
    text = text.replace('"/opt/psij/bin/python"', repr(psij_python))
    made: dict[str, Any] = {}
    exec(compile(text, example, "exec"), made)
    with weft.load(attrs.evolve(made["config"], run_dir=tmp_path / "runs")):
        assert node().result(BOUND).startswith("node")


KILLED = """
import pathlib, sys, time
from weft.testing import FakeContext
from weft.values.jobs import Job
from weft_psij.provider import build
from weft_psij.settings import PSIJ

folder = pathlib.Path(sys.argv[1])
for name in ("context", "job"):
    (folder / name).mkdir(mode=0o700)
provider = build(PSIJ(executor="local", python=sys.argv[2]))
provider.start(FakeContext(folder / "context"))
command = f"sleep 600 & echo $! > {folder}/child; wait"
provider.submit(Job(name="job", command=command, folder=folder / "job"))
time.sleep(600)
"""


def test_local_jobs_of_a_client_that_is_killed_end_with_it(
    psij_python: str, tmp_path: Path
) -> None:
    script, child = tmp_path / "killed.py", tmp_path / "child"
    script.write_text(KILLED)
    with subprocess.Popen([sys.executable, script, tmp_path, psij_python]) as client:
        try:
            eventually(lambda: child.exists() and child.read_text().strip(), "it does not begin")
            started = psutil.Process(client.pid).children(recursive=True)
            assert int(child.read_text()) in {one.pid for one in started}
        finally:
            client.kill()

    def alive() -> list[psutil.Process]:
        return [one for one in started if one.is_running() and one.status() != "zombie"]

    eventually(lambda: not alive(), "processes are left")
