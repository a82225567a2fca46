"""The options of the monitor ``opentelemetry``. Light."""

from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import attrs
from attrs.validators import ge, gt, in_, instance_of

from weft.values.settings import MonitorSettings, setting

__all__ = ["OpenTelemetry"]


# Fields are Any: attrs.Attribute is generic for checkers and not when the program runs, where the
# kit looks at annotations.
def _is_endpoint(_instance: object, field: Any, value: str) -> None:
    if not value:
        return
    try:
        parts = urlsplit(value)
        known = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        known = False
    if not known or not value.isprintable():
        raise ValueError(
            f"{field.name} is a URL such as http://collector.example.org:4318, not one that "
            f"begins with {value.partition('://')[0]!r}"
        )
    if parts.username is not None or parts.query or parts.fragment:
        # Settings are shown, logged and kept beside results.
        raise ValueError(
            f"{field.name} has a user, a query or a fragment in it; what a collector wants to know "
            "of who sends is left in the variable OTEL_EXPORTER_OTLP_HEADERS, where only the one "
            "who needs it sees it"
        )


@attrs.frozen(kw_only=True)
class OpenTelemetry(MonitorSettings):
    """Spans for a run, its tasks and their tries, sent to a collector by OTLP over HTTP.

    The variables of OpenTelemetry hold: ``OTEL_EXPORTER_OTLP_HEADERS`` and those for certificates
    and compression, ``OTEL_RESOURCE_ATTRIBUTES``.
    """

    plugin: ClassVar[str] = "opentelemetry"

    endpoint: str = setting(
        "",
        help="The collector, by a URL to which /v1/traces is added; as the variables of "
        "OpenTelemetry say when left out, or http://localhost:4318.",
        validator=[instance_of(str), _is_endpoint],
    )
    service: str = setting(
        "",
        help="The name of the service in each span; OTEL_SERVICE_NAME when left out, or 'weft'.",
        validator=instance_of(str),
    )
    traces: Literal["run", "task"] = setting(
        "run",
        help="What is one trace: a 'run' with all its tasks, or each 'task' by itself, which suits "
        "runs of more tasks than a viewer of traces can show at once.",
        validator=in_(("run", "task")),
    )
    required: bool = setting(
        True,
        help="Whether a run does not start when the collector does not answer; with False it is "
        "told of, and tried again while the run goes on.",
        validator=instance_of(bool),
    )
    timeout: float = setting(
        2.5,
        help="How long the collector may take to take a batch of spans.",
        unit="seconds",
        validator=[instance_of((int, float)), gt(0)],
    )
    closing: float = setting(
        3.0,
        help="How long the end of the run waits for what is not there yet; a session gives all its "
        "monitors together five seconds, and then ends without them.",
        unit="seconds",
        validator=[instance_of((int, float)), gt(0)],
    )
    backlog: int = setting(
        100_000,
        help="How many events may wait for a collector that is slow or gone; what comes then is "
        "left out, counted and told of.",
        unit="events",
        validator=[instance_of(int), ge(1000)],
    )
