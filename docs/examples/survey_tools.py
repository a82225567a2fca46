"""What the survey of a source tree computes: plain functions on plain data, no trace of weft.

Everything here can be called by hand, tested alone, and imported by a worker in another process.
A ``Tally`` is what is known about some modules. Two tallies merge into one, and the order in which
many of them are merged makes no difference; that is what lets the survey add them up as a tree, in
whatever order the parts become ready.
"""

import ast
import builtins
import gzip
import hashlib
import re
import shlex
import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

VERSION = "1"
"""Part of the memory key of results: raise it when the same source should give another one."""

LOOSE = "(single modules)"
"""The name under which the modules that stand beside the packages are surveyed together."""

CHUNK = 600_000
"""Bytes of source that one task measures."""

KEPT = 25
"""How many of the most complex functions are kept."""

# A test suite holds doubtful escapes on purpose; to parse them is not to approve of them.
PARSED_AS = "<surveyed>"
warnings.filterwarnings("ignore", module=re.escape(PARSED_AS))


# --------------------------------------------------------------------------------- what is surveyed


@dataclass(frozen=True, slots=True)
class Source:
    """One file to be measured.

    Attributes:
        module: its dotted name, such as ``asyncio.events``.
        path: where it is.
        size: bytes.
        digest: SHA-256 of its contents, so that a changed file is not taken for the earlier one.
    """

    module: str
    path: str
    size: int
    digest: str


def package_names(root: Path) -> list[str]:
    """The folders of modules directly below ``root``, and ``LOOSE`` for what stands beside them."""
    folders = [entry for entry in root.iterdir() if entry.is_dir() and _is_package_name(entry.name)]
    names = sorted(folder.name for folder in folders if next(folder.rglob("*.py"), None))
    return [LOOSE, *names] if next(root.glob("*.py"), None) else names


def _is_package_name(name: str) -> bool:
    return name.isidentifier() and name not in ("__pycache__", "site_packages")


def sources_of(root: Path, package: str, limit: int | None = None) -> list[Source]:
    """The modules of one package, sorted by path; the first ``limit`` of them when it is given."""
    found = root.glob("*.py") if package == LOOSE else (root / package).rglob("*.py")
    paths = sorted(path for path in found if path.is_file() and "site-packages" not in path.parts)
    return [_source(root, path) for path in paths[:limit]]


def _source(root: Path, path: Path) -> Source:
    contents = path.read_bytes()
    return Source(
        module_name(root, path), str(path), len(contents), hashlib.sha256(contents).hexdigest()
    )


