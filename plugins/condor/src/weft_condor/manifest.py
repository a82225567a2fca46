"""The declaration of what this package brings."""

from weft.values.plugin import Component, Kind, Requires, Support

__all__ = ["condor"]

condor = Component(
    kind=Kind.PROVIDER,
    name="condor",
    settings="weft_condor.settings:Condor",
    factory="weft_condor.dialect:build",
    summary="Gets machines from HTCondor: each block is a job, on a slot of one machine.",
    capabilities={
        "cancel": Support.FULL,
        "nodes": Support.UNSUPPORTED,
        "exit-code": Support.FULL,
    },
    requires=Requires(
        commands=("condor_submit", "condor_q", "condor_history", "condor_rm", "condor_status"),
        hint="Run this on an access point of the pool, from which jobs are submitted, with its "
        "commands on PATH.",
    ),
    checks="weft_condor.checks:checks",
    pairs_with={"launcher": ("*",)},
)
