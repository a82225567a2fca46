"""The declaration of what this package brings."""

from weft.values.plugin import Component, Kind, Support

__all__ = ["proxystore"]

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
