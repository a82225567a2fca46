"""The declaration of what this package brings."""

from weft.values.plugin import Component, Kind, Requires, Support

__all__ = ["rsync"]

rsync = Component(
    kind=Kind.STAGER,
    name="rsync",
    interface="1.2",
    settings="weft_rsync.settings:Rsync",
    factory="weft_rsync.stager:build",
    summary="Brings files of rsync daemons and of hosts over ssh, and takes them there.",
    capabilities={
        "in": Support.FULL,
        "out": Support.FULL,
        "anywhere": Support.FULL,
        "third-party": Support.UNSUPPORTED,
        "batch": Support.FULL,
        # By whole seconds, so what changes twice within one, at the same size, is not told apart.
        "validator": Support.PARTIAL,
        "progress": Support.FULL,
        # Of files that are brought. What the other side kept of one that was sent would stay there
        # when nobody tries again.
        "resume": Support.PARTIAL,
        "folders": Support.UNSUPPORTED,
    },
    requires=Requires(
        commands=("rsync",), hint="Install rsync 3.1 or newer, here and on the other side."
    ),
    checks="weft_rsync.checks:checks",
    schemes=("rsync", "rsync+ssh"),
)
