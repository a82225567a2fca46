"""What a benchmark case is: contestants, sizes, a function that measures, and limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

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
    """The middle of what a case found, for its bars to look at."""

    def __init__(self, samples: Mapping[tuple[str, int], Sequence[Sample]]) -> None:
        self._samples = samples

    def __call__(self, contestant: str, size: int, column: str) -> float | None:
        """The median of a column; ``None`` where it was not measured."""
        values = [
            sample[column]
            for sample in self._samples.get((contestant, size), ())
            if column in sample
        ]
        return median(values) if values else None

    def ratio(self, above: tuple[str, int, str], below: tuple[str, int, str]) -> float | None:
        """The median of the ratios of each round: what befell both in a round is in neither."""
        ratios = [
            one[above[2]] / other[below[2]]
            for one, other in zip(
                self._samples.get(above[:2], ()), self._samples.get(below[:2], ()), strict=False
            )
            if above[2] in one and other.get(below[2])
        ]
        return median(ratios) if ratios else None


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
