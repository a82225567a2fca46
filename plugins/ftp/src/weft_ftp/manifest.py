"""The declaration of what this package brings."""

from weft.values.plugin import Component, Kind, Support

__all__ = ["ftp"]

ftp = Component(
    kind=Kind.STAGER,
    name="ftp",
    interface="1.2",
    settings="weft_ftp.settings:FTP",
    factory="weft_ftp.stager:build",
    summary="Brings files of FTP servers and takes them there, with TLS where they have it.",
    capabilities={
        "in": Support.FULL,
        "out": Support.FULL,
        "anywhere": Support.FULL,
        "third-party": Support.NOT_IMPLEMENTED,
        "batch": Support.NOT_IMPLEMENTED,
        # By MDTM, in whole seconds at most servers, and SIZE; there is none where they lack these.
        "validator": Support.PARTIAL,
        "progress": Support.FULL,
        # Of files that are brought. A part of one that was sent would stay there when nobody tries
        # again.
        "resume": Support.PARTIAL,
        "folders": Support.UNSUPPORTED,
    },
    schemes=("ftp", "ftps"),
)
