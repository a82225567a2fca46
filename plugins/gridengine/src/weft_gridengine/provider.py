"""The provider ``gridengine``: what all providers for batch schedulers do, in its dialect."""

import getpass
import os
import pwd

from weft.batch.provider import BatchProvider
from weft_gridengine.dialect import GridEngineDialect
from weft_gridengine.settings import GridEngine

__all__ = ["GridEngineProvider", "build", "dialect_for"]


def build(settings: GridEngine) -> "GridEngineProvider":
    """The provider ``gridengine`` with these settings."""
    return GridEngineProvider(settings)


def dialect_for(settings: GridEngine) -> GridEngineDialect:
    """The dialect for this user, and for jobs with the environment of this process."""
    return GridEngineDialect(settings, _user(), os.environ)


def _user() -> str:
    """Whose jobs qsub submits: it goes by the number of the user, whatever variables say."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return getpass.getuser()


class GridEngineProvider(BatchProvider):
    """Gets nodes from Grid Engine."""

    def __init__(self, settings: GridEngine) -> None:
        super().__init__(dialect_for(settings), settings)
