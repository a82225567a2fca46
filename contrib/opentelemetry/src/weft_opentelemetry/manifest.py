"""The declaration of what this package brings."""

from weft.values.plugin import Component, Kind, Requires

__all__ = ["opentelemetry"]

opentelemetry = Component(
    kind=Kind.MONITOR,
    name="opentelemetry",
    interface="1.1",
    settings="weft_opentelemetry.settings:OpenTelemetry",
    factory="weft_opentelemetry.monitor:build",
    summary="Sends runs, tasks and tries as spans to a collector of OpenTelemetry.",
    requires=Requires(
        modules=("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"),
        hint="Install weft-opentelemetry with what it depends on.",
    ),
)
