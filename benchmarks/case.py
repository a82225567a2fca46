"""What a benchmark case is: contestants, sizes, a function that measures, and limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Bar", "Case", "Column", "Medians", "Sample"]

Sample = dict[str, float]
"""What one measurement found, by column."""


@dataclass(frozen=True)
class Column:
    """One measured value.

    Attributes:
        key: its name in a sample.
        head: what the table calls it, with its unit.
        digits: how many figures are shown behind the point.
    """

    key: str
    head: str
    digits: int = 1


class Medians:
    """The medians of a case, for its bars to look at."""

    def __init__(self, values: Mapping[tuple[str, int, str], float]) -> None:
        self._values = values

    def __call__(self, contestant: str, size: int, column: str) -> float | None:
        """A median; ``None`` where it was not measured."""
        return self._values.get((contestant, size, column))

    def ratio(self, above: tuple[str, int, str], below: tuple[str, int, str]) -> float | None:
        """One median divided by another; ``None`` where either was not measured."""
        top, bottom = self._values.get(above), self._values.get(below)
        return None if top is None or not bottom else top / bottom


@dataclass(frozen=True)
class Bar:
    """Something that a figure is held against. It is reported, and decides nothing.

    Attributes:
        what: the figure, in words.
        value: finds it in the medians; ``None`` where it was not measured.
        must, goal: what it may never be worse than, and what a release should show.
        unit: written behind the figure.
        low: whether less is better.
    """

    what: str
    value: Callable[[Medians], float | None]
    must: float
    goal: float | None = None
    unit: str = "×"
    low: bool = False

    def reached(self, value: float, limit: float) -> bool:
        """Whether a figure is as good as a limit."""
        return value <= limit if self.low else value >= limit


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes:
        name, title: what it is called on the command line, and in its heading.
        about: what is done and what is counted, for the reader of the table.
        measure: measures one contestant at one size, in a process that does nothing else.
        contestants: who takes part; the first is what the others are compared with.
        extra: who takes part only with ``--extra``.
        sizes, quick: the sizes measured, and those of a quick run.
        columns: what is shown; the first is the one that ratios are made of.
        most: the largest size for contestants that would take minutes at the largest.
        bars: what the figures are held against.
        scripts: for contestants that are a program of their own, its text; prints a JSON object.
        warm: whether each runs once unmeasured, so that byte code is on disk.
        seconds: how long one measurement may take.
    """

    name: str
    title: str
    about: str
    contestants: Sequence[str]
    sizes: Sequence[int]
    quick: Sequence[int]
    columns: Sequence[Column]
    measure: Callable[[str, int], Sample] | None = None
    extra: Sequence[str] = ()
    most: Mapping[str, int] = field(default_factory=dict)
    bars: Sequence[Bar] = ()
    scripts: Mapping[str, str] = field(default_factory=dict)
    warm: bool = False
    seconds: float = 120.0
