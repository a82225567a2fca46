"""What the test kit adds to the program ``weft``."""

from weft.values.plugin import Component, Kind

__all__ = ["plugin_new"]

plugin_new = Component(
    kind=Kind.COMMAND,
    name="plugin-new",
    factory="weft_testkit.scaffold:main",
    summary="Starts a package of your own, with its kit.",
)
