"""The declaration of what this package brings."""

from weft.values.plugin import Component, Kind

__all__ = ["export"]

export = Component(
    kind=Kind.COMMAND,
    name="runs-export",
    factory="weft_provenance.cli:main",
    summary="Writes the provenance of a run as an RO-Crate or as W3C PROV.",
)
