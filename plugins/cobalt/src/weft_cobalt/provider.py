"""The provider: that of ``weft.batch``, in the dialect of Cobalt."""

from weft.batch.provider import BatchProvider
from weft_cobalt.dialect import CobaltDialect
from weft_cobalt.settings import Cobalt

__all__ = ["CobaltProvider", "build"]


class CobaltProvider(BatchProvider):
    """Gets nodes from Cobalt."""

    def __init__(self, settings: Cobalt) -> None:
        super().__init__(CobaltDialect(settings), settings)


def build(settings: Cobalt) -> CobaltProvider:
    """The provider ``cobalt`` with these settings."""
    return CobaltProvider(settings)
