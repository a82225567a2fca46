"""The span that the script was started in, as the environment tells it.

Format: W3C Trace Context, in the variables ``TRACEPARENT`` and ``TRACESTATE``, as OpenTelemetry's
specification of environment variables as carriers of context has it.
"""

from collections.abc import Mapping
from typing import Final

from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

__all__ = ["CALLER", "caller_in"]

CALLER: Final = "TRACEPARENT"
"""The variable that names the span."""

_PASSED_ON: Final = "TRACESTATE"


def caller_in(environment: Mapping[str, str]) -> SpanContext | None:
    """The span that variables name; ``None`` where they name none, or none that can be read."""
    # Names of variables are in capitals, those of the format are not.
    carrier = {
        name.lower(): environment[name] for name in (CALLER, _PASSED_ON) if name in environment
    }
    inside = TraceContextTextMapPropagator().extract(carrier, Context())
    found = get_current_span(inside).get_span_context()
    return found if found.is_valid else None
