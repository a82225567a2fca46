"""The declarations of what this package brings."""

from weft.values.plugin import Component, Kind, Support

__all__ = ["command", "stager"]

stager = Component(
    kind=Kind.STAGER,
    name="globus",
    settings="weft_globus.settings:Globus",
    factory="weft_globus.stager:build",
    summary="Has Globus move files between its collections, also where no byte comes by here.",
    interface="1.2",
    capabilities={
        "in": Support.FULL,
        "out": Support.FULL,
        # Tokens stay where they were given.
        "anywhere": Support.UNSUPPORTED,
        "third-party": Support.FULL,
        "batch": Support.FULL,
        "validator": Support.FULL,
        # Of files that share a task of the service, only their sum is known.
        "progress": Support.PARTIAL,
        # The service goes on by itself, and a new run with it; a task that ended begins anew.
        "resume": Support.PARTIAL,
        "folders": Support.UNSUPPORTED,
    },
    checks="weft_globus.checks:checks",
    schemes=("globus",),
)
"""Files of Globus collections."""

command = Component(
    kind=Kind.COMMAND,
    name="globus",
    factory="weft_globus.cli:main",
    summary="Logs in to Globus, and out, and says who is logged in.",
)
"""What runs need before they start, since nothing asks for a password in a task."""
