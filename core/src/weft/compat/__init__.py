"""What was built for an older version of an interface goes on working, by one step for each change.

A change of an interface that components built before it would notice comes with a *step*, which
makes of a component built before the change one that fulfils the interface after it. A component
is taken through all the steps since the version it declares, the oldest first; those who call it
know today's interface and no other:

    built for 1.2 ──1.3: drops a keyword──▶ ──2.0: splits batches──▶ what weft calls

*An import path never changes its meaning.* A plugin of yesterday says
``from weft.interfaces.monitor import Monitor`` and inherits from what it finds there. So the class
of a new major gets a module of its own, and the old one stays where it is for as long as its step
does.

A step to a new major stays for at least twelve months (``until``), and the one before it goes when
it comes: weft speaks a major and the one before it. What no row of steps leads to is refused when
its name is looked up, before anything of it runs but its declaration.

Most components are built for what is spoken; for those nothing here is even imported.
"""

from __future__ import annotations

import datetime as dt
import inspect
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

import attrs

from weft.values.plugin import Kind

__all__ = ["STEPS", "Step", "adaptation", "adapted", "base", "numbers", "route", "speaks"]


def numbers(version: str) -> tuple[int, int]:
    """``"1.2"`` as ``(1, 2)``."""
    major, _, minor = version.partition(".")
    return int(major), int(minor)


@attrs.frozen(kw_only=True)
class Step:
    """From the components built before one change of an interface to those built after it.

    Attributes:
        kind: whose interface changed.
        to: the version that brought the change, as ``"2.0"``.
        adapter: ``"module:callable"``; gets a component that fulfils the interface before the
            change, and gives one that fulfils it after. Imported when such a component is opened.
        last: for a new major, the last version of the former one, as ``"1.4"``.
        former: for a new major, ``"module:Class"`` of the interface of the former one, from which
            its components inherit.
        until: for a new major, the day before which the step is not removed.
    """

    kind: Kind = attrs.field(converter=Kind)
    to: str = attrs.field(validator=attrs.validators.matches_re(r"\d+\.\d+"))
    adapter: str = attrs.field(validator=attrs.validators.matches_re(r"[\w.]+:\w+"))
    last: str = ""
    former: str = ""
    until: dt.date | None = None

    def __attrs_post_init__(self) -> None:
        told = (self.last, self.former, self.until)
        if self.crosses:
            if not all(told) or numbers(self.last)[0] != numbers(self.to)[0] - 1:
                raise ValueError(
                    f"the step to {self.kind} {self.to} must say the last version of the major "
                    "before it, the class of that, and until when it stays"
                )
        elif any(told):
            raise ValueError(
                f"the step to {self.kind} {self.to} is one within a major, of which the class and "
                "the end are that of the major"
            )

    @property
    def crosses(self) -> bool:
        """Whether it leads from one major to the next."""
        return numbers(self.to)[1] == 0


STEPS: tuple[Step, ...] = ()
"""All steps there are. None yet: every interface is in its first major, and no minor has changed a
call into a plugin."""


def route(kind: Kind, built: str, spoken: str) -> tuple[Step, ...] | None:
    """The steps that a component has to be taken through; ``None`` if they do not lead there.

    Args:
        kind: what the component is.
        built: the version of the interface that it declares.
        spoken: the version that this weft speaks.
    """
    start, goal = numbers(built), numbers(spoken)
    if start > goal:
        return None
    steps = [step for step in _steps(kind) if start < numbers(step.to) <= goal]
    crossed = {numbers(step.to)[0]: step for step in steps if step.crosses}
    if sorted(crossed) != list(range(start[0] + 1, goal[0] + 1)):
        return None
    first = crossed.get(start[0] + 1)
    if first is not None and start > numbers(first.last):
        return None  # it claims a version that never was
    return tuple(steps)


def _steps(kind: Kind) -> list[Step]:
    return sorted((one for one in STEPS if one.kind == kind), key=lambda one: numbers(one.to))


def speaks(kind: Kind, spoken: str) -> str:
    """Which versions of an interface weft understands, in words: ``2.0 to 2.3, and 1.0 to 1.4``."""
    texts = [_span(spoken)]
    wanted = numbers(spoken)[0]
    for step in reversed(_steps(kind)):
        if step.crosses and numbers(step.to)[0] == wanted:
            texts.append(f"{_span(step.last)} through an adapter")
            wanted -= 1
    return ", and ".join(texts)


def _span(last: str) -> str:
    major, minor = numbers(last)
    return f"{major}.0 to {last}" if minor else last


def adaptation(kind: Kind, built: str, spoken: str) -> str:
    """What to tell those who use a component of the former major; empty for all others."""
    until = [step.until for step in route(kind, built, spoken) or () if step.until is not None]
    if not until:
        return ""
    return (
        f"It was built for {kind} interface {built}; this weft speaks {spoken} and adapts it, "
        f"until {min(until).isoformat()} at least."
    )


def base(steps: Sequence[Step], current: type[Any]) -> type[Any]:
    """The class that a component inherits from before it is taken through these steps."""
    former = next((step.former for step in steps if step.crosses), "")
    found: type[Any] = _loaded(former) if former else current
    return found


def adapted(component: object, steps: Sequence[Step], current: type[Any]) -> object:
    """A component as what weft calls today.

    Args:
        component: as its factory made it.
        steps: those that :func:`route` gave for it.
        current: the interface that is spoken.

    Raises:
        TypeError: a step is not what it should be: what it gives does not fulfil the interface, or
            hides an ability that the component has.
    """
    made = component
    for step in steps:
        made = _loaded(step.adapter)(made)
    if not isinstance(made, current):
        raise TypeError(
            f"the steps from {type(component).__name__} end with {type(made).__name__}, "
            f"which is no {current.__module__}.{current.__name__}"
        )
    for ability in _abilities(current):
        # A scheduler's jobs would be left behind in silence if Lasting were lost on the way.
        if isinstance(component, ability) and not isinstance(made, ability):
            raise TypeError(
                f"the steps from {type(component).__name__} hide that it is {ability.__name__}"
            )
    return made


def _abilities(current: type[Any]) -> Iterator[type[Any]]:
    """The abilities that the module of an interface has beside it."""
    module = import_module(current.__module__)
    for name in getattr(module, "__all__", ()):
        found = getattr(module, name)
        if inspect.isabstract(found) and found is not current:
            yield found


def _loaded(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)
