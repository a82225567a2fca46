"""The kit for monitors."""

from typing import ClassVar

from weft.values.plugin import Kind
from weft_testkit.base import Conformance

__all__ = ["MonitorConformance"]


class MonitorConformance(Conformance):
    """Proves that a monitor keeps the promises of ``weft.interfaces.monitor``."""

    kind: ClassVar[Kind] = Kind.MONITOR
