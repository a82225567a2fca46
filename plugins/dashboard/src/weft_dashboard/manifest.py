"""What this package adds to the program ``weft``."""

from weft.values.plugin import Component, Kind, Requires

__all__ = ["dashboard"]

dashboard = Component(
    kind=Kind.COMMAND,
    name="dashboard",
    factory="weft_dashboard.cli:main",
    summary="Shows runs in the browser, live and afterwards.",
    requires=Requires(
        modules=("starlette", "uvicorn"), hint="Install weft-dashboard with what it depends on."
    ),
)
