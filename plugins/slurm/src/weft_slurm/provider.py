"""The provider: that of ``weft.batch``, in the dialect of Slurm."""

from weft.batch.arrays import ArrayProvider
from weft_slurm.dialect import SlurmDialect
from weft_slurm.settings import Slurm

__all__ = ["SlurmProvider", "build"]


class SlurmProvider(ArrayProvider):
    """Gets nodes from Slurm."""

    def __init__(self, settings: Slurm) -> None:
        super().__init__(SlurmDialect(settings), settings)


def build(settings: Slurm) -> SlurmProvider:
    """The provider ``slurm`` with these settings."""
    return SlurmProvider(settings)
