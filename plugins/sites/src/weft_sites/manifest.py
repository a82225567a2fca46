"""What this package adds to the program ``weft``."""

from weft.values.plugin import Component, Kind

__all__ = ["site"]

site = Component(
    kind=Kind.COMMAND,
    name="site",
    factory="weft_sites.cli:main",
    summary="Finds the configuration of a cluster by its name, and fills it in.",
)
