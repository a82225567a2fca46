"""Apps that run programs of MPI on nodes of their own."""

import subprocess
from typing import Any

from weft import bash_app, python_app
from weft_mpi import here, on_nodes, on_ranks


@bash_app(executors=["mpi"])
def simulate(case: str, stdout: str, resources: Any = on_nodes(2)) -> str:
    """A command: what stands behind the prefix becomes the ranks."""
    return f"$WEFT_MPI_PREFIX ./simulate {case}.in"


@python_app(executors=["mpi"])
def sweep(cases: list[str], resources: Any = on_nodes(4, ranks_per_node=8)) -> list[int]:
    """A function that starts one program after another on the nodes that it has."""
    mine = here()
    return [
        subprocess.run([*mine.words, "./simulate", f"{case}.in"], check=False).returncode
        for case in cases
    ]


@python_app(executors=["mpi"])
def mean(values: list[float], resources: Any = on_nodes(num_ranks=4)) -> float:
    """A function that is itself the program: each rank calls it."""
    return float(on_ranks(part_of_mean, values)[0])


def part_of_mean(values: list[float]) -> float:
    """What each rank does."""
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    mine = sum(values[world.rank :: world.size])
    return float(world.allreduce(mine)) / len(values)
