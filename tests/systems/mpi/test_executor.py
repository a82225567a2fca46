"""The executor mpi with real MPICH and Open MPI, on two machines that ssh reaches."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import weft
from tests.systems.mpi.conftest import Machines, Mpi, Program, program_for
from tests.waiting import eventually
from weft import Config, bash_app, python_app
from weft.errors import BashExit
from weft_mpi import here, on_ranks
from weft_mpi.errors import WrongRanks

# The first test may start an sshd, on a machine that has more to do.
pytestmark = pytest.mark.timeout(240)
WAIT = 90.0


@bash_app
def ranks(program: str, stdout: str, pids: str = "", resources: Any = None) -> str:
    """Says of each rank who it is, or waits for its end."""
    return f"$WEFT_MPI_PREFIX {sys.executable} {program} {pids}"


@python_app
def called(bad: int | None = None, resources: Any = None) -> list[tuple[int, int]]:
    """A function on each rank."""
    return on_ranks(_sum, 10, bad=bad)


def _sum(factor: int, *, bad: int | None) -> tuple[int, int]:
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    if world.rank == bad:
        raise LookupError(f"rank {bad} does not find it")
    return world.rank, world.allreduce(world.rank * factor)


@python_app
def hosts(resources: Any = None) -> tuple[str, ...]:
    """The nodes of a task."""
    return here().hosts


Load = Callable[..., weft.Session]


@pytest.fixture
def load(mpi: Mpi, program: Program, machines: Machines, tmp_path: Path) -> Iterator[Load]:
    """Opens a session on the two machines."""
    opened: list[weft.Session] = []

    def loading(**more: str) -> weft.Session:
        environment = {
            **mpi.environment,
            **program.variables,
            "HYDRA_LAUNCHER": "ssh",
            "HYDRA_LAUNCHER_EXEC": _agent(tmp_path, machines),
            "OMPI_MCA_plm_rsh_agent": _agent(tmp_path, machines),
            # Both machines are this one, which Open MPI does not expect: ranks on two of them share
            # no memory, and neither of them may take the other's cores.
            "OMPI_MCA_hwloc_base_binding_policy": "none",
            "OMPI_MCA_btl": "self,tcp",
            "PMIX_MCA_gds": "hash",
            **more,
        }
        options: tuple[str, ...] = ()
        if mpi.name == "openmpi":
            carried = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "MPI4PY_MPIABI")
            options = ("--oversubscribe",)
            for name in carried:
                options += ("-x", name) if name in {**os.environ, **environment} else ()
        config = Config(
            run_dir=tmp_path / "runs",
            executors=[
                weft.executor(
                    "mpi",
                    hosts=("node1", "node2"),
                    launcher_options=options,
                    environment=environment,
                )
            ],
            close_timeout=0.5,
        )
        opened.append(weft.load(config))
        return opened[-1]

    yield loading
    for one in opened:
        one.close(cancel=True)


def _agent(folder: Path, machines: Machines) -> str:
    """What each implementation starts to reach another machine."""
    path = folder / "agent"
    path.write_text(f'#!/bin/sh\nexec {machines.ssh} "$@"\n')
    path.chmod(0o755)
    return shlex.quote(str(path))


def _pids(path: Path) -> list[int]:
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def _begin(program: Program, tmp_path: Path) -> tuple[Any, Path]:
    """Start two ranks on each machine, which do not listen when they are asked to end."""
    tmp_path.mkdir(exist_ok=True)
    pids = tmp_path / "pids"
    asked = ranks(
        str(program.path),
        stdout=str(tmp_path / "out"),
        pids=str(pids),
        resources={"nodes": 2, "ranks_per_node": 2},
    )
    eventually(lambda: len(_pids(pids)) == 4 or asked.done(), "the ranks did not start")
    assert not asked.done(), asked.exception()
    return asked, pids


def test_a_program_has_all_its_ranks_on_both_machines(
    load: Load, program: Program, tmp_path: Path
) -> None:
    load()
    out = tmp_path / "out"
    resources = {"nodes": 2, "ranks_per_node": 2}
    assert ranks(str(program.path), stdout=str(out), resources=resources).result(WAIT) == 0
    said = sorted(line.split(" on ")[0] for line in out.read_text().splitlines())
    assert said == [f"rank {n} of 4" for n in range(4)]
    assert all(line.endswith(": 6") for line in out.read_text().splitlines())


def test_a_function_runs_as_ranks(load: Load) -> None:
    load()
    resources = {"nodes": 2, "num_ranks": 4}
    assert called(resources=resources).result(WAIT) == [(n, 60) for n in range(4)]
    # The other ranks wait for the one that raises, and are ended.
    error = called(2, resources=resources).exception(WAIT)
    assert isinstance(error, LookupError)
    assert str(error) == "rank 2 does not find it"


def test_a_wrong_library_is_named(
    load: Load, mpi: Mpi, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = "openmpi" if mpi.name == "mpich" else "mpich"
    load(**program_for(tmp_path_factory, other).variables)
    error = called(resources={"nodes": 1, "num_ranks": 3}).exception(WAIT)
    assert isinstance(error, WrongRanks)
    assert (error.expected, error.found) == (3, 1)
    assert ("Open MPI" if other == "openmpi" else "MPICH") in str(error)


def test_a_cancel_and_a_killed_rank_end_all_ranks(
    load: Load, program: Program, tmp_path: Path
) -> None:
    load()
    asked, pids = _begin(program, tmp_path / "killed")
    os.kill(_pids(pids)[0], signal.SIGKILL)
    assert isinstance(asked.exception(WAIT), BashExit)
    eventually(lambda: not any(map(psutil.pid_exists, _pids(pids))), "ranks are left")

    asked, pids = _begin(program, tmp_path / "cancelled")
    assert asked.cancel()
    assert hosts(resources={"nodes": 2}).result(WAIT) == ("node1", "node2")
    eventually(lambda: not any(map(psutil.pid_exists, _pids(pids))), "ranks are left")


def test_a_block_that_is_killed_leaves_no_rank(
    load: Load, program: Program, tmp_path: Path
) -> None:
    load()
    _, pids = _begin(program, tmp_path)
    found = subprocess.run(
        ["pgrep", "-f", "weft_mpi.manager"], capture_output=True, text=True, check=False
    ).stdout.split()
    ours = [pid for pid in found if str(tmp_path) in _environment(int(pid))]
    assert len(ours) == 1
    manager = psutil.Process(int(ours[0]))
    (folder,) = {child.environ()["WEFT_MPI_FOLDER"] for child in manager.children()}
    # The task runs again, on the next block, whose ranks are none of these.
    left = _pids(pids)
    manager.kill()
    eventually(lambda: not any(map(psutil.pid_exists, left)), "ranks are left")
    # Who is killed takes nothing away.
    shutil.rmtree(folder)


def _environment(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""
