"""The executor mpi in jobs of a real cluster of four nodes, with srun and with mpiexec."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

import weft
from tests.systems.mpi.conftest import Program, program_for
from weft import Config, bash_app, python_app
from weft.errors import BashExit
from weft_mpi import check_size, here, on_ranks
from weft_mpi.errors import WrongRanks

if TYPE_CHECKING:
    from tests.systems.slurm.conftest import Cluster

WAIT = 90.0
# The first test brings up the cluster, which takes longer on a machine that has more to do.
pytestmark = pytest.mark.timeout(300)

WAYS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "srun-mpich": ("mpich", {"mpi_launcher": "srun", "launcher_options": ("--mpi=pmi2",)}),
    "srun-openmpi": ("openmpi", {"mpi_launcher": "srun", "launcher_options": ("--mpi=pmix",)}),
    "mpiexec-mpich": ("mpich", {"launcher_program": "mpiexec.mpich"}),
    # For Open MPI, a node has as many slots as its job said tasks: one.
    "mpiexec-openmpi": (
        "openmpi",
        {"launcher_program": "mpiexec.openmpi", "launcher_options": ("--oversubscribe",)},
    ),
}

Load = Callable[..., weft.Session]


@bash_app
def ranks(program: str, stdout: str, pids: str = "", resources: Any = None) -> str:
    """Says of each rank who it is, or waits for its end."""
    return f"$WEFT_MPI_PREFIX {sys.executable} {program} {pids}"


@python_app
def hosts(resources: Any = None) -> tuple[str, ...]:
    """The nodes of a task."""
    return here().hosts


@python_app
def meet(folder: str, name: str, others: int, resources: Any = None) -> list[str]:
    """Waits until as many programs are here as are expected; where its ranks are."""
    return on_ranks(_meet, folder, name, others)


def _meet(folder: str, name: str, others: int) -> str:
    from mpi4py import MPI

    check_size(MPI.COMM_WORLD)
    place = Path(folder)
    if MPI.COMM_WORLD.rank == 0:
        (place / name).touch()
        eventually(lambda: len(list(place.iterdir())) >= others, "the others did not come")
    MPI.COMM_WORLD.Barrier()
    return socket.gethostname()


@pytest.fixture
def load(wide: Cluster, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    """Opens a session with one block of all nodes, in one of the ways."""
    opened: list[weft.Session] = []

    def loading(way: str, **environment: str) -> weft.Session:
        implementation, options = WAYS[way]
        for program in ("srun", f"mpiexec.{implementation}"):
            assert shutil.which(program), f"{program} is not installed"
        variables = program_for(tmp_path_factory, implementation).variables
        config = Config(
            run_dir=tmp_path / "runs",
            executors=[
                weft.executor(
                    "mpi",
                    provider=weft.provider("slurm", poll_interval=1.0, walltime="10"),
                    nodes_per_block=4,
                    environment={**variables, **environment},
                    **options,
                )
            ],
            close_timeout=0.5,
        )
        opened.append(weft.load(config))
        return opened[-1]

    yield loading
    for one in opened:
        one.close(cancel=True)


def program_of(way: str, factory: pytest.TempPathFactory) -> Program:
    return program_for(factory, WAYS[way][0])


def eventually(holds: Callable[[], object], what: str) -> None:
    until = time.monotonic() + WAIT
    while not holds():
        assert time.monotonic() < until, what
        time.sleep(0.05)


def _pids(path: Path) -> list[int]:
    return [int(word) for word in path.read_text().split()] if path.exists() else []


@pytest.mark.parametrize("way", list(WAYS))
def test_programs_of_two_nodes_run_at_once_in_a_block_of_four_and_end_whole(
    load: Load, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, way: str
) -> None:
    load(way)
    (tmp_path / "here").mkdir()
    together = [
        meet(str(tmp_path / "here"), name, 2, resources={"nodes": 2, "ranks_per_node": 2})
        for name in "ab"
    ]
    found = [one.result(WAIT) for one in together]
    assert [len(one) for one in found] == [4, 4]
    assert [len(set(one)) for one in found] == [2, 2]
    assert {name for one in found for name in one} == {f"node{n}" for n in range(1, 5)}

    # A rank that is killed, and a task that is cancelled.
    program = program_of(way, tmp_path_factory)
    asked, files = [], []
    for name in "ab":
        pids = tmp_path / f"pids-{name}"
        files.append(pids)
        asked.append(
            ranks(
                str(program.path),
                stdout=str(tmp_path / f"out-{name}"),
                pids=str(pids),
                resources={"nodes": 2, "ranks_per_node": 1},
            )
        )
    eventually(
        lambda: all(len(_pids(one)) == 2 for one in files) or any(one.done() for one in asked),
        "the ranks did not start",
    )
    assert not any(one.done() for one in asked), [one.exception(0) for one in asked if one.done()]

    os.kill(_pids(files[0])[0], signal.SIGKILL)
    assert isinstance(asked[0].exception(WAIT), BashExit)
    assert asked[1].cancel()
    # These ranks do not listen when they are asked to end; nodes are free when they have ended.
    assert len(hosts(resources={"nodes": 4}).result(WAIT)) == 4
    left = [pid for one in files for pid in _pids(one)]
    assert len(left) == 4
    eventually(lambda: not any(map(psutil.pid_exists, left)), "ranks are left")


def test_a_kind_of_mpi_that_srun_does_not_offer_it_is_named(load: Load, wide: Cluster) -> None:
    # Without --mpi=pmi2 nobody tells MPICH that there are others.
    load("srun-mpich")
    asked = meet(
        "/nowhere",
        "a",
        1,
        resources={"nodes": 2, "ranks_per_node": 1, "launcher_options": ["--mpi=none"]},
    )
    error = asked.exception(WAIT)
    assert isinstance(error, WrongRanks)
    assert (error.expected, error.found) == (2, 1)


def test_a_cancelled_job_leaves_no_rank(
    load: Load, wide: Cluster, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    load("srun-mpich")
    program, pids = program_of("srun-mpich", tmp_path_factory), tmp_path / "pids"
    asked = ranks(
        str(program.path),
        stdout=str(tmp_path / "out"),
        pids=str(pids),
        resources={"nodes": 4},
    )
    eventually(lambda: len(_pids(pids)) == 4, "the ranks did not start")
    left = _pids(pids)
    wide.ask("scancel", *wide.jobs())
    eventually(lambda: not any(map(psutil.pid_exists, left)), "ranks are left")
    # As is lost what its block loses: it is tried again in the next one.
    eventually(lambda: len(_pids(pids)) == 8, "it was not tried again")
    assert not asked.done()
