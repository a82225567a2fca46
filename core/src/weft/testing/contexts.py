"""What weft hands to a component, for tests: collects what the component says, and waits for it."""

import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from weft.errors import StagingError
from weft.interfaces.stager import Transfer
from weft.values.events import Event
from weft.values.plugin import Kind
from weft.values.settings import Settings
from weft.values.task import Outcome
from weft.values.watch import NOTHING, Watch

__all__ = ["FakeContext", "FakeExecutorContext", "NothingHappened"]

PATIENCE = 60.0
"""Seconds that a wait takes at most unless told otherwise: more than enough, less than for ever."""


class NothingHappened(AssertionError):
    """What a test waited for did not happen in time."""


class FakeContext:
    """The context of any component.

    Args:
        folder: the component's folder; a new temporary one, removed with this object, when left
            out.

    Attributes:
        told: events, in the order in which they were told.
        notices: pairs of a level and a text.
        went: what a stager said of how far it is: the URL, the bytes, and those in all.
        unwanted: URLs of transfers that nobody waits for any more.
    """

    def __init__(
        self, folder: Path | None = None, *, run_id: str = "run-1", program: str = "test"
    ) -> None:
        self._remove: weakref.finalize[[str, bool], FakeContext] | None = None
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="weft-test-"))
            # Not a TemporaryDirectory, which warns of a context that a test did not close.
            self._remove = weakref.finalize(self, shutil.rmtree, str(folder), True)
        self._folder, self._run_id, self._program = folder, run_id, program
        self._changed = threading.Condition()
        self.told: list[Event] = []
        self.notices: list[tuple[str, str]] = []
        self.went: list[tuple[str, int, int | None]] = []
        self.unwanted: set[str] = set()

    @property
    def run_id(self) -> str:
        """As given."""
        return self._run_id

    @property
    def folder(self) -> Path:
        """As given, or temporary."""
        return self._folder

    @property
    def program(self) -> str:
        """As given."""
        return self._program

    def part(self, kind: Kind, settings: Settings | None, default: str = "") -> object:
        """As a session does, among the packages that are installed."""
        from weft.configuration.registry import default_registry

        registry = default_registry()
        return registry.open(settings if settings is not None else registry.settings(kind, default))

    def tell(self, event: Event) -> None:
        """Collect an event."""
        with self._changed:
            self.told.append(event)
            self._changed.notify_all()

    def notice(self, level: str, text: str) -> None:
        """Collect a notice."""
        with self._changed:
            self.notices.append((level, text))
            self._changed.notify_all()

    def progress(self, transfer: Transfer, done: int, total: int | None = None) -> None:
        """Collect how far a transfer is.

        Raises:
            StagingError: its URL is among the ``unwanted``.
        """
        with self._changed:
            self.went.append((transfer.file.url, done, total))
            self._changed.notify_all()
        if transfer.file.url in self.unwanted:
            raise StagingError(transfer.file.url, transfer.way, "Nobody waits for it any more.")

    def wait_until(self, happened: Callable[[], Any], timeout: float = PATIENCE) -> None:
        """Wait until ``happened()`` is true; it is asked whenever the component has said something.

        Raises:
            NothingHappened: it did not become true in time.
        """
        with self._changed:
            if not self._changed.wait_for(happened, timeout):
                raise NothingHappened(f"{happened!r} was not true within {timeout:g} s: {self!r}")

    def close(self) -> None:
        """Remove the temporary folder, if there is one."""
        if self._remove is not None:
            self._remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FakeExecutorContext(FakeContext):
    """The context of an executor.

    Attributes:
        outcomes: what was reported, in the order in which it came.
        failures: what was given to ``failed``.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        label: str = "fake",
        run_id: str = "run-1",
        program: str = "test",
        watch: Watch = NOTHING,
    ) -> None:
        super().__init__(folder, run_id=run_id, program=program)
        self._label, self._watch = label, watch
        self.outcomes: list[Outcome] = []
        self.failures: list[BaseException] = []

    @property
    def label(self) -> str:
        """As given."""
        return self._label

    @property
    def watch(self) -> Watch:
        """As given."""
        return self._watch

    def report(self, outcomes: Sequence[Outcome]) -> None:
        """Collect outcomes."""
        with self._changed:
            self.outcomes += outcomes
            self._changed.notify_all()

    def failed(self, error: BaseException) -> None:
        """Collect the error that ended the executor."""
        with self._changed:
            self.failures.append(error)
            self._changed.notify_all()

    def wait(self, count: int, timeout: float = PATIENCE) -> list[Outcome]:
        """Wait until that many outcomes were reported in all. Returns all of them.

        Raises:
            NothingHappened: fewer came in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.outcomes) >= count, timeout):
                raise NothingHappened(
                    f"{len(self.outcomes)} of {count} outcomes came within {timeout:g} s: "
                    f"{self.outcomes!r}, failures: {self.failures!r}"
                )
            return list(self.outcomes)

    def outcome_of(self, task_id: int, timeout: float = PATIENCE) -> Outcome:
        """Wait for the outcome of one task.

        Raises:
            NothingHappened: it did not come in time.
        """
        self.wait_until(lambda: any(one.id == task_id for one in self.outcomes), timeout)
        return next(one for one in self.outcomes if one.id == task_id)
