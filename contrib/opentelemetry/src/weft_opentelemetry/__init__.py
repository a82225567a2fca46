"""Traces of runs of weft by OpenTelemetry: runs, tasks and tries as spans, sent by OTLP."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weft_opentelemetry.monitor import OpenTelemetryMonitor
    from weft_opentelemetry.settings import OpenTelemetry

__all__ = ["OpenTelemetry", "OpenTelemetryMonitor"]

__version__ = "0.1.0"

_HOMES = {
    "OpenTelemetry": "weft_opentelemetry.settings",
    "OpenTelemetryMonitor": "weft_opentelemetry.monitor",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'weft_opentelemetry' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)
