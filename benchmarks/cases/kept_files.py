"""Files that are kept already: what it costs to give each to a task."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from benchmarks.case import Bar, Case, Column, Sample
from benchmarks.measuring import span

_KEPT, _LINK, _COPY = "weft, kept", "stdlib os.link", "stdlib shutil.copy"
_CONTENT = b"x" * 1000


def measure(contestant: str, size: int) -> Sample:
    folder = Path("kept-files").absolute()
    (folder / "tasks").mkdir(parents=True)
    give = _giver(contestant, folder, size)
    with span() as seen:
        for number in range(size):
            give(number, f"{folder}/tasks/{number}")
    return {"cpu": 1e6 * seen.cpu / size, "wall": 1e6 * seen.wall / size}


def _giver(contestant: str, folder: Path, size: int) -> Callable[[int, str], object]:
    """What gives a file to a task, once everything is kept that is to be."""
    if contestant in {_LINK, _COPY}:
        sources = []
        for number in range(size):
            source = folder / f"source-{number}"
            source.write_bytes(_CONTENT)
            sources.append(str(source))
        how: Callable[[str, str], object] = os.link if contestant == _LINK else shutil.copy
        return lambda number, target: how(sources[number], target)

    from weft.data.cache import Cache

    cache = Cache(folder / "cache")

    def fetch(path: Path) -> None:
        path.write_bytes(_CONTENT)

    def give(number: int, target: str) -> None:
        cache.get(f"https://host/data/{number}.txt", f'"{number:x}"', target, fetch)

    for number in range(size):
        give(number, f"{folder}/before-{number}")
    return give


CASE = Case(
    name="kept_files",
    title="Files that are kept",
    about=(
        "Each of so many tasks gets a file of its own, of 1 kB, that is in the cache; without the "
        "question to a server whether it is still the same."
    ),
    contestants=(_KEPT, _LINK, _COPY),
    sizes=(10_000,),
    quick=(500,),
    columns=(Column("cpu", "CPU µs/file"), Column("wall", "µs/file")),
    measure=measure,
    bars=(
        Bar(
            "CPU per file that is kept",
            lambda of: of(_KEPT, 10_000, "cpu"),
            must=100,
            goal=50,
            unit=" µs",
            low=True,
        ),
    ),
)
