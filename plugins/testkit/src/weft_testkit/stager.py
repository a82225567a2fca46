"""The kit for stagers."""

from typing import ClassVar

from weft.values.plugin import Kind
from weft_testkit.base import Conformance

__all__ = ["StagerConformance"]


class StagerConformance(Conformance):
    """Proves that a stager keeps the promises of ``weft.interfaces.stager``."""

    kind: ClassVar[Kind] = Kind.STAGER
