"""The declaration of what this package brings."""

from weft.values.plugin import Component, Kind, Requires, Support

__all__ = ["lsf"]

lsf = Component(
    kind=Kind.PROVIDER,
    name="lsf",
    settings="weft_lsf.settings:LSF",
    factory="weft_lsf.dialect:build",
    summary="Gets machines from LSF: each block is a batch job.",
    capabilities={
        "cancel": Support.FULL,
        "nodes": Support.FULL,
        "exit-code": Support.FULL,
    },
    requires=Requires(
        commands=("bsub", "bjobs", "bhist", "bkill", "bqueues", "lsid"),
        hint="Run this on a machine from which jobs of LSF are submitted, with its commands on "
        "PATH; some sites want 'source …/profile.lsf' or 'module load lsf' for that.",
    ),
    checks="weft_lsf.checks:checks",
    pairs_with={"launcher": ("*",)},
)
