"""The monitor ``elasticsearch``: sees to the index, and leaves events to its writer."""

import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from weft.errors import ConfigurationError, RunFolderError
from weft.interfaces.context import Context
from weft.interfaces.monitor import Monitor
from weft.values.events import Event
from weft_elasticsearch.index import Index, NotNow, Refused, Unbelieved
from weft_elasticsearch.settings import Elasticsearch
from weft_elasticsearch.writer import Writer

__all__ = ["ElasticsearchMonitor", "build"]


def build(settings: Elasticsearch) -> "ElasticsearchMonitor":
    """The monitor with these settings."""
    return ElasticsearchMonitor(settings)


class ElasticsearchMonitor(Monitor):
    """Keeps what happens as documents."""

    def __init__(self, settings: Elasticsearch) -> None:
        self._settings = settings
        self._writer: Writer | None = None

    def start(self, context: Context) -> None:
        """Make the index if it is not there, and write down how to find the documents.

        Raises:
            ConfigurationError: the server does not answer or refuses, and is required; or what the
                client is given, such as its certificates, is not right.
            RunFolderError: the monitor's folder cannot be written.
        """
        settings = self._settings
        recorder = secrets.token_hex(8)
        found_by = {"index": settings.index, "run": context.run_id, "recorder": recorder}
        _write_down(context.folder / "documents.json", json.dumps(found_by))
        try:
            index = Index(
                settings.server,
                settings.index,
                timeout=settings.timeout,
                ca_certs=settings.ca_certs,
            )
        except (ValueError, OSError) as error:
            raise ConfigurationError(
                f"The server {settings.server} cannot be spoken to as it is configured.",
                why=str(error),
                todo="See to the options server and ca_certs.",
            ) from error
        if settings.required:
            _prepare(index)
        self._writer = Writer(
            index,
            context.notice,
            run=context.run_id,
            recorder=recorder,
            backlog=settings.backlog,
            prepared=settings.required,
        )
        self._writer.start()

    def handle(self, events: Sequence[Event]) -> None:
        """Leave the events to the writer."""
        if self._writer is not None:
            self._writer.put(events)

    def close(self) -> None:
        """Write what waits, and let go of the server."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close(self._settings.closing)


def _prepare(index: Index) -> None:
    try:
        index.prepare()
    except Unbelieved as error:
        index.close()
        raise ConfigurationError(
            f"The server of {index.place} is not believed.",
            why=str(error),
            todo="Name a file with the certificates of the authority that it is certified by, by "
            "the option ca_certs, and the server by the name that its certificate has.",
        ) from error
    except NotNow as error:
        index.close()
        raise ConfigurationError(
            f"The index {index.place} cannot be written.",
            why=str(error),
            todo="Start its server, name another one by the option server, or give the option "
            "required=False to have runs start without it.",
        ) from error
    except Refused as error:
        index.close()
        raise ConfigurationError(
            f"The index {index.place} cannot be written.",
            why=str(error),
            todo="Say who you are by the variable ELASTICSEARCH_API_KEY, have the index made for "
            "you, or name another one by the option index.",
        ) from error


def _write_down(path: Path, text: str) -> None:
    """Write a line for those who look for the documents, to be read by the run's owner alone."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{text}\n")
    except OSError as error:
        raise RunFolderError(
            str(path.parent), f"The file {path.name!r} cannot be written: {error.strerror}."
        ) from error
