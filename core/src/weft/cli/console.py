"""How the commands speak: one console for answers, one for errors, and a few shapes.

Colours appear only on a terminal, and never where ``NO_COLOR`` is set. Where the output is not a
terminal lines are not broken, so that they can be searched.
"""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import IO, Any, Final

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from weft.errors import WeftError
from weft.values.plugin import Level
from weft.values.problem import Problem

__all__ = [
    "columns",
    "console",
    "counted",
    "level_style",
    "listed",
    "show_error",
    "show_json",
    "show_mark",
    "show_problem",
    "show_remedy",
    "symbol",
    "write",
]

_WIDE: Final = 10_000


def console(stream: IO[str] | None = None) -> Console:
    """A console that writes to standard output, or to another stream."""
    stream = stream if stream is not None else sys.stdout
    plain = not stream.isatty() and "COLUMNS" not in os.environ
    made = Console(file=stream, highlight=False, width=_WIDE if plain else None, markup=False)
    if made.no_color:
        # Whoever wants no colours seldom wants bold letters in a log file.
        return Console(
            file=stream, highlight=False, width=made.width, markup=False, color_system=None
        )
    return made


def columns(*heads: str) -> Table:
    """A table without lines, whose last column takes what room there is."""
    table = Table(
        box=None,
        show_header=bool(heads),
        header_style="dim",
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for number, head in enumerate(heads, 1):
        last = number == len(heads)
        table.add_column(head.upper(), overflow="fold", no_wrap=not last)
    return table


def write(what: RenderableType, out: Console, indent: int = 0) -> None:
    """Write something, indented, without blanks at the ends of lines."""
    with out.capture() as capture:
        out.print(Padding(what, (0, 0, 0, indent), expand=False))
    for line in capture.get().splitlines():
        out.file.write(line.rstrip() + "\n")


def level_style(level: str) -> str:
    """The colour of a level."""
    return {
        Level.PROVEN: "green",
        Level.SUPPORTED: "green",
        Level.TESTED: "cyan",
        Level.EXPERIMENTAL: "yellow",
    }.get(Level(level), "dim")


def symbol(severity: str) -> Text:
    """The mark at the start of a finding: ``ok``, ``warning`` or ``error``."""
    mark, style = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "error": ("✗", "bold red")}[
        severity
    ]
    return Text(mark, style=style)


def show_mark(severity: str, text: str | Text, out: Console, indent: int = 0) -> None:
    """Write a mark and a text beside it, whose lines stay beside it."""
    _beside(symbol(severity), text if isinstance(text, Text) else Text(text), out, indent)


def show_remedy(text: str, out: Console, indent: int = 2) -> None:
    """Write what to do about something."""
    _beside(Text("→", style="cyan"), Text(text), out, indent)


def _beside(mark: Text, text: Text, out: Console, indent: int) -> None:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column()
    # A path that is longer than a line goes on in the next one; nothing of it is left out.
    grid.add_column(overflow="fold")
    grid.add_row(mark, text)
    write(grid, out, indent)


def show_problem(problem: Problem, out: Console, indent: int = 2) -> None:
    """Write a problem: its place, what it is, and what mends it."""
    head = Text.assemble(
        symbol(problem.severity),
        " ",
        (problem.place or "the whole", "bold"),
        ("  " + problem.code, "dim"),
    )
    write(head, out, indent)
    write(Text(problem.what), out, indent + 2)
    if problem.remedy:
        show_remedy(problem.remedy, out, indent + 2)


def show_error(trouble: WeftError, stream: IO[str] | None = None) -> None:
    """Write an error as what happened, why, and what to do; to standard error."""
    out = console(stream if stream is not None else sys.stderr)
    out.print(Text.assemble(("Error: ", "bold red"), trouble.what))
    if trouble.why:
        out.print(Text.assemble(("Why: ", "bold"), trouble.why))
    if trouble.todo:
        out.print(Text.assemble(("Do: ", "bold cyan"), trouble.todo))
    out.print(Text(f"({trouble.code})", style="dim"))


def show_json(data: Any) -> None:
    """Write data for programs: JSON, two blanks of indent, to standard output."""
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False, default=str) + "\n")


def counted(number: int, noun: str) -> str:
    """A number with its noun: ``1 problem``, ``2 problems``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(words: Iterable[str], most: int = 8) -> str:
    """Words in a row; of many, the first few."""
    known: Sequence[str] = list(words)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more
