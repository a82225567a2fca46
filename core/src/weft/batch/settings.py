"""The options that every provider for a batch scheduler has. Light."""

from __future__ import annotations

import attrs
from attrs.validators import gt

from weft.values.settings import ProviderSettings, setting

__all__ = ["BatchSettings"]


@attrs.frozen(kw_only=True)
class BatchSettings(ProviderSettings):
    """How a batch scheduler is asked; what it is asked for, a subclass says."""

    poll_interval: float = setting(
        60.0,
        help="Longest time between two questions about jobs, each of which is about all of an "
        "executor; after something has changed it is asked sooner.",
        unit="seconds",
        validator=gt(0),
    )
    command_timeout: float = setting(
        30.0,
        help="How long one command of the scheduler may take before it is ended.",
        unit="seconds",
        validator=gt(0),
    )
