"""The declaration of what this package brings."""

from weft.values.plugin import Component, Kind, Requires

__all__ = ["prometheus"]

prometheus = Component(
    kind=Kind.MONITOR,
    name="prometheus",
    interface="1.1",
    settings="weft_prometheus.settings:Prometheus",
    factory="weft_prometheus.monitor:build",
    summary="Gives counts, states and durations of a run to Prometheus.",
    requires=Requires(
        modules=("prometheus_client",), hint="Install weft-prometheus with what it depends on."
    ),
)
