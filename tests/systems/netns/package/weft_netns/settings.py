"""The options of the provider and of the launcher."""

from collections.abc import Sequence
from typing import ClassVar

import attrs
from attrs.validators import deep_iterable, gt, instance_of

from weft.values.settings import LauncherSettings, ProviderSettings, setting

__all__ = ["EachNode", "Netns"]


@attrs.frozen(kw_only=True)
class Netns(ProviderSettings):
    """Nodes that are namespaces; a job waits in a queue until as many as it wants are free."""

    plugin: ClassVar[str] = "netns"

    nodes: Sequence[int] = setting(
        help="The nodes: for each the process that holds its namespaces.",
        validator=deep_iterable(instance_of(int), instance_of(tuple)),
    )
    grace: float = setting(
        5.0, help="Between TERM and KILL for a job that is ended.", unit="seconds", validator=gt(0)
    )


@attrs.frozen(kw_only=True)
class EachNode(LauncherSettings):
    """One copy, or several, on each node of a job."""

    plugin: ClassVar[str] = "netns"
