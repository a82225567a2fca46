"""The declaration of what this package brings."""

from weft.values.plugin import Component, Kind, Support

__all__ = ["futures"]

futures = Component(
    kind=Kind.EXECUTOR,
    name="futures",
    interface="1.1",
    settings="weft_futures.settings:Futures",
    factory="weft_futures.executor:build",
    summary="Runs tasks in any concurrent.futures.Executor, such as a process pool, loky or MPI.",
    capabilities={
        "cancel.running": Support.UNSUPPORTED,
        # The commands of bash apps end at their walltime; a pool has no way to stop a function.
        "walltime": Support.PARTIAL,
        "walltime.compiled": Support.UNSUPPORTED,
        "priority": Support.FULL,
        "resources.cores": Support.UNSUPPORTED,
        "resources.memory": Support.UNSUPPORTED,
        "resources.accelerators": Support.UNSUPPORTED,
        # Pools give up all that runs in them when one worker dies; those tasks are tried again.
        "isolation.process": Support.PARTIAL,
        "remote": Support.FULL,
        "elastic": Support.UNSUPPORTED,
        # A pool has no way on which to tell anything but results.
        "logs": Support.UNSUPPORTED,
        "samples": Support.UNSUPPORTED,
    },
)
