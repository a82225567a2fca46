"""Pages about weft itself: its rooms, floor by floor, and the states of a task."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import weft
from weft.values.states import FINAL, MOVES, TaskState

__all__ = ["floors", "moves", "states"]

ROOT: Final = Path(__file__).resolve().parents[2]
_PACKAGE: Final = Path(weft.__file__).parent


def floors(_: str = "") -> str:
    """Every module of weft with its first line, by the floors that the import contract names."""
    rows = []
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = next(one for one in contracts if one["id"] == "floors")["layers"]
    for number, layer in enumerate(reversed(layers), start=1):
        for name in layer.replace("|", ":").split(":"):
            for file in _modules(name.strip(" ()")):
                dotted = ".".join(file.relative_to(_PACKAGE).with_suffix("").parts)
                said = _first_line(file)
                rows.append(f"| {number} | `{dotted.removesuffix('.__init__')}` | {said} |")
    return "\n".join(["| floor | module | |", "| --- | --- | --- |", *rows])


def _modules(name: str) -> Iterator[Path]:
    if (file := _PACKAGE / f"{name}.py").is_file():
        yield file
    for file in sorted((_PACKAGE / name).glob("*.py")):
        if file.name != "__init__.py" or len(file.read_text(encoding="utf-8").splitlines()) > 10:
            yield file


def _first_line(file: Path) -> str:
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(text.partition("\n\n")[0].split()).replace("``", "`").replace("|", "\\|")


def moves(_: str = "") -> str:
    """Which state may follow which."""
    rows = [
        f"| `{state.label}` | {', '.join(f'`{after.label}`' for after in sorted(next_))} |"
        for state, next_ in MOVES.items()
        if next_
    ]
    return "\n".join(["| from | to |", "| --- | --- |", *rows])


# Sizes of the drawing: a box, the gap between two, and the room above them.
_WIDE: Final = 104
_HIGH: Final = 34
_GAP: Final = 36
_TOP: Final = 70


def states(_: str = "") -> str:
    """The states and the moves between them, drawn."""
    way = [state for state in TaskState if state not in FINAL]
    left = {state: 12 + index * (_WIDE + _GAP) for index, state in enumerate(way)}
    width = 12 + len(way) * (_WIDE + _GAP)
    parts = [_box(state.label, left[state], _TOP) for state in way]
    for before in way:
        for after in sorted(MOVES[before] - FINAL):
            parts.append(_arrow(left[before], left[after]))  # noqa: PERF401 - two loops read better
    begin = (width - len(FINAL) * (_WIDE + _GAP)) // 2
    parts.append(_brace(12, width - _GAP))
    parts += [
        _box(state.label, begin + index * (_WIDE + _GAP), _TOP + 130, final=True)
        for index, state in enumerate(sorted(FINAL))
    ]
    return (
        f'<svg class="weft-states" viewBox="0 0 {width} {_TOP + 176}" role="img" '
        'aria-label="The states of a task" xmlns="http://www.w3.org/2000/svg">'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="currentColor"/></marker>'
        "</defs>" + "".join(parts) + "</svg>"
    )


def _box(text: str, x: int, y: int, *, final: bool = False) -> str:
    width = 2 if final else 1
    return (
        f'<rect x="{x}" y="{y}" width="{_WIDE}" height="{_HIGH}" rx="6" fill="none" '
        f'stroke="currentColor" stroke-width="{width}"/>'
        f'<text x="{x + _WIDE // 2}" y="{y + 22}" text-anchor="middle" fill="currentColor" '
        f'font-size="14">{text}</text>'
    )


def _arrow(before: int, after: int) -> str:
    """From box to box: straight to the next, in a bow over others, below on the way back."""
    if after - before == _WIDE + _GAP:
        y = _TOP + _HIGH // 2
        return _path(f"M{before + _WIDE} {y} {after - 2} {y}")
    middle = _WIDE // 2
    steps = abs(after - before) // (_WIDE + _GAP)
    if after > before:
        start, end = before + middle + 10, after + middle - 10
        height = _TOP - 14 - 14 * steps
        return _path(f"M{start} {_TOP} C{start} {height} {end} {height} {end} {_TOP - 2}")
    low = _TOP + _HIGH
    start, end = before + middle - 10, after + middle + 10 * (3 - steps)
    depth = low + 14 + 14 * steps
    return _path(f"M{start} {low} C{start} {depth} {end} {depth} {end} {low + 2}")


def _brace(left: int, right: int) -> str:
    y, middle = _TOP + _HIGH + 50, (left + right) // 2
    return (
        f'<path d="M{left} {y - 8} v8 H{right} v-8" fill="none" stroke="currentColor"/>'
        + _path(f"M{middle} {y} V{_TOP + 127}")
        + f'<text x="{middle + 10}" y="{y + 28}" fill="currentColor" font-size="13">'
        "from each of them</text>"
    )


def _path(d: str) -> str:
    return f'<path d="{d}" fill="none" stroke="currentColor" marker-end="url(#tip)"/>'
