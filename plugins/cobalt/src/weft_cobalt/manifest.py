"""The declaration of what this package brings."""

from weft.values.plugin import Component, Kind, Requires, Support

__all__ = ["cobalt"]

cobalt = Component(
    kind=Kind.PROVIDER,
    name="cobalt",
    settings="weft_cobalt.settings:Cobalt",
    factory="weft_cobalt.provider:build",
    summary="Gets nodes from Cobalt: each block is a job.",
    capabilities={
        "cancel": Support.FULL,
        "nodes": Support.FULL,
        "exit-code": Support.PARTIAL,  # as far as the job comes to write it itself
    },
    requires=Requires(
        commands=("qsub", "qstat", "qdel"),
        hint="Run this on a machine from which jobs of Cobalt are submitted, with its commands on "
        "PATH.",
    ),
    checks="weft_cobalt.checks:checks",
    pairs_with={"launcher": ("*",)},
)
