"""The declarations of what this package brings."""

from weft.values.plugin import Component, Kind, Support

__all__ = ["psij"]

psij = Component(
    kind=Kind.PROVIDER,
    name="psij",
    settings="weft_psij.settings:PSIJ",
    factory="weft_psij.provider:build",
    summary="Gets nodes by PSI/J, from any batch system that it speaks to.",
    capabilities={
        "cancel": Support.FULL,
        "nodes": Support.PARTIAL,
        "exit-code": Support.FULL,
    },
    checks="weft_psij.checks:checks",
    pairs_with={"launcher": ("*",)},
)
