"""The collector, as the exporter of OTLP reaches it, and why it did not when it did not."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

__all__ = ["Collector"]

_LOGGER: Final = logging.getLogger(trace_exporter.__name__)


class _Reasons(logging.Filter):
    """Keeps what the exporter logs in one thread, and from going anywhere else.

    What it logs for others, such as for what the script itself traces, goes where it went.
    """

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()
        self.said: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        if record.thread != self._thread:
            return True
        self.said.append(record.getMessage())
        return False


@contextmanager
def _heard() -> Iterator[list[str]]:
    reasons = _Reasons()
    _LOGGER.addFilter(reasons)
    try:
        yield reasons.said
    finally:
        _LOGGER.removeFilter(reasons)


class Collector:
    """Takes spans, or says why not. Used by one thread at a time, but for ``close``.

    Args:
        endpoint: its URL without ``/v1/traces``; as variables say when empty.
        timeout: seconds that it may take for a batch, with what the exporter tries again by itself.
    """

    def __init__(self, endpoint: str, timeout: float) -> None:
        url = f"{endpoint.rstrip('/')}/v1/traces" if endpoint else None
        # The exporter takes fractions of a second, whatever versions of it declare.
        self._exporter = OTLPSpanExporter(endpoint=url, timeout=timeout)  # type: ignore[arg-type,unused-ignore]
        self.url = str(getattr(self._exporter, "_endpoint", "") or url)

    def take(self, spans: Sequence[ReadableSpan]) -> str:
        """Send spans; none asks whether it is there. Returns why it failed, or an empty text."""
        with _heard() as said:
            try:
                result = self._exporter.export(spans)
            except Exception as error:  # noqa: BLE001 - it lets through what its transport raises
                return f"{type(error).__name__}: {error}"
        if result is SpanExportResult.SUCCESS:
            return ""
        return "; ".join(said[-2:]) or "the exporter does not say why"

    def close(self) -> None:
        """Let go of its connections; what waits to be tried again is given up. From any thread."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]
