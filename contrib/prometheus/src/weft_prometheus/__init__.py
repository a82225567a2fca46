"""Metrics of a run of weft for Prometheus: at a port that is scraped, or in a textfile."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weft_prometheus.monitor import PrometheusMonitor
    from weft_prometheus.settings import Prometheus

__all__ = ["Prometheus", "PrometheusMonitor"]

__version__ = "0.1.0"

_HOMES = {
    "Prometheus": "weft_prometheus.settings",
    "PrometheusMonitor": "weft_prometheus.monitor",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'weft_prometheus' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)
