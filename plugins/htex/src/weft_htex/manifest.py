"""The declaration of what this package brings."""

from weft.values.plugin import Component, Kind, Requires, Support

__all__ = ["htex"]

htex = Component(
    kind=Kind.EXECUTOR,
    name="htex",
    interface="1.1",
    settings="weft_htex.settings:HTEX",
    factory="weft_htex.executor:build",
    summary="Runs tasks on workers of pilot jobs: this machine, or as many nodes as tasks want.",
    capabilities={
        "cancel.running": Support.FULL,
        "walltime": Support.FULL,
        "walltime.compiled": Support.FULL,
        "priority": Support.FULL,
        "resources.cores": Support.FULL,
        "resources.memory": Support.FULL,
        "resources.accelerators": Support.FULL,
        "isolation.process": Support.FULL,
        "remote": Support.FULL,
        "elastic": Support.FULL,
        "logs": Support.FULL,
        "samples": Support.FULL,
    },
    requires=Requires(
        modules=("zmq",), platforms=("linux", "darwin"), hint="Run 'pip install pyzmq'."
    ),
    checks="weft_htex.checks:checks",
    pairs_with={"provider": ("*",), "launcher": ("*",)},
)
