"""The declarations of what this package brings."""

from weft.values.plugin import Component, Kind, Support

__all__ = ["files", "proxystore"]

proxystore = Component(
    kind=Kind.SERIALIZER,
    name="proxystore",
    interface="1.1",
    settings="weft_proxystore.settings:ProxyStore",
    factory="weft_proxystore.serializer:build",
    summary="Sends large arguments and results through a store, to be fetched where they are used.",
    capabilities={
        "functions.by-value": Support.FULL,
        "buffers": Support.FULL,
        "data-only": Support.UNSUPPORTED,
    },
)

files = Component(
    kind=Kind.STAGER,
    name="proxystore",
    interface="1.1",
    settings="weft_proxystore.settings:ProxyStoreFiles",
    factory="weft_proxystore.stager:build",
    summary="Passes files on between tasks through a store, also between sites.",
    capabilities={
        "in": Support.FULL,
        "out": Support.FULL,
        "anywhere": Support.FULL,
        # A store has no two sides that could move a file between themselves.
        "third-party": Support.UNSUPPORTED,
        "batch": Support.NOT_IMPLEMENTED,
        "validator": Support.FULL,
        "progress": Support.FULL,
        "resume": Support.NOT_IMPLEMENTED,
    },
    schemes=("proxystore",),
)
