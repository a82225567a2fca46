"""The declaration of what this package brings."""

from weft.values.plugin import Component, Kind, Requires, Support

__all__ = ["http"]

http = Component(
    kind=Kind.STAGER,
    name="http",
    interface="1.2",
    settings="weft_http.settings:Http",
    factory="weft_http.stager:build",
    summary="Brings files by http and https, and sends what tasks made by PUT.",
    capabilities={
        "in": Support.FULL,
        "out": Support.FULL,
        "anywhere": Support.FULL,
        # HTTP has no request by which one server would fetch from another.
        "third-party": Support.UNSUPPORTED,
        "batch": Support.FULL,
        "validator": Support.FULL,
        "progress": Support.FULL,
        # What is brought; a PUT that was cut begins anew, since HTTP has no agreed way to go on.
        "resume": Support.PARTIAL,
        "folders": Support.UNSUPPORTED,
    },
    requires=Requires(modules=("urllib3",), hint="pip install weft-http"),
    checks="weft_http.checks:checks",
    schemes=("http", "https"),
)
