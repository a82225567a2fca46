"""The options."""

from typing import ClassVar

import attrs

from weft.values.settings import ExecutorSettings, setting


@attrs.frozen(kw_only=True)
class Echo(ExecutorSettings):
    """One thread that echoes."""

    plugin: ClassVar[str] = "echo"
    word: str = setting(
        "echo",
        help="What each line begins with.",
        validator=attrs.validators.instance_of(str),
    )
