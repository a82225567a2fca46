"""The kit for executors."""

from typing import ClassVar

from weft.values.plugin import Kind
from weft_testkit.base import Conformance

__all__ = ["ExecutorConformance"]


class ExecutorConformance(Conformance):
    """Proves that a executor keeps the promises of ``weft.interfaces.executor``."""

    kind: ClassVar[Kind] = Kind.EXECUTOR
