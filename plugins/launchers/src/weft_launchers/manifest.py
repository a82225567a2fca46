"""The declarations of what this package brings."""

from typing import Any, Final

from weft.values.plugin import Component, Kind, Requires

__all__ = ["aprun", "flux", "gnu_parallel", "ibrun", "jsrun", "mpiexec", "mpirun"]

# The programs are on the machines of a job, often not where the script runs, so none is required.
_ALL: Final[dict[str, Any]] = {
    "kind": Kind.LAUNCHER,
    "requires": Requires(platforms=("linux", "darwin")),
    "pairs_with": {"provider": ("*",)},
}

aprun = Component(
    name="aprun",
    settings="weft_launchers.settings:Aprun",
    factory="weft_launchers.launchers:AprunLauncher",
    summary="Starts a command on all machines of a job with aprun, on Cray XT, XE, XK and XC.",
    **_ALL,
)

flux = Component(
    name="flux",
    settings="weft_launchers.settings:Flux",
    factory="weft_launchers.launchers:FluxLauncher",
    summary="Starts a command on all machines of a job with flux run, within a Flux instance.",
    **_ALL,
)

gnu_parallel = Component(
    name="gnu-parallel",
    settings="weft_launchers.settings:GnuParallel",
    factory="weft_launchers.parallel:GnuParallelLauncher",
    summary="Starts a command on all machines of a job with GNU parallel over ssh.",
    **_ALL,
)

ibrun = Component(
    name="ibrun",
    settings="weft_launchers.settings:Ibrun",
    factory="weft_launchers.launchers:IbrunLauncher",
    summary="Starts a command on all machines of a job with ibrun, on the machines of TACC.",
    **_ALL,
)

jsrun = Component(
    name="jsrun",
    settings="weft_launchers.settings:Jsrun",
    factory="weft_launchers.launchers:JsrunLauncher",
    summary="Starts a command on all machines of a job with jsrun, under LSF on IBM machines.",
    **_ALL,
)

mpiexec = Component(
    name="mpiexec",
    settings="weft_launchers.settings:Mpiexec",
    factory="weft_launchers.mpi:MpiLauncher",
    summary="Starts a command on all machines of a job with mpiexec of MPICH, Open MPI or PALS.",
    **_ALL,
)

mpirun = Component(
    name="mpirun",
    settings="weft_launchers.settings:Mpirun",
    factory="weft_launchers.mpi:MpiLauncher",
    summary="Starts a command on all machines of a job with mpirun of Open MPI or MPICH.",
    **_ALL,
)
