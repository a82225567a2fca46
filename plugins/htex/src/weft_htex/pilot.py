"""What an executor that is built on this one has otherwise: who runs on the nodes, and on which."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from weft.interfaces.launcher import Launcher

__all__ = ["HTEX_PILOT", "Pilot"]


@attrs.frozen(kw_only=True)
class Pilot:
    """What is started for a block.

    Attributes:
        module: has a ``main`` that is called on each node which the launcher reaches, and ends up
            in :func:`weft_htex.manager.main`.
        launcher: what starts it; that of the settings when left out.
        managers: how many there are in a block; one on each node when left out.
        extra: what the module must be told, beside the orders of every manager: plain data, which
            travels as JSON.
        capacity: how many tasks a block runs at once, on average, where that follows from what they
            ask for: told how many of the tasks that have not ended ask for how many accelerators.
            When left out, as many as its managers have workers.
    """

    module: str = "weft_htex.manager"
    launcher: Launcher | None = None
    managers: int | None = None
    extra: Mapping[str, object] = attrs.field(factory=dict)
    capacity: Callable[[Mapping[int, int]], float] | None = None


HTEX_PILOT = Pilot()
"""One manager of this package on each node."""
