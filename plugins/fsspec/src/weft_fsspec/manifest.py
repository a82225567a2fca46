"""The declaration of what this package brings."""

from weft.values.plugin import Component, Kind, Requires, Support

__all__ = ["fsspec"]

fsspec = Component(
    kind=Kind.STAGER,
    name="fsspec",
    interface="1.2",
    settings="weft_fsspec.settings:Fsspec",
    factory="weft_fsspec.stager:build",
    summary="Brings files of object stores and of SFTP servers, and sends what tasks made.",
    capabilities={
        "in": Support.FULL,
        "out": Support.FULL,
        "anywhere": Support.FULL,
        # Some stores copy between their own buckets; neither side of a transfer here is a bucket.
        "third-party": Support.UNSUPPORTED,
        "batch": Support.FULL,
        "validator": Support.FULL,
        "progress": Support.FULL,
        # What is brought; an upload that was cut begins anew.
        "resume": Support.PARTIAL,
        "folders": Support.UNSUPPORTED,
    },
    requires=Requires(modules=("fsspec",), hint="pip install 'weft-fsspec[s3]'"),
    schemes=("s3", "gs", "gcs", "az", "abfs", "abfss", "sftp"),
)
