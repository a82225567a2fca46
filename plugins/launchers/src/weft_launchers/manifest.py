"""The declarations of what this package brings."""

from weft.values.plugin import Component, Kind, Requires

__all__ = ["aprun", "flux", "gnu_parallel", "ibrun", "jsrun", "mpiexec", "mpirun"]


def _launcher(name: str, settings: str, factory: str, summary: str) -> Component:
    return Component(
        kind=Kind.LAUNCHER,
        name=name,
        settings=f"weft_launchers.settings:{settings}",
        factory=f"weft_launchers.{factory}",
        summary=f"Starts a command on all machines of a job with {summary}.",
        # The programs are on the machines of a job, often not where the script runs.
        requires=Requires(platforms=("linux", "darwin")),
        pairs_with={"provider": ("*",)},
    )


aprun = _launcher(
    "aprun",
    "Aprun",
    "launchers:AprunLauncher",
    "aprun, on Cray XT, XE, XK and XC",
)

flux = _launcher(
    "flux",
    "Flux",
    "launchers:FluxLauncher",
    "flux run, within a Flux instance",
)

gnu_parallel = _launcher(
    "gnu-parallel",
    "GnuParallel",
    "parallel:GnuParallelLauncher",
    "GNU parallel over ssh",
)

ibrun = _launcher(
    "ibrun",
    "Ibrun",
    "launchers:IbrunLauncher",
    "ibrun, on the machines of TACC",
)

jsrun = _launcher(
    "jsrun",
    "Jsrun",
    "launchers:JsrunLauncher",
    "jsrun, under LSF on IBM machines",
)

mpiexec = _launcher(
    "mpiexec",
    "Mpiexec",
    "mpi:MpiLauncher",
    "mpiexec of MPICH, Open MPI or PALS",
)

mpirun = _launcher(
    "mpirun",
    "Mpirun",
    "mpi:MpiLauncher",
    "mpirun of Open MPI or MPICH",
)
