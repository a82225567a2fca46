"""Monitoring of weft in Elasticsearch: what happens in a run, as documents of an index."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weft_elasticsearch.monitor import ElasticsearchMonitor
    from weft_elasticsearch.settings import Elasticsearch

__all__ = ["Elasticsearch", "ElasticsearchMonitor"]

__version__ = "0.1.0"

_HOMES = {
    "Elasticsearch": "weft_elasticsearch.settings",
    "ElasticsearchMonitor": "weft_elasticsearch.monitor",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'weft_elasticsearch' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)
