"""A file with the metrics, for the textfile collector of the node exporter; replaced at intervals.

    weft-prometheus ──every interval, and at the end──▶ new file beside it ──rename──▶ the file

Whoever reads it finds it whole. A disk that takes no file is told of once; what is in the metrics
is lost by that no more than a scrape that nobody makes: the next file has it all.
"""

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

__all__ = ["Textfile"]


class Textfile:
    """Writes the metrics of one registry.

    *Life.* ``write`` once by who starts it, ``start``, ``close``.

    Args:
        registry: what is written.
        path: the file.
        mode: of the file, such as ``0o600``.
        interval: seconds from one file to the next.
        tell: gets a level and a sentence for the person who watches.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        path: Path,
        *,
        mode: int,
        interval: float,
        tell: Callable[[str, str], None],
    ) -> None:
        self._registry, self._path, self._mode = registry, path, mode
        self._interval, self._tell = interval, tell
        self._told = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="weft-prometheus", daemon=True)

    def write(self) -> None:
        """Replace the file.

        Raises:
            OSError: it cannot be written; the former one is still there.
        """
        data = generate_latest(self._registry)
        descriptor, made = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), self._mode)
                file.write(data)
            Path(made).replace(self._path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(made).unlink()
            raise

    def start(self) -> None:
        """Begin to replace the file."""
        self._thread.start()

    def _work(self) -> None:
        over = False
        while not over:
            over = self._closing.wait(self._interval)
            try:
                self.write()
            except OSError as error:
                self._complain(error, over=over)

    def _complain(self, error: OSError, *, over: bool) -> None:
        why = error.strerror or str(error)
        if over:
            self._tell(
                "warning",
                f"The last metrics could not be written to {self._path}: {why}. "
                "What is there is older, or nothing.",
            )
        elif not self._told:
            self._told = True
            self._tell(
                "warning",
                f"Metrics cannot be written to {self._path}: {why}. The run goes on, and so do "
                "attempts to write.",
            )

    def close(self, timeout: float) -> None:
        """Write the file for the last time and end, within about ``timeout`` seconds."""
        self._closing.set()
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._tell(
                "warning",
                f"The thread {self._thread.name} still waits for the disk of {self._path}.",
            )
