"""The monitor ``prometheus``: counts what happens, and has a port or a file tell of it.

Nothing is sent, so no collector can hold a run up: one that is gone or slow does not come and read.
"""

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from weft.errors import ConfigurationError, RunFolderError
from weft.interfaces.context import Context
from weft.interfaces.monitor import Interest, Monitor
from weft.values.events import Event
from weft_prometheus.endpoint import Endpoint
from weft_prometheus.metrics import INTERESTS, Metrics
from weft_prometheus.settings import Prometheus
from weft_prometheus.textfile import Textfile

__all__ = ["PrometheusMonitor", "build"]

_TO_END: Final = 3.0
"""Seconds for the last metrics when the run has ended: all monitors together have five."""


def build(settings: Prometheus) -> "PrometheusMonitor":
    """The monitor with these settings."""
    return PrometheusMonitor(settings)


class PrometheusMonitor(Monitor):
    """Keeps metrics of the run for Prometheus to read."""

    def __init__(self, settings: Prometheus) -> None:
        self._settings = settings
        self._context: Context | None = None
        self._metrics: Metrics | None = None
        self._endpoint: Endpoint | None = None
        self._textfile: Textfile | None = None
        self._told = False

    def interests(self) -> Collection[Interest]:
        """What the metrics are made of."""
        return INTERESTS

    def start(self, context: Context) -> None:
        """Open the port, or write the file for the first time.

        Raises:
            ConfigurationError: the port cannot be opened, or the file not written.
            RunFolderError: what the port is cannot be written down.
        """
        self._context = context
        metrics = Metrics(
            run_id=context.run_id, program=context.program, max_apps=self._settings.max_apps
        )
        if self._settings.textfile:
            self._textfile = self._written(context, metrics)
        else:
            self._endpoint = self._opened(context, metrics)
        self._metrics = metrics

    def _written(self, context: Context, metrics: Metrics) -> Textfile:
        settings = self._settings
        path = context.folder / settings.textfile
        textfile = Textfile(
            metrics.registry,
            path,
            mode=0o644 if settings.readers == "all" else 0o600,
            interval=settings.interval,
            tell=context.notice,
        )
        try:
            textfile.write()
        except OSError as error:
            raise ConfigurationError(
                f"Metrics cannot be written to {path}.",
                why=error.strerror or str(error),
                todo="Make its folder, or name another file by the option textfile.",
            ) from error
        textfile.start()
        return textfile

    def _opened(self, context: Context, metrics: Metrics) -> Endpoint:
        settings = self._settings
        try:
            endpoint = Endpoint(metrics.registry, settings.address, settings.port)
        except OSError as error:
            raise ConfigurationError(
                f"The port {settings.port} for metrics cannot be opened at {settings.address}.",
                why=error.strerror or str(error),
                todo="Another run may have it: name another port, or 0 for one that is free.",
            ) from error
        try:
            _write_down(context.folder / "url", endpoint.url)
        except OSError as error:
            endpoint.close(_TO_END, context.notice)
            raise RunFolderError(
                str(context.folder), f"The file 'url' cannot be written: {error.strerror}."
            ) from error
        return endpoint

    def handle(self, events: Sequence[Event]) -> None:
        """Count what happened."""
        if self._metrics is None or self._context is None:
            return
        if self._endpoint is not None and not self._told:
            # Not at the start, when nobody is told anything yet.
            self._told = True
            self._context.notice("info", f"The metrics of this run are at {self._endpoint.url}.")
        self._metrics.take(events)

    def close(self) -> None:
        """Close the port, or write the file for the last time."""
        endpoint, self._endpoint = self._endpoint, None
        textfile, self._textfile = self._textfile, None
        if endpoint is not None and self._context is not None:
            endpoint.close(_TO_END, self._context.notice)
        if textfile is not None:
            textfile.close(_TO_END)


def _write_down(path: Path, text: str) -> None:
    """Write a line for programs that look for the port, to be read by the run's owner alone."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{text}\n")
