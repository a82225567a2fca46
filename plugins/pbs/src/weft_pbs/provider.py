"""The provider: that of ``weft.batch``, in the dialect of PBS."""

from weft.batch.provider import BatchProvider
from weft_pbs.dialect import PbsDialect
from weft_pbs.settings import Pbs

__all__ = ["PbsProvider", "build"]


class PbsProvider(BatchProvider):
    """Gets nodes from PBS Professional, OpenPBS or TORQUE."""

    def __init__(self, settings: Pbs) -> None:
        super().__init__(PbsDialect(settings), settings)


def build(settings: Pbs) -> PbsProvider:
    """The provider ``pbs`` with these settings."""
    return PbsProvider(settings)
