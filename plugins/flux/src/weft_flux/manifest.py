"""The declaration of what this package brings."""

from weft.values.plugin import Component, Kind, Requires, Support

__all__ = ["flux"]

flux = Component(
    kind=Kind.PROVIDER,
    name="flux",
    settings="weft_flux.settings:Flux",
    factory="weft_flux.dialect:build",
    summary="Gets nodes from Flux: each block is a batch job, an instance of its own.",
    capabilities={
        "cancel": Support.FULL,
        "nodes": Support.FULL,
        "exit-code": Support.FULL,
    },
    requires=Requires(
        commands=("flux",),
        hint="Run this where 'flux resource list' shows nodes: on a machine with a Flux instance, "
        "or within one that 'flux start' or 'flux alloc' has made.",
    ),
    checks="weft_flux.checks:checks",
    pairs_with={"launcher": ("*",)},
)
