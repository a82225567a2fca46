"""The words that start a program as ranks on given nodes: pure.

==========  =====================================  ============================================
mpich       ``-n R -ppn P -hosts A,B``             ``mpiexec --help`` of MPICH's Hydra, the same
                                                   in Intel MPI and MVAPICH
openmpi     ``-n R --host A:P,B:P                  ``mpirun(1)`` of Open MPI 4 and 5
            --map-by ppr:P:node -x VARIABLE``
pals        ``-n R --ppn P --hosts A,B``           ``mpiexec(1)`` of HPE Cray PALS
srun        ``--nodes N --ntasks R                 ``srun(1)``; a step beside others of the job
            --ntasks-per-node P --nodelist A,B``   that ends whole when a rank does not end well
aprun       ``-n R -N P -L A,B``                   ``aprun(1)`` of Cray's ALPS
flux        ``run --nodes N --tasks-per-node P     ``flux-run(1)``; RFC 31 for the constraint
            --exclusive --requires host:A,B``
jsrun       ``-n N -r 1 -a P -c ALL_CPUS           ``jsrun`` of IBM's Job Step Manager, which
            -g ALL_GPUS``                          chooses the nodes itself among those not in use
==========  =====================================  ============================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

import attrs

from weft_mpi.shape import Shape

__all__ = ["DIALECTS", "Dialect", "Launch", "dialect_in", "words_of"]

Dialect = Literal["mpich", "openmpi", "pals", "srun", "aprun", "flux", "jsrun"]

_MARKS: Final[Sequence[tuple[str, Dialect]]] = (
    ("Open MPI", "openmpi"),
    ("OpenRTE", "openmpi"),
    ("PRRTE", "openmpi"),
    ("HYDRA", "mpich"),
    ("Intel(R) MPI", "mpich"),
    ("PALS", "pals"),
)


@attrs.frozen(kw_only=True)
class Launch:
    """How ranks are started.

    Attributes:
        program: what starts them.
        dialect: whose options it takes; ``None`` asks it.
        options: words that it always gets.
    """

    program: str
    dialect: Dialect | None
    options: tuple[str, ...] = ()


def dialect_in(version: str) -> Dialect | None:
    """Whose options an ``mpiexec`` takes that says this of its version, if that is plain."""
    for mark, dialect in _MARKS:
        if mark in version:
            return dialect
    return None


def _mpich(shape: Shape, hosts: Sequence[str]) -> list[str]:
    counts = ["-n", str(shape.ranks), "-ppn", str(shape.ranks_per_node)]
    return [*counts, "-hosts", ",".join(hosts)]


def _openmpi(shape: Shape, hosts: Sequence[str]) -> list[str]:
    each = shape.ranks_per_node
    places = ",".join(f"{host}:{each}" for host in hosts)
    counts = ["-n", str(shape.ranks), "--host", places, "--map-by", f"ppr:{each}:node"]
    # Ranks on other machines get no other variables than are named.
    return [*counts, "-x", "WEFT_MPI_RANKS"]


def _pals(shape: Shape, hosts: Sequence[str]) -> list[str]:
    counts = ["-n", str(shape.ranks), "--ppn", str(shape.ranks_per_node)]
    return [*counts, "--hosts", ",".join(hosts)]


def _srun(shape: Shape, hosts: Sequence[str]) -> list[str]:
    return [
        f"--nodes={shape.nodes}",
        f"--ntasks={shape.ranks}",
        f"--ntasks-per-node={shape.ranks_per_node}",
        f"--nodelist={','.join(hosts)}",
        "--export=ALL",
        # Beside the manager's own step, which uses next to nothing of the first node.
        "--overlap",
        "--kill-on-bad-exit=1",
    ]


def _aprun(shape: Shape, hosts: Sequence[str]) -> list[str]:
    return ["-n", str(shape.ranks), "-N", str(shape.ranks_per_node), "-L", ",".join(hosts)]


def _flux(shape: Shape, hosts: Sequence[str]) -> list[str]:
    return [
        "run",
        f"--nodes={shape.nodes}",
        f"--tasks-per-node={shape.ranks_per_node}",
        "--exclusive",
        f"--requires=host:{','.join(hosts)}",
    ]


def _jsrun(shape: Shape, _hosts: Sequence[str]) -> list[str]:
    sets = ["-n", str(shape.nodes), "-r", "1", "-a", str(shape.ranks_per_node)]
    return [*sets, "-c", "ALL_CPUS", "-g", "ALL_GPUS"]


DIALECTS: Final[Mapping[Dialect, Callable[[Shape, Sequence[str]], list[str]]]] = {
    "mpich": _mpich,
    "openmpi": _openmpi,
    "pals": _pals,
    "srun": _srun,
    "aprun": _aprun,
    "flux": _flux,
    "jsrun": _jsrun,
}


def words_of(launch: Launch, dialect: Dialect, shape: Shape, hosts: Sequence[str]) -> list[str]:
    """The program and its options; the program that becomes ranks follows.

    Raises:
        ValueError: these are not as many hosts as the shape has nodes.
    """
    if len(hosts) != shape.nodes:
        raise ValueError(f"{shape.nodes} nodes cannot be {', '.join(hosts) or 'none'}")
    options = DIALECTS[dialect](shape, hosts)
    # What is added comes last, so that it overrules.
    return [launch.program, *options, *launch.options, *shape.launcher_options]
