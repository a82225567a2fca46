"""The declaration of what this package brings."""

from weft.values.plugin import Component, Kind, Support

__all__ = ["zip_members"]

zip_members = Component(
    kind=Kind.STAGER,
    name="zip",
    interface="1.2",
    settings="weft_zip.settings:Zip",
    factory="weft_zip.stager:build",
    summary="Brings members of zip archives of this machine, and adds what tasks made.",
    capabilities={
        "in": Support.FULL,
        "out": Support.FULL,
        # An archive is a file of the machine of the script.
        "anywhere": Support.UNSUPPORTED,
        "third-party": Support.UNSUPPORTED,
        "batch": Support.FULL,
        "validator": Support.FULL,
        "progress": Support.FULL,
        "resume": Support.UNSUPPORTED,
        "folders": Support.UNSUPPORTED,
    },
    schemes=("zip",),
)
