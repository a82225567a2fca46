"""The declaration of what this package brings."""

from weft.values.plugin import Component, Kind, Requires

__all__ = ["elasticsearch"]

elasticsearch = Component(
    kind=Kind.MONITOR,
    name="elasticsearch",
    interface="1.1",
    settings="weft_elasticsearch.settings:Elasticsearch",
    factory="weft_elasticsearch.monitor:build",
    summary="Keeps what happens in a run as documents of an index of Elasticsearch.",
    requires=Requires(
        modules=("elasticsearch",), hint="Install weft-elasticsearch with what it depends on."
    ),
)
