"""The declaration: what weft knows of this package before it loads anything else of it."""

from weft.values.plugin import Component, Kind, Support

echo = Component(
    kind=Kind.EXECUTOR,
    name="echo",
    settings="weft_echo.settings:Echo",
    factory="weft_echo.executor:build",
    summary="Runs each task at once on a thread of its own, and writes a line about it.",
    capabilities={"cancel.running": Support.UNSUPPORTED, "remote": Support.UNSUPPORTED},
)
