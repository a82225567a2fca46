"""The kit for serializers."""

from typing import ClassVar

from weft.values.plugin import Kind
from weft_testkit.base import Conformance

__all__ = ["SerializerConformance"]


class SerializerConformance(Conformance):
    """Proves that a serializer keeps the promises of ``weft.interfaces.serializer``."""

    kind: ClassVar[Kind] = Kind.SERIALIZER
