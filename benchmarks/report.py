"""Tables, in Markdown, which terminals and pages both show."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.case import Column, Medians, Sample
from benchmarks.cases import case_named
from benchmarks.contestants import DISTRIBUTIONS
from benchmarks.runner import Outcome

__all__ = ["as_data", "facts", "facts_lines", "from_data", "tables"]

_FINE = 10.0


def facts() -> dict[str, Any]:
    """The machine, and what runs on it."""
    versions = {}
    for name in DISTRIBUTIONS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    try:
        usable = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        usable = os.cpu_count() or 1
    return {
        "cores": usable,
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {sys.version.split()[0]}",
        "versions": versions,
        "load": [round(part, 2) for part in os.getloadavg()],
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def facts_lines(seen: dict[str, Any]) -> Iterator[str]:
    """The facts as a list."""
    yield f"- {seen['cores']} cores ({seen['processor']}), {seen['system']}, {seen['python']}"
    yield "- " + ", ".join(f"{name} {number}" for name, number in seen["versions"].items())
    yield f"- load average at the start: {', '.join(map(str, seen['load']))}"


def tables(outcome: Outcome) -> Iterator[str]:
    """A case's table, its bars and who is missing."""
    case = outcome.case
    yield f"## {case.title}"
    yield ""
    yield f"{case.about} Median of {outcome.rounds} rounds (least–most)."
    yield ""
    found = Medians(outcome.samples)
    several = len(outcome.sizes) > 1
    heads = ["", *(["size"] if several else [])]
    heads += [*(column.head for column in case.columns), "ratio"]
    yield f"| {' | '.join(heads)} |"
    yield f"|---{'|--:' * (len(heads) - 1)}|"
    for size in outcome.sizes:
        key = case.columns[0].key
        base = (case.contestants[0], size, key)
        for contestant, there in outcome.samples:
            if there != size:
                continue
            samples = outcome.samples[contestant, size]
            cells = [contestant, *([f"{size:,}"] if several else [])]
            cells += [_cell(samples, column) for column in case.columns]
            cells.append(_times(found.ratio((contestant, size, key), base)))
            yield f"| {' | '.join(cells)} |"
    yield ""
    for contestant, why in outcome.absent.items():
        yield f"Not measured: {contestant}: {why}."
    unmeasured = 0
    for bar in case.bars:
        value = bar.value(found)
        if value is None:
            unmeasured += 1
            continue
        said = [f"must {_limit(bar.must, bar.unit)}: {_yes(bar.reached(value, bar.must))}"]
        if bar.goal is not None:
            said.append(f"goal {_limit(bar.goal, bar.unit)}: {_yes(bar.reached(value, bar.goal))}")
        yield f"- {bar.what}: **{_number(value)}{bar.unit}** ({', '.join(said)})"
    if unmeasured:
        yield f"- limits at sizes, or of contestants, that were left out: {unmeasured}"
    yield ""


def _cell(samples: Sequence[Sample], column: Column) -> str:
    values = [sample[column.key] for sample in samples if column.key in sample]
    if not values:
        return "–"
    middle, least, most = (
        f"{value:,.{column.digits}f}" for value in (median(values), min(values), max(values))
    )
    return f"{middle} ({least}–{most})" if least != most else middle


def _times(ratio: float | None) -> str:
    return "–" if ratio is None else f"{_number(ratio)}×"


def _number(value: float) -> str:
    return f"{value:,.2f}" if value < _FINE else f"{value:,.0f}"


def _limit(value: float, unit: str) -> str:
    return f"{value:g}{unit}"


def _yes(reached: bool) -> str:
    return "reached" if reached else "NOT reached"


def as_data(outcome: Outcome) -> dict[str, Any]:
    """Everything that was measured, for a file."""
    return {
        "case": outcome.case.name,
        "rounds": outcome.rounds,
        "samples": [
            {"contestant": contestant, "size": size, "samples": samples}
            for (contestant, size), samples in outcome.samples.items()
        ],
        "absent": outcome.absent,
    }


def from_data(data: Mapping[str, Any]) -> Outcome:
    """What a file holds of a case."""
    outcome = Outcome(case_named(data["case"]), [], data["rounds"], absent=data["absent"])
    for entry in data["samples"]:
        outcome.samples[entry["contestant"], entry["size"]] = entry["samples"]
    outcome.sizes = sorted({size for _, size in outcome.samples})
    return outcome
