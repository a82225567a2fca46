"""The declaration of what this package brings."""

from weft.values.plugin import Component, Kind, Requires, Support

__all__ = ["pbs"]

pbs = Component(
    kind=Kind.PROVIDER,
    name="pbs",
    settings="weft_pbs.settings:Pbs",
    factory="weft_pbs.provider:build",
    summary="Gets nodes from PBS Professional, OpenPBS or TORQUE: each block is a job.",
    capabilities={
        "cancel": Support.FULL,
        "nodes": Support.FULL,
        "exit-code": Support.FULL,
    },
    requires=Requires(
        commands=("qsub", "qstat", "qdel", "qselect"),
        hint="Run this on a machine from which jobs of PBS are submitted, with its commands on "
        "PATH; some sites want 'module load pbs' for that.",
    ),
    checks="weft_pbs.checks:checks",
    pairs_with={"launcher": ("*",)},
)
