"""The survey's report as one HTML page: tables, and plots drawn here as SVG.

The page asks nothing of the network, follows the reader's choice of dark or light, and says in
words and numbers what it shows in colour.
"""

import math
from collections.abc import Iterable, Sequence
from html import escape

from survey_tools import LOOSE, Report, share

STYLE = """
:root { color-scheme: light dark; --paper: #fbfaf7; --ink: #1d2329; --quiet: #626b75; --line: #dfdcd3;
  --panel: #ffffff; --mark: #1f6f8b; --soft: #1f6f8b26; --warm: #b4541a; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #14181c; --ink: #e6e8ea; --quiet: #9aa5b1; --line: #2c343c; --panel: #1b2127; --mark: #6cc3dd; --soft: #6cc3dd2e; --warm: #f0a067; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 70rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; }
h2 { font-size: 1.2rem; margin: 0 0 .25rem; }
p { margin: .25rem 0 .9rem; } .quiet { color: var(--quiet); }
code { font: .88em ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: break-word; }
section, .tile { background: var(--panel); border: 1px solid var(--line); border-radius: 10px; }
section { padding: 1.25rem 1.4rem; margin-top: 1.25rem; }
.tiles { display: grid; gap: .75rem; grid-template-columns: repeat(4, 1fr);
  margin-top: 1.5rem; padding: 0; }
.tile { padding: .8rem 1rem; display: flex; flex-direction: column-reverse; margin: 0; }
.tile dd { margin: 0; font-size: 1.55rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.tile dt { color: var(--quiet); font-size: .85rem; }
.pair { display: grid; gap: 1.25rem; grid-template-columns: repeat(auto-fit,
  minmax(min(100%, 25rem), 1fr)); }
.pair > section { min-width: 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th { text-align: left; font-weight: 600; color: var(--quiet); font-size: .82rem; }
th, td { padding: .28rem .7rem .28rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th.n, td.n { padding: .28rem 0 .28rem .9rem; } tr:last-child td { border-bottom: 0; }
.n + td:not(.n) { padding-left: .9rem; } code + code { margin-left: .6em; }
@media (max-width: 45rem) { .tiles { grid-template-columns: repeat(2, 1fr); } }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.bar { width: 30%; min-width: 3rem; padding-top: .55rem; } td.bar i { display: block; height: .7rem; min-width: 1px;
  background: var(--mark); border-radius: 2px; }
figure { margin: 0; }
svg { display: block; width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg text { fill: var(--quiet); } svg .grid { stroke: var(--line); stroke-width: 1; }
svg .column { fill: var(--mark); } svg .value { fill: var(--ink); }
svg .dot { fill: var(--soft); stroke: var(--mark); stroke-width: 1; }
svg .named { fill: var(--warm); stroke: var(--warm); } svg .name { fill: var(--ink);
  stroke: var(--panel); stroke-width: 3px; paint-order: stroke; }
details { margin-top: .5rem; } summary { cursor: pointer; color: var(--quiet); }
ul { margin: .3rem 0 0; padding-left: 1.1rem; } li { margin: .2rem 0; }
"""


