"""Who runs what a manager is dealt: types, which cost nothing where they are not checked."""

from __future__ import annotations

import selectors
from collections.abc import Callable, Iterable
from typing import Protocol, TypeAlias

from weft.workers.crew import CrewOwner, CrewSettings, CrewStatus, Job
from weft_htex.orders import Orders

__all__ = ["Hands", "Hire", "Prepared"]


class Hands(Protocol):
    """A crew of workers, or what stands before one.

    The methods are those of :class:`weft.workers.crew.Crew`, which see. ``handle`` also gets the
    keys that it has registered with the manager's selector by itself.
    """

    @property
    def ready(self) -> int:
        """How many workers are ready."""
        ...

    @property
    def closed(self) -> bool:
        """Whether it was closed, and all has ended."""
        ...

    def start(self) -> None:
        """As of a crew, like all that follow."""
        ...

    def handle(self, key: selectors.SelectorKey, mask: int) -> None: ...  # noqa: D102 - as said
    def until_next(self) -> float | None: ...  # noqa: D102 - as said
    def tick(self, now: float) -> None: ...  # noqa: D102 - as said
    def add(self, jobs: Iterable[Job]) -> None: ...  # noqa: D102 - as said
    def cancel(self, jobs: Iterable[Job]) -> None: ...  # noqa: D102 - as said
    def close(self, timeout: float) -> None: ...  # noqa: D102 - as said
    def end(self, why: str = ...) -> None: ...  # noqa: D102 - as said
    def status(self) -> CrewStatus: ...  # noqa: D102 - as said


Hire: TypeAlias = Callable[[CrewSettings, selectors.BaseSelector, CrewOwner], Hands]
"""Makes the hands of a manager."""

Prepared: TypeAlias = Callable[[Orders, Callable[[str], None]], tuple[Orders, Hire]]
"""What a manager of another package makes of its orders, given what takes lines for the log; and
who runs its tasks. It may raise a WeftError that says why there can be no manager here."""