def module_name(root: Path, path: Path) -> str:
    """The dotted name of the module in ``path``, as seen from ``root``."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def is_too_much(sources: Sequence[Source]) -> bool:
    """Whether one task should not measure all of these."""
    return len(sources) > 1 and weight(sources) > CHUNK


def split(sources: Sequence[Source], depth: int) -> list[list[Source]]:
    """Cut what is too much for one task: by the sub-packages at ``depth``, or by size."""
    groups: dict[str, list[Source]] = defaultdict(list)
    for source in sources:
        parts = source.module.split(".")
        groups[parts[depth] if len(parts) > depth + 1 else ""].append(source)
    whole = [groups[name] for name in sorted(groups)] if len(groups) > 1 else [[s] for s in sources]
    return pack(whole)


def pack(groups: Iterable[Sequence[Source]]) -> list[list[Source]]:
    """Put neighbouring groups together while they hold less than ``CHUNK`` bytes."""
    packed: list[list[Source]] = []
    for group in groups:
        if packed and weight(packed[-1]) + weight(group) <= CHUNK:
            packed[-1].extend(group)
        else:
            packed.append(list(group))
    return packed


def weight(sources: Iterable[Source]) -> int:
    """Bytes of source in all of them."""
    return sum(source.size for source in sources)


# --------------------------------------------------------------------------------------- one module


@dataclass(frozen=True, slots=True)
class Function:
    """One function, and how many ways lead through it (its cyclomatic complexity)."""

    complexity: int
    name: str
    module: str
    line: int


@dataclass(frozen=True, slots=True)
class Module:
    """What was measured of one module.

    Attributes:
        name: its dotted name.
        package: the package it was surveyed with.
        lines: lines of its file.
        functions, classes: how many it defines, nested ones included.
        complexity: that of all its functions together; ``hardest`` is the largest of one.
        documentable, documented: the module, its public classes and functions; and those of them
            that have a docstring.
        imports: what is imported while the module is loaded, as ``a.b`` or ``a:b``; ``deferred`` is
            what is imported within functions, when they run.
        problem: why it could not be parsed, or an empty string.
    """

    name: str
    package: str
    lines: int
    functions: int = 0
    classes: int = 0
    complexity: int = 0
    hardest: int = 0
    documentable: int = 0
    documented: int = 0
    imports: tuple[str, ...] = ()
    deferred: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """What is known about some modules. ``merge`` makes one of two.

    Attributes:
        modules: sorted by name.
        hardest: the most complex functions, the hardest first, at most ``KEPT``.
        complexities: how many functions have each complexity.
        builtins: how often each built-in name is used.
    """

    modules: tuple[Module, ...] = ()
    hardest: tuple[Function, ...] = ()
    complexities: Mapping[int, int] = field(default_factory=dict)
    builtins: Mapping[str, int] = field(default_factory=dict)


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINITIONS = (*_FUNCTIONS, ast.ClassDef)
_BRANCHES = (
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ExceptHandler,
    ast.IfExp,
    ast.Assert,
    ast.match_case,
)
# Nodes below which nothing is counted; not to enter them halves the time.
_LEAVES = (
    ast.Constant,
    ast.expr_context,
    ast.operator,
    ast.cmpop,
    ast.unaryop,
    ast.boolop,
    ast.Pass,
    ast.Break,
)
_BUILTIN_NAMES = frozenset(name for name in dir(builtins) if not name.startswith("_"))


def measure(sources: Iterable[Source], package: str) -> Tally:
    """Parse and measure some modules."""
    return merge(*(measure_one(source, package) for source in sources))


def measure_one(source: Source, package: str) -> Tally:
    """Parse and measure one module. One that does not parse is counted too, with the reason."""
    contents = Path(source.path).read_bytes()
    lines = contents.count(b"\n") + (not contents.endswith(b"\n") and bool(contents))
    try:
        tree = ast.parse(contents, PARSED_AS)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        problem = f"{type(error).__name__}: {getattr(error, 'msg', None) or error}"
        return Tally(modules=(Module(source.module, package, lines, problem=problem),))
    return _Walk(source, package, lines).over(tree)


class _Walk:
    """One walk over a syntax tree, with a stack of its own: generated sources nest deeply."""

    def __init__(self, source: Source, package: str, lines: int) -> None:
        self.module, self.package, self.lines = source.module, package, lines
        self.base = source.module.split(".")
        if Path(source.path).name != "__init__.py":
            self.base = self.base[:-1]
        self.complexity: list[int] = []
        self.found: list[tuple[str, int]] = []
        self.classes = self.documentable = self.documented = 0
        self.imports: set[str] = set()
        self.deferred: set[str] = set()
        self.builtins: Counter[str] = Counter()

    def over(self, tree: ast.Module) -> Tally:
        """Walk, and say what was found."""
        self._document(tree)
        # A node, the number of the function it stands in (-1: none), and the names around it.
        stack: list[tuple[ast.AST, int, str]] = [(tree, -1, "")]
        while stack:
            node, function, scope = stack.pop()
            function, scope = self._look(node, function, scope)
            for name in node._fields:
                value = getattr(node, name, None)
                if isinstance(value, list):
                    stack.extend(
                        (item, function, scope) for item in value if isinstance(item, ast.AST)
                    )
                elif isinstance(value, ast.AST) and not isinstance(value, _LEAVES):
                    stack.append((value, function, scope))
        return self._tally()

    def _look(self, node: ast.AST, function: int, scope: str) -> tuple[int, str]:
        """Count one node; says which function and which scope its children stand in."""
        if isinstance(node, ast.Name):
            if node.id in _BUILTIN_NAMES and isinstance(node.ctx, ast.Load):
                self.builtins[node.id] += 1
        elif isinstance(node, _DEFINITIONS):
            return self._define(node, function, scope)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            (self.imports if function < 0 else self.deferred).update(self._imported(node))
        elif function >= 0:
            self.complexity[function] += _ways(node)
        return function, scope

    def _define(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, function: int, scope: str
    ) -> tuple[int, str]:
        inner = f"{scope}.{node.name}" if scope else node.name
        if function < 0 and not node.name.startswith("_"):
            self._document(node)
        if isinstance(node, ast.ClassDef):
            self.classes += 1
            return function, inner
        self.complexity.append(1)
        self.found.append((inner, node.lineno))
        return len(self.complexity) - 1, inner

    def _document(
        self, node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    ) -> None:
        self.documentable += 1
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            self.documented += isinstance(first.value.value, str)

    def _imported(self, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
        """What a statement imports: ``import a.b`` as ``a.b``, ``from a import b`` as ``a:b``."""
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
            return
        above = self.base[: len(self.base) - node.level + 1] if node.level else []
        origin = ".".join([*above, *([node.module] if node.module else [])])
        yield from (f"{origin}:{alias.name}" for alias in node.names)

    def _tally(self) -> Tally:
        functions = [
            Function(ways, name, self.module, line)
            for ways, (name, line) in zip(self.complexity, self.found, strict=True)
        ]
        module = Module(
            name=self.module,
            package=self.package,
            lines=self.lines,
            functions=len(functions),
            classes=self.classes,
            complexity=sum(self.complexity),
            hardest=max(self.complexity, default=0),
            documentable=self.documentable,
            documented=self.documented,
            imports=tuple(sorted(self.imports)),
            deferred=tuple(sorted(self.deferred - self.imports)),
        )
        return Tally(
            (module,), _hardest(functions), dict(Counter(self.complexity)), dict(self.builtins)
        )


def _ways(node: ast.AST) -> int:
    """How many ways one node adds to the function it stands in."""
    if isinstance(node, _BRANCHES):
        return 1
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    if isinstance(node, ast.comprehension):
        return 1 + len(node.ifs)
    return 0


# ------------------------------------------------------------------------------------- many modules


def merge(*tallies: Tally) -> Tally:
    """All that several tallies know, as one. Associative, and the order makes no difference."""
    complexities: Counter[int] = Counter()
    used: Counter[str] = Counter()
    for tally in tallies:
        complexities.update(tally.complexities)
        used.update(tally.builtins)
    return Tally(
        modules=tuple(
            sorted((m for tally in tallies for m in tally.modules), key=lambda m: m.name)
        ),
        hardest=_hardest(function for tally in tallies for function in tally.hardest),
        complexities=dict(sorted(complexities.items())),
        builtins=dict(sorted(used.items())),
    )


def _hardest(functions: Iterable[Function]) -> tuple[Function, ...]:
    return tuple(sorted(functions, key=lambda f: (-f.complexity, f.module, f.line, f.name))[:KEPT])


@dataclass(frozen=True, slots=True)
class Links:
    """Who imports whom, as far as both are in the survey.

    Attributes:
        edges: how many pairs there are.
        fan_in: modules with the number of modules that import them, the most imported first.
        fan_out: modules with the number of modules they import, likewise.
        cycles: groups of modules that import one another while they are loaded, the largest first.
        hidden_cycles: such groups when the imports inside functions count too.
    """

    edges: int
    fan_in: tuple[tuple[str, int], ...]
    fan_out: tuple[tuple[str, int], ...]
    cycles: tuple[tuple[str, ...], ...]
    hidden_cycles: tuple[tuple[str, ...], ...]


def link(tally: Tally) -> Links:
    """Cross-reference the modules of a survey."""
    known = {module.name for module in tally.modules}
    loading = {
        module.name: _targets(module.name, module.imports, known) for module in tally.modules
    }
    running = {
        module.name: _targets(module.name, module.deferred, known) for module in tally.modules
    }
    both = {name: loading[name] | running[name] for name in loading}
    fan_in = Counter(target for targets in both.values() for target in targets)
    fan_out = Counter({name: len(targets) for name, targets in both.items() if targets})
    return Links(
        edges=sum(len(targets) for targets in both.values()),
        fan_in=_ranked(fan_in),
        fan_out=_ranked(fan_out),
        cycles=_circles(loading),
        hidden_cycles=_circles(both),
    )


def _targets(module: str, imported: Iterable[str], known: set[str]) -> set[str]:
    return {name for name in map(partial(_resolve, known), imported) if name in known} - {module}


def _resolve(known: set[str], imported: str) -> str:
    """The module meant by ``a:b``: the module ``a.b`` if there is one, else ``a``."""
    origin, _, name = imported.partition(":")
    inner = f"{origin}.{name}"
    return inner if inner in known else origin


def _ranked(counts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _circles(graph: Mapping[str, set[str]]) -> tuple[tuple[str, ...], ...]:
    groups = [tuple(sorted(group)) for group in components(graph) if len(group) > 1]
    return tuple(sorted(groups, key=lambda group: (-len(group), group)))


def components(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """The strongly connected components of a graph."""
    search = _Search(graph)
    for node in graph:
        search.start(node)
    return search.found


class _Search:
    """Tarjan's search, with a path of its own: a chain of imports may be a long one.

    ``number`` is the order in which nodes were reached, and ``low`` the earliest open node that a
    node leads to. Nodes are open until the component that they belong to is complete.
    """

    def __init__(self, graph: Mapping[str, Iterable[str]]) -> None:
        self.graph = graph
        self.number: dict[str, int] = {}
        self.low: dict[str, int] = {}
        self.open: dict[str, None] = {}
        self.path: list[tuple[str, Iterator[str]]] = []
        self.found: list[list[str]] = []

    def start(self, node: str) -> None:
        """Search all that can be reached from a node, if it was not reached before."""
        if node not in self.number:
            self._enter(node)
        while self.path:
            here, targets = self.path[-1]
            target = next(targets, None)
            if target is None:
                self._leave(here)
            elif target not in self.number:
                self._enter(target)
            elif target in self.open:
                self.low[here] = min(self.low[here], self.number[target])

    def _enter(self, node: str) -> None:
        self.number[node] = self.low[node] = len(self.number)
        self.open[node] = None
        self.path.append((node, iter(sorted(self.graph.get(node, ())))))

    def _leave(self, node: str) -> None:
        self.path.pop()
        if self.path:
            above = self.path[-1][0]
            self.low[above] = min(self.low[above], self.low[node])
        if self.low[node] == self.number[node]:
            # The nodes opened since this one: a dict keeps the order in which they were opened.
            self.found.append([])
            while not self.found[-1] or self.found[-1][-1] != node:
                self.found[-1].append(self.open.popitem()[0])


# ------------------------------------------------------------------------------- files and commands


def listing(sources: Iterable[Source]) -> bytes:
    """The paths of some sources, each ended by a zero byte, as ``xargs -0`` reads them."""
    return b"".join(source.path.encode() + b"\0" for source in sources)


def checksum_command(paths: str, target: str) -> str:
    """Shell text: SHA-256 of every file that the list ``paths`` names, sorted, into ``target``."""
    return (
        f"xargs -0 -r sha256sum -- < {shlex.quote(paths)} | LC_ALL=C sort > {shlex.quote(target)}"
    )


def compress_command(paths: str, target: str) -> str:
    """Shell text: all files that the list ``paths`` names, compressed as one into ``target``."""
    return f"xargs -0 -r cat -- < {shlex.quote(paths)} | gzip -6 -n > {shlex.quote(target)}"


def compressed_size(path: Path) -> tuple[int, int]:
    """The size of what a gzip file holds, and of the file itself."""
    packed = path.read_bytes()
    return len(gzip.decompress(packed)), len(packed)


def duplicates(checksums: Iterable[Path], root: Path) -> list[list[str]]:
    """Groups of files with the same contents, by what ``sha256sum`` wrote, but for empty ones."""
    same: dict[str, list[str]] = defaultdict(list)
    for line in (line for path in checksums for line in path.read_text().splitlines()):
        digest, _, name = line.partition("  ")
        same[digest].append(str(Path(name).relative_to(root)))
    same.pop(hashlib.sha256(b"").hexdigest(), None)
    return sorted(sorted(group) for group in same.values() if len(group) > 1)


# --------------------------------------------------------------------------------------- the report

Report = dict[str, Any]
"""What ``report.json`` holds."""


def report(
    root: Path,
    tally: Tally,
    links: Links,
    sizes: Mapping[str, tuple[int, int]],
    same: Sequence[Sequence[str]],
) -> Report:
    """Everything the survey found, ready for JSON. Depends on the sources alone."""
    modules = [module for module in tally.modules if not module.problem]
    return {
        "root": str(root),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "totals": _totals(tally.modules),
        "packages": [
            _package(name, tally, sizes) for name in sorted({m.package for m in tally.modules})
        ],
        "complexity": {str(value): count for value, count in sorted(tally.complexities.items())},
        "hardest": [asdict(function) for function in tally.hardest],
        "modules": [[m.name, m.package, m.lines, m.functions, m.hardest] for m in modules],
        "links": asdict(links),
        "builtins": [list(item) for item in _ranked(tally.builtins)[:KEPT]],
        "duplicates": [list(group) for group in same],
        "unparsed": [{"module": m.name, "problem": m.problem} for m in tally.modules if m.problem],
    }


def _totals(modules: Sequence[Module]) -> dict[str, int]:
    return {
        "modules": len(modules),
        "lines": sum(m.lines for m in modules),
        "functions": sum(m.functions for m in modules),
        "classes": sum(m.classes for m in modules),
        "complexity": sum(m.complexity for m in modules),
        "documentable": sum(m.documentable for m in modules),
        "documented": sum(m.documented for m in modules),
    }


def _package(name: str, tally: Tally, sizes: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    plain, packed = sizes.get(name, (0, 0))
    return {
        "name": name,
        **_totals([module for module in tally.modules if module.package == name]),
        "bytes": plain,
        "compressed": packed,
    }


def summary(found: Report) -> str:
    """The report in a few lines."""
    totals, links = found["totals"], found["links"]
    documented = share(totals["documented"], totals["documentable"])
    most_imported = ", ".join(f"{name} ({count})" for name, count in links["fan_in"][:3])
    lines = [
        f"{totals['modules']:,} modules in {len(found['packages'])} packages below {found['root']}",
        f"{totals['lines']:,} lines, {totals['functions']:,} functions",
        f"{documented} of what is public has a docstring",
        f"{links['edges']:,} imports from module to module; most imported: {most_imported}",
        f"{len(links['cycles'])} import cycles, {len(found['duplicates'])} sets of identical files",
        f"{len(found['unparsed'])} files that do not parse",
    ]
    if found["hardest"]:
        top = found["hardest"][0]
        lines.append(
            f"most ways through one function: {top['complexity']}, in "
            f"{top['module']}.{top['name']} at line {top['line']}"
        )
    return "\n  ".join(lines)


def share(part: int, whole: int) -> str:
    """A percentage for people."""
    return f"{100 * part / whole:.0f} %" if whole else "–"
