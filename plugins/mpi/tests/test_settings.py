"""The options of the executor, and what of them goes to htex."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from weft_htex.settings import HTEX
from weft_mpi.executor import htex_settings, launch_of
from weft_mpi.prefix import Launch
from weft_mpi.settings import MPI


def test_options_that_htex_has_too_have_its_defaults() -> None:
    theirs = {field.name: field.default for field in attrs.fields(HTEX)}
    ours = {field.name: field.default for field in attrs.fields(MPI)}
    shared = set(theirs) & set(ours)
    assert len(shared) > 20
    assert {name: ours[name] for name in shared} == {name: theirs[name] for name in shared}


def test_what_is_said_reaches_htex() -> None:
    made = htex_settings(MPI(label="mine", nodes_per_block=4, max_blocks=2, worker_init="x"))
    assert (made.called, made.nodes_per_block, made.max_blocks) == ("mine", 4, 2)
    assert (made.workers_per_node, made.worker_init, made.prefetch) == (4, "x", 0)


@pytest.mark.parametrize(
    ("options", "nodes", "tasks"),
    [
        ({}, 1, 1),
        ({"nodes_per_block": 8}, 8, 8),
        ({"nodes_per_block": 500}, 500, 32),
        ({"nodes_per_block": 8, "tasks_per_block": 2}, 8, 2),
        ({"hosts": ["a", "b"]}, 2, 2),
    ],
)
def test_a_block_has_nodes_and_places(options: dict[str, Any], nodes: int, tasks: int) -> None:
    made = MPI(**options)
    assert (made.nodes, made.tasks) == (nodes, tasks)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, Launch(program="mpiexec", dialect=None)),
        ({"implementation": "pals"}, Launch(program="mpiexec", dialect="pals")),
        (
            {"mpi_launcher": "srun", "launcher_options": ["--mpi=pmi2"]},
            Launch(program="srun", dialect="srun", options=("--mpi=pmi2",)),
        ),
        (
            {"launcher_program": "mpirun"},
            Launch(program="mpirun", dialect=None),
        ),
    ],
)
def test_the_launcher_follows_from_the_options(options: dict[str, Any], expected: Launch) -> None:
    assert launch_of(MPI(**options)) == expected


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"nodes_per_block": 0}, "nodes_per_block"),
        ({"mpi_launcher": "mpirun"}, "mpi_launcher"),
        ({"mpi_launcher": "srun", "implementation": "mpich"}, "implementation says whose"),
        ({"launcher_options": ["a b"]}, "launcher_options"),
        ({"launcher_program": "my mpiexec"}, "launcher_program"),
        ({"hosts": ["a", "a"]}, "names a machine twice"),
        ({"hosts": ["a", "b"], "max_blocks": 2}, "hosts names the machines of one block"),
        ({"hosts": ["a", "b"], "nodes_per_block": 3}, "hosts names 2 machines"),
        ({"hosts": "ab"}, "hosts"),
        ({"init_blocks": 2}, "init_blocks is 2"),
        ({"min_blocks": 2}, "min_blocks is 2"),
        ({"lost_after": 5.0}, "two heartbeats"),
        ({"ranks_per_node": 0}, "ranks_per_node"),
    ],
)
def test_wrong_options_are_told(options: dict[str, Any], why: str) -> None:
    with pytest.raises((ValueError, TypeError), match=why):
        MPI(**options)
