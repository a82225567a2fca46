"""The declarations of what this package brings."""

from weft.values.plugin import Component, Kind, Requires, Support

__all__ = ["gridengine", "qrsh"]

gridengine = Component(
    kind=Kind.PROVIDER,
    name="gridengine",
    settings="weft_gridengine.settings:GridEngine",
    factory="weft_gridengine.provider:build",
    summary="Gets nodes from Grid Engine: each block is a batch job.",
    capabilities={
        "cancel": Support.FULL,
        "nodes": Support.PARTIAL,
        "exit-code": Support.FULL,
    },
    requires=Requires(
        commands=("qsub", "qstat", "qdel", "qacct", "qconf", "qselect"),
        hint="Run this on a machine from which jobs of Grid Engine are submitted, with its "
        "commands on PATH; many sites want '. $SGE_ROOT/default/common/settings.sh' for that.",
    ),
    checks="weft_gridengine.checks:checks",
    pairs_with={"launcher": ("*",)},
)

qrsh = Component(
    kind=Kind.LAUNCHER,
    name="qrsh",
    settings="weft_gridengine.settings:Qrsh",
    factory="weft_gridengine.launchers:build_qrsh",
    summary="Starts on all hosts of a job of Grid Engine, each copy as a task of the job.",
    pairs_with={"provider": ("gridengine",)},
)