def page(found: Report) -> str:
    """The whole page."""
    title = "A survey of Python's standard library"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p class="quiet">Python {escape(found["python"])}, {_code(found["root"])}</p>
{_tiles(found)}
{_packages(found)}
<div class="pair">
{_complexities(found)}
{_scatter(found)}
</div>
<div class="pair">
{_imported(found)}
{_hardest(found)}
</div>
{_cycles(found)}
<div class="pair">
{_builtins(found)}
{_oddities(found)}
</div>
</main>
</body>
</html>
"""


# ------------------------------------------------------------------------------------- the sections


def _tiles(found: Report) -> str:
    totals = found["totals"]
    tiles = [
        ("packages", f"{len(found['packages']):,}"),
        ("modules", f"{totals['modules']:,}"),
        ("lines", f"{totals['lines']:,}"),
        ("functions", f"{totals['functions']:,}"),
        ("classes", f"{totals['classes']:,}"),
        ("documented", share(totals["documented"], totals["documentable"])),
        ("imports among them", f"{found['links']['edges']:,}"),
        ("import cycles", f"{len(found['links']['cycles']):,}"),
    ]
    inner = "".join(f'<div class="tile"><dt>{n}</dt><dd>{v}</dd></div>' for n, v in tiles)
    return f'<dl class="tiles">{inner}</dl>'


def _packages(found: Report) -> str:
    packages = sorted(found["packages"], key=lambda p: (-p["lines"], p["name"]))
    most = max((package["lines"] for package in packages), default=1)
    rows = [
        [
            _code(package["name"]) if package["name"] != LOOSE else escape(LOOSE),
            _bar(package["lines"], most),
            _number(package["lines"]),
            _number(package["modules"]),
            _number(package["classes"]),
            _number(package["functions"]),
            _ratio(package["complexity"], package["functions"]),
            share(package["documented"], package["documentable"]),
            _times(package["bytes"], package["compressed"]),
        ]
        for package in packages
    ]
    heads = ["package", "", "lines", "modules", "classes", "functions"]
    heads += ["mean ways", "documented", "shrinks"]
    return _section(
        "Packages",
        "The largest first. Mean ways are those through a function, its cyclomatic complexity; "
        "documented are the modules, public classes and public functions with a docstring; shrinks "
        "says how many times smaller gzip makes the sources.",
        _table(heads, rows, left=(0,), bars=(1,)),
    )


def _complexities(found: Report) -> str:
    counts = {int(value): count for value, count in found["complexity"].items()}
    bins: list[tuple[str, int]] = []
    low = 1
    while counts and low <= max(counts):
        high = low if low < 3 else 2 * low - 2
        label = str(low) if high == low else f"{low}–{high}"
        bins.append((label, sum(n for value, n in counts.items() if low <= value <= high)))
        low = high + 1
    return _section(
        "How complex functions are",
        "Functions by the number of ways that lead through them. The scale is logarithmic.",
        columns(bins, "number of functions, by ways through them"),
    )


def _scatter(found: Report) -> str:
    points = [(name, lines, hardest) for name, _, lines, _, hardest in found["modules"]]
    return _section(
        "Long modules and tangled functions",
        "Each dot is a module: its lines, and the ways through its most complex function. "
        "Both scales are logarithmic.",
        scatter([p for p in points if p[1] and p[2]], ("lines", "ways")),
    )


def _imported(found: Report) -> str:
    ranked = found["links"]["fan_in"][:20]
    most = max((count for _, count in ranked), default=1)
    rows = [[_code(name), _bar(count, most), _number(count)] for name, count in ranked]
    return _section(
        "Most imported",
        "Modules by how many others import them.",
        _table(["module", "", "imported by"], rows, left=(0,), bars=(1,)),
    )


def _hardest(found: Report) -> str:
    rows = [
        [_code(f"{f['module']}.{f['name']}"), _number(f["line"]), _number(f["complexity"])]
        for f in found["hardest"][:20]
    ]
    return _section(
        "Most ways through one function",
        "Each if, loop, handler, condition and comprehension adds a way.",
        _table(["function", "line", "ways"], rows, left=(0,)),
    )


def _cycles(found: Report) -> str:
    cycles, hidden = found["links"]["cycles"], found["links"]["hidden_cycles"]
    rows = [
        [_number(len(group)), " ".join(_code(name) for name in group[:12]) + _more(group[12:])]
        for group in cycles
    ]
    largest = max((len(group) for group in hidden), default=0)
    return _section(
        "Import cycles",
        "Groups of modules that import one another while they are loaded. "
        f"With the imports inside functions the largest group would have {largest:,} modules: "
        "what is imported late is often imported late for a reason.",
        _table(["modules", ""], rows, left=(1,)),
    )


def _builtins(found: Report) -> str:
    most = max((count for _, count in found["builtins"]), default=1)
    rows = [[_code(n), _bar(count, most), _number(count)] for n, count in found["builtins"][:15]]
    return _section(
        "Most used built-in names",
        "How often they are read, in all modules.",
        _table(["name", "", "uses"], rows, left=(0,), bars=(1,)),
    )


def _oddities(found: Report) -> str:
    same = "".join(
        f"<li>{' '.join(_code(name) for name in group)}</li>" for group in found["duplicates"]
    )
    broken = "".join(
        f"<li>{_code(item['module'])}: {escape(item['problem'])}</li>" for item in found["unparsed"]
    )
    return _section(
        "Oddities",
        f"{len(found['duplicates'])} groups of identical files; "
        f"{len(found['unparsed'])} files that do not parse, mostly on purpose.",
        _fold("Identical files", same) + _fold("Files that do not parse", broken),
    )


# ------------------------------------------------------------------------------------- small parts


def _section(title: str, text: str, inner: str) -> str:
    return f'<section><h2>{title}</h2><p class="quiet">{text}</p>{inner}</section>'


def _table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    left: Sequence[int],
    bars: Sequence[int] = (),
) -> str:
    def kind(column: int) -> str:
        return ' class="bar"' if column in bars else "" if column in left else ' class="n"'

    top = "".join(f'<th{kind(i)} scope="col">{head}</th>' for i, head in enumerate(heads))
    body = "".join(
        "<tr>" + "".join(f"<td{kind(i)}>{cell}</td>" for i, cell in enumerate(row)) + "</tr>\n"
        for row in rows
    )
    return (
        f'<div class="wide"><table><thead><tr>{top}</tr></thead>\n'
        f"<tbody>\n{body}</tbody></table></div>"
    )


def _bar(value: float, most: float) -> str:
    return f'<i style="width:{100 * value / most:.1f}%" aria-hidden="true"></i>'


def _code(text: str) -> str:
    # A long dotted name may be broken behind its dots.
    return f"<code>{escape(text).replace('.', '.<wbr>')}</code>"


def _number(value: int) -> str:
    return f"{value:,}"


def _ratio(part: float, whole: float) -> str:
    return f"{part / whole:.1f}" if whole else "–"


def _times(part: float, whole: float) -> str:
    return f"{part / whole:.1f} ×" if whole else "–"


def _more(rest: Sequence[str]) -> str:
    if not rest:
        return ""
    return _fold(f"and {len(rest)} more", " ".join(_code(name) for name in rest))


def _fold(title: str, inner: str) -> str:
    if not inner:
        return ""
    kind = f"<ul>{inner}</ul>" if inner.startswith("<li>") else f"<p>{inner}</p>"
    return f"<details><summary>{title}</summary>{kind}</details>"


# ------------------------------------------------------------------------------------- the plots

WIDTH, HEIGHT = 560, 330
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 18, 40


def columns(bars: Sequence[tuple[str, int]], label: str) -> str:
    """A column for each bar, on a logarithmic scale, with its value above it."""
    most = max((value for _, value in bars), default=1)
    step = (WIDTH - LEFT - RIGHT) / max(len(bars), 1)
    parts = [_horizontal_grid(0.5, most)]
    for number, (name, value) in enumerate(bars):
        x, y = LEFT + number * step, _down(value, 0.5, most) if value else HEIGHT - BOTTOM
        middle = x + step / 2
        parts.append(
            f'<rect class="column" x="{x + step * 0.12:.1f}" y="{y:.1f}" width="{step * 0.76:.1f}" '
            f'height="{HEIGHT - BOTTOM - y:.1f}" rx="2"/>'
            f'<text class="value" x="{middle:.1f}" y="{y - 5:.1f}" text-anchor="middle">'
            f"{value:,}</text>"
            f'<text x="{middle:.1f}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{name}</text>'
        )
    parts.append(_below("ways through a function"))
    return _svg("".join(parts), label)


def scatter(points: Sequence[tuple[str, int, int]], axes: tuple[str, str]) -> str:
    """A dot for each point, both scales logarithmic; the outermost are named."""
    wide = max((x for _, x, _ in points), default=1)
    high = max((y for _, _, y in points), default=1)
    outermost = _outermost(points)
    named = {name for name, _, _ in outermost}
    parts = [_horizontal_grid(0.8, high), _vertical_grid(0.8, wide)]
    for name, x, y in sorted(points, key=lambda point: point[0] in named):
        kind = "dot named" if name in named else "dot"
        title = f"<title>{escape(name)}: {x:,} {axes[0]}, {y:,} {axes[1]}</title>"
        parts.append(
            f'<circle class="{kind}" cx="{_right(x, 0.8, wide):.1f}" cy="{_down(y, 0.8, high):.1f}" '
            f'r="{3.2 if name in named else 2.4}">{title}</circle>'
        )
    parts.append(_names([(n, _right(x, 0.8, wide), _down(y, 0.8, high)) for n, x, y in outermost]))
    parts += [_below(f"{axes[0]} of the module"), f'<text x="8" y="12">{axes[1]}</text>']
    return _svg("".join(parts), f"modules by {axes[0]} and {axes[1]}")


def _outermost(points: Sequence[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """The most complex and the longest, by turns."""
    hardest = sorted(points, key=lambda p: (-p[2], p[0]))[:4]
    longest = sorted(points, key=lambda p: (-p[1], p[0]))[:4]
    by_turns = [point for pair in zip(hardest, longest, strict=True) for point in pair]
    return list(dict.fromkeys(by_turns))


def _names(dots: Sequence[tuple[str, float, float]]) -> str:
    """The names of some dots, but for those that would stand on another name."""
    taken: list[tuple[float, float, float]] = []
    parts = []
    for name, x, y in dots:
        length = 6.4 * len(name) + 7
        fits = x + length < WIDTH
        start, shift, anchor = (x, 7, "start") if fits else (x - length, -7, "end")
        end = start + length
        if any(abs(y - v) < 14 and start < last and first < end for first, last, v in taken):
            continue
        taken.append((start, end, y))
        parts.append(
            f'<text class="name" x="{x + shift:.1f}" y="{y + 4:.1f}" text-anchor="{anchor}">'
            f"{escape(name)}</text>"
        )
    return "".join(parts)


def _svg(inner: str, label: str) -> str:
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">'
        f"{inner}</svg></figure>"
    )


def _right(value: float, least: float, most: float) -> float:
    """Where a value stands from left to right, on a logarithmic scale."""
    return LEFT + (WIDTH - LEFT - RIGHT) * _part(value, least, most)


def _down(value: float, least: float, most: float) -> float:
    """Where a value stands from top to bottom, on a logarithmic scale."""
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * _part(value, least, most)


def _part(value: float, least: float, most: float) -> float:
    return math.log(value / least) / math.log(max(most, 2 * least) / least)


def _powers(most: float) -> list[int]:
    return [10**power for power in range(int(math.log10(max(most, 1))) + 1)]


def _horizontal_grid(least: float, most: float) -> str:
    return "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{value:,}</text>'
        for value in _powers(most)
        for y in [_down(value, least, most)]
    )


def _vertical_grid(least: float, most: float) -> str:
    return "".join(
        f'<line class="grid" y1="{TOP}" y2="{HEIGHT - BOTTOM}" x1="{x:.1f}" x2="{x:.1f}"/>'
        f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{value:,}</text>'
        for value in _powers(most)
        for x in [_right(value, least, most)]
    )


def _below(text: str) -> str:
    middle = (LEFT + WIDTH - RIGHT) / 2
    return f'<text x="{middle:.1f}" y="{HEIGHT - 6}" text-anchor="middle">{escape(text)}</text>'
