"""The monitor ``opentelemetry``: asks for the collector, and leaves all else to its sender."""

import os
from collections.abc import Collection, Sequence

from opentelemetry.sdk.resources import Resource

from weft.errors import ConfigurationError
from weft.interfaces.context import Context
from weft.interfaces.monitor import Interest, Monitor
from weft.values.events import Event
from weft_opentelemetry.caller import CALLER, caller_in
from weft_opentelemetry.collector import Collector
from weft_opentelemetry.sender import Sender
from weft_opentelemetry.settings import OpenTelemetry
from weft_opentelemetry.spans import INTERESTS, Spans

__all__ = ["OpenTelemetryMonitor", "build"]


def build(settings: OpenTelemetry) -> "OpenTelemetryMonitor":
    """The monitor with these settings."""
    return OpenTelemetryMonitor(settings)


class OpenTelemetryMonitor(Monitor):
    """Sends what happens as spans."""

    def __init__(self, settings: OpenTelemetry) -> None:
        self._settings = settings
        self._sender: Sender | None = None
        self._context: Context | None = None
        self._unreadable_caller = ""

    def interests(self) -> Collection[Interest]:
        """What spans are made of."""
        return INTERESTS

    def start(self, context: Context) -> None:
        """Ask whether the collector takes spans.

        Raises:
            ConfigurationError: it does not, and is required.
        """
        settings = self._settings
        collector = Collector(settings.endpoint, settings.timeout)
        why = collector.take([]) if settings.required else ""
        if why:
            collector.close()
            certificates = (
                "see that OTEL_EXPORTER_OTLP_CERTIFICATE names the certificates that it is "
                "believed by, "
                if collector.url.startswith("https:")
                else ""
            )
            raise ConfigurationError(
                f"The collector of spans at {collector.url} does not take any.",
                why=why,
                todo=f"Start it, {certificates}name another one by the option endpoint, or give "
                "the option required=False to have runs start without it.",
            )
        caller = caller_in(os.environ)
        if caller is None:
            self._unreadable_caller = os.environ.get(CALLER, "")
        spans = Spans(
            self._resource(context.run_id),
            run_id=context.run_id,
            program=context.program,
            one_trace=settings.traces == "run",
            caller=caller,
        )
        self._context = context
        self._sender = Sender(collector, spans, context.notice, backlog=settings.backlog)
        self._sender.start()

    def _resource(self, run_id: str) -> Resource:
        """What all spans are of; variables of OpenTelemetry add to it."""
        known = {"service.instance.id": run_id}
        name = self._settings.service or os.environ.get("OTEL_SERVICE_NAME") or "weft"
        return Resource.create({**known, "service.name": name})

    def handle(self, events: Sequence[Event]) -> None:
        """Leave the events to the sender."""
        if self._unreadable_caller and self._context is not None:
            # Not at the start, when nobody is told anything yet.
            text, self._unreadable_caller = self._unreadable_caller, ""
            self._context.notice(
                "warning",
                f"The variable {CALLER} is {text[:100]!r}, which is no span as W3C Trace Context "
                "writes it (version, trace, span and flags in hexadecimal, with '-' between them);"
                " the run is a trace of its own. Have whoever starts the script set it, or unset "
                "it.",
            )
        if self._sender is not None:
            self._sender.put(events)

    def close(self) -> None:
        """Send what waits, and let go of the collector."""
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.close(self._settings.closing)
