"""The declaration of what this package brings."""

from weft.values.plugin import Component, Kind, Requires, Support

__all__ = ["mpi"]

mpi = Component(
    kind=Kind.EXECUTOR,
    name="mpi",
    interface="1.1",
    settings="weft_mpi.settings:MPI",
    factory="weft_mpi.executor:build",
    summary="Runs tasks that get whole nodes of a block, and start programs of MPI on them.",
    capabilities={
        "cancel.running": Support.FULL,
        "walltime": Support.FULL,
        "walltime.compiled": Support.FULL,
        "priority": Support.FULL,
        "resources.cores": Support.UNSUPPORTED,
        "resources.memory": Support.UNSUPPORTED,
        "resources.accelerators": Support.UNSUPPORTED,
        "resources.nodes": Support.FULL,
        "resources.ranks_per_node": Support.FULL,
        "resources.num_ranks": Support.FULL,
        "resources.launcher_options": Support.FULL,
        "isolation.process": Support.FULL,
        "remote": Support.FULL,
        "elastic": Support.FULL,
        "logs": Support.FULL,
        # Of the process that starts a program of MPI; not of its ranks on other nodes.
        "samples": Support.PARTIAL,
    },
    requires=Requires(
        modules=("weft_htex", "zmq"),
        platforms=("linux", "darwin"),
        hint="Run 'pip install weft-htex'.",
    ),
    pairs_with={"provider": ("*",)},
)
