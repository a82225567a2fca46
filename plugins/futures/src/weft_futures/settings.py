"""The options of the executor ``futures``. A light module."""

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from weft.values.settings import ExecutorSettings, setting

__all__ = ["Futures"]


@attrs.frozen(kw_only=True)
class Futures(ExecutorSettings):
    """A pool that something else brings.

    The pool is made by calling ``factory(**options)``, and is made again when it breaks. What it
    returns needs the methods of ``concurrent.futures.Executor`` and nothing else.
    """

    plugin: ClassVar[str] = "futures"
    factory: str = setting(
        help="What makes the pool, as 'module:callable', such as "
        "'concurrent.futures:ProcessPoolExecutor'.",
        validator=[
            attrs.validators.instance_of(str),
            attrs.validators.matches_re(r"\w+(\.\w+)*:\w+(\.\w+)*"),
        ],
    )
    workers: int = setting(
        2,
        help="How many tasks the pool runs at once.",
        unit="tasks",
        validator=[attrs.validators.instance_of(int), attrs.validators.ge(1)],
    )
    options: Mapping[str, Any] = setting(
        factory=dict,
        help="What the factory is called with besides; for mp_context the name of a start method "
        "will do.",
        validator=attrs.validators.instance_of(Mapping),
    )
    workers_option: str = setting(
        "max_workers",
        help="The keyword by which the factory gets the number of workers; empty if it has none.",
        validator=attrs.validators.matches_re(r"\w*"),
    )
    pack: bool | None = setting(
        None,
        help="Whether functions, arguments and results go as bytes, as other processes need; "
        "when left out, "
        "everywhere but in a ThreadPoolExecutor.",
        validator=attrs.validators.optional(attrs.validators.instance_of(bool)),
    )
    start_timeout: float = setting(
        60.0,
        help="How long a new pool may take to run its first call, which is to do nothing.",
        unit="seconds",
        validator=attrs.validators.gt(0),
    )
