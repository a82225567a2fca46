"""The options of the stager ``zip``. Light."""

from typing import ClassVar, Final

import attrs
from attrs.validators import ge, in_, instance_of, le

from weft.values.settings import StagerSettings, setting

__all__ = ["Zip"]

_YEAR: Final = 366 * 24 * 3600.0
"""Seconds; the system cannot wait for ever by a number."""


@attrs.frozen(kw_only=True)
class Zip(StagerSettings):
    """Members of zip archives of the machine of the script."""

    plugin: ClassVar[str] = "zip"

    # ------------------------------------------------------------------------------------------- in

    max_size: int = setting(
        64 * 2**30,
        help="How large a member that is extracted may be; a larger one is refused.",
        unit="bytes",
        validator=[instance_of(int), ge(0)],
    )
    max_ratio: int = setting(
        1100,
        help="How many times larger than what it is packed into a member may be; one of at most "
        "16 MiB always may. Deflate, in which archives are packed, cannot get beyond 1032.",
        validator=[instance_of(int), ge(1)],
    )

    # ------------------------------------------------------------------------------------------ out

    compression: str = setting(
        "deflated",
        help="How members that are added are packed; 'stored' is as they are, for files that are "
        "packed already.",
        validator=in_(("deflated", "stored")),
    )
    lock_timeout: float = setting(
        600.0,
        help="How long others that write the same archive are waited for.",
        unit="seconds",
        validator=[instance_of((int, float)), ge(0), le(_YEAR)],
    )
    sync: bool = setting(
        False,
        help="Whether an archive is on the disk, and not only on its way there, when a member is "
        "said to have been added.",
        validator=instance_of(bool),
    )
