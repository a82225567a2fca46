"""Tasks for tests of executors."""

import itertools
from collections.abc import Callable
from typing import Any

from weft.values.task import NEEDS_NOTHING, Needs, Task

__all__ = ["make_task"]

_numbers = itertools.count()


def make_task(
    function: Callable[..., Any],
    *args: Any,
    id: int | None = None,  # noqa: A002 - the field's own name
    attempt: int = 1,
    needs: Needs = NEEDS_NOTHING,
    **kwargs: Any,
) -> Task:
    """A task that calls ``function(*args, **kwargs)``; it gets a number unless one is given."""
    number = next(_numbers) if id is None else id
    name = getattr(function, "__name__", type(function).__name__)
    return Task(number, attempt, name, function, args, kwargs, needs)
