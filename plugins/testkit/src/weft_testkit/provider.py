"""The kit for providers."""

from typing import ClassVar

from weft.values.plugin import Kind
from weft_testkit.base import Conformance

__all__ = ["ProviderConformance"]


class ProviderConformance(Conformance):
    """Proves that a provider keeps the promises of ``weft.interfaces.provider``."""

    kind: ClassVar[Kind] = Kind.PROVIDER
