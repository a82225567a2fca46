"""An executor, and what the kernel knows of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from weft.interfaces.executor import Executor, ExecutorStatus
from weft.values.plugin import Support
from weft.values.task import Task

if TYPE_CHECKING:
    from weft.data.sandbox import SandboxPlan

__all__ = ["Lane"]


class Lane:
    """An executor, and what the kernel knows of it."""

    def __init__(
        self,
        label: str,
        executor: Executor,
        capabilities: Mapping[str, Support],
        status: ExecutorStatus,
        serializer: Any = None,
        *,
        sandbox: SandboxPlan | None = None,
    ) -> None:
        self.label, self.executor, self.capabilities = label, executor, capabilities
        self.serializer, self.sandbox = serializer, sandbox
        self.workers = max(1, status.workers)
        self.batch: list[Task] = []
        self.in_flight = 0
        self.broken: BaseException | None = None

    @property
    def load(self) -> float:
        """Tasks it holds for each one that it can run at once; endless when it is broken."""
        return self.in_flight / self.workers if self.broken is None else float("inf")

    def status(self) -> ExecutorStatus:
        """What the executor says of itself; how many tasks run is worked out if need be."""
        status = self.executor.status()
        if status.running is None:
            # Of what neither waits nor is done for the kernel, more may have ended already.
            running = min(status.workers, max(0, self.in_flight - status.waiting))
            return attrs.evolve(status, running=running)
        return status
