"""The examples of the documentation, run as a reader runs them.

What the largest of them finds is compared with a computation that does one thing after the other.
"""

import ast
import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
STDLIB = Path(sysconfig.get_path("stdlib"))
WEFT = [sys.executable, "-c", "from weft.cli import main; main()"]
LIMIT = 12

Ended = subprocess.CompletedProcess[str]


def run(*words: str | Path, cwd: Path) -> Ended:
    ended = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended


# ------------------------------------------------------------------------------ the small examples

SMALL = [
    "squares.py",
    "hello.py",
    "bash_and_files.py",
    "join.py",
    "restart.py",
    "futures_tricks.py",
]


EXECUTORS = ["processes:max_workers=2", "htex:workers_per_node=2"]


@pytest.mark.parametrize("executor", ["", *EXECUTORS], ids=lambda text: text or "its own")
@pytest.mark.parametrize("name", SMALL)
def test_an_example_prints_what_its_comments_say(name: str, executor: str, tmp_path: Path) -> None:
    example = EXAMPLES / name
    program = [*WEFT, "run", "--executor", executor] if executor else [sys.executable]
    printed = run(*program, example, cwd=tmp_path).stdout
    promised = [
        line.partition("  # ")[2]
        for line in example.read_text().splitlines()
        if line.lstrip().startswith("print(") and "  # " in line
    ]
    assert promised
    for told in promised:
        assert any(line.endswith(told) for line in printed.splitlines()), printed


def test_the_configuration_by_name_runs_a_script(tmp_path: Path) -> None:
    config = EXAMPLES / "config_by_name.py"
    ended = run(*WEFT, "run", "--config", config, EXAMPLES / "hello.py", cwd=tmp_path)
    assert "HELLO, GRACE!" in ended.stdout


# ------------------------------------------------------------------------------ the survey


@pytest.fixture(scope="module")
def tools() -> Iterator[ModuleType]:
    """The survey's own module, found as a script finds its neighbours."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        import survey_tools

        yield survey_tools
    finally:
        sys.path.remove(str(EXAMPLES))


def sequentially(tools: ModuleType, root: Path, limit: int | None, scratch: Path) -> dict[str, Any]:
    """The report, computed one thing after the other, without weft."""
    packages = {name: tools.sources_of(root, name, limit) for name in tools.package_names(root)}
    tally = tools.Tally()
    sizes, sums = {}, []
    for name, sources in packages.items():
        for source in sources:
            tally = tools.merge(tally, tools.measure_one(source, name))
        listed = scratch / "listed"
        listed.write_bytes(tools.listing(sources))
        packed = scratch / f"{name}.gz"
        shell(tools.compress_command(str(listed), str(packed)))
        sizes[name] = tools.compressed_size(packed)
        sums.append(scratch / f"{name}.sha256")
        sums[-1].write_text("".join(f"{source.digest}  {source.path}\n" for source in sources))
    same = tools.duplicates(sums, root)
    report: dict[str, Any] = tools.report(root, tally, tools.link(tally), sizes, same)
    return report


def shell(command: str) -> None:
    subprocess.run(["/bin/bash", "-c", command], check=True)


@pytest.fixture(scope="module")
def expected(tools: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    found = sequentially(tools, STDLIB.resolve(), LIMIT, tmp_path_factory.mktemp("sequential"))
    as_written: dict[str, Any] = json.loads(json.dumps(found))
    return as_written


@pytest.mark.parametrize("executor", ["threads:max_threads=2", *EXECUTORS])
def test_the_survey_finds_what_a_sequential_computation_finds(
    executor: str, expected: Mapping[str, Any], tools: ModuleType, tmp_path: Path
) -> None:
    survey = EXAMPLES / "stdlib_survey.py"
    ended = run(
        *WEFT, "run", "--executor", executor, survey, "--limit", str(LIMIT), "--out", "found",
        cwd=tmp_path,
    )  # fmt: skip
    written = json.loads((tmp_path / "found" / "report.json").read_text())
    assert written == expected
    assert ended.stdout.startswith(tools.summary(expected))
    assert " failed" not in ended.stderr


def test_the_survey_on_two_sites_that_share_nothing_finds_the_same(
    expected: Mapping[str, Any], tools: ModuleType, tmp_path: Path
) -> None:
    ended = run(
        sys.executable, EXAMPLES / "two_sites_survey.py", "--limit", str(LIMIT), "--out", "found",
        cwd=tmp_path,
    )  # fmt: skip
    assert json.loads((tmp_path / "found" / "report.json").read_text()) == expected
    assert ended.stdout.startswith(tools.summary(expected))
    # What one site made and only the other and itself used has not come here.
    packages = len(tools.package_names(STDLIB.resolve()))
    assert len(list((tmp_path / "sites" / "east" / "survey").iterdir())) == 2 * packages
    assert {file.suffix for file in (tmp_path / "found").iterdir()} == {".tar", ".json", ".html"}


def test_the_page_is_whole_and_asks_nothing_of_the_network(
    expected: Mapping[str, Any], tools: ModuleType
) -> None:
    import survey_page

    page = survey_page.page(dict(expected))
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    assert reader.asked == []
    assert {"svg", "table", "rect", "circle"} <= reader.seen
    assert f"{expected['totals']['modules']:,}" in page


class Reader(HTMLParser):
    """Checks that every element is closed, and gathers what would be fetched."""

    VOID = frozenset({"meta", "br", "wbr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.asked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.asked += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href", "srcset")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_second_survey_with_resume_measures_nothing_again(
    tmp_path: Path, small_tree: Path
) -> None:
    survey = EXAMPLES / "stdlib_survey.py"
    words = [*WEFT, "run", "--resume", str(survey), "--root", str(small_tree)]
    first = run(*words, cwd=tmp_path)
    second = run(*words, cwd=tmp_path)
    assert "from memory" not in first.stderr
    [line] = [line for line in second.stderr.splitlines() if line.split()[:1] == ["measure"]]
    tasks, done, from_memory = line.split()[1:4]
    assert tasks == done == from_memory

    (small_tree / "alpha" / "one.py").write_text("def changed(): pass\n")
    third = run(*words, cwd=tmp_path)
    [line] = [line for line in third.stderr.splitlines() if line.split()[:1] == ["measure"]]
    assert int(line.split()[3]) == int(tasks) - 1


# ------------------------------------------------------------------------------ what it is made of


@pytest.fixture
def small_tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    files = {
        "lonely.py": "import alpha.one\n",
        "alpha/__init__.py": '"""Documented."""\nfrom . import one\n',
        "alpha/one.py": "from alpha import two\n\ndef f(x):\n    return 1 if x else 2\n",
        "alpha/two.py": "def g():\n    from . import one\n    return one.f(1)\n",
        "alpha/same.py": "x = 1\n",
        "beta/same.py": "x = 1\n",
        "beta/broken.py": "def (:\n",
        "beta/empty.py": "",
        "beta/bad.py": "# -*- coding: nonsense -*-\n",
    }
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root.resolve()


def test_imports_are_resolved_to_the_modules_that_are_meant(
    tools: ModuleType, small_tree: Path, tmp_path: Path
) -> None:
    found = sequentially(tools, small_tree, None, tmp_path)
    links = found["links"]
    assert dict(links["fan_in"]) == {"alpha.one": 3, "alpha.two": 1}
    assert links["cycles"] == ()
    assert links["hidden_cycles"] == (("alpha.one", "alpha.two"),)


def test_files_that_do_not_parse_and_files_that_are_alike_are_told(
    tools: ModuleType, small_tree: Path, tmp_path: Path
) -> None:
    found = sequentially(tools, small_tree, None, tmp_path)
    assert [item["module"] for item in found["unparsed"]] == ["beta.bad", "beta.broken"]
    assert found["duplicates"] == [["alpha/same.py", "beta/same.py"]]
    assert found["totals"]["modules"] == 9


@pytest.mark.parametrize(
    ("body", "ways"),
    [
        ("pass", 1),
        ("if x:\n  pass\n elif y:\n  pass", 3),
        ("return x and y or z", 3),
        ("return [a for a in x if a if not a]", 4),
        ("try:\n  pass\n except A:\n  pass\n except B:\n  pass", 3),
        ("match x:\n  case 1: pass\n  case 2: pass", 3),
        ("def inner():\n  if x: pass\n return inner", 1),
    ],
)
def test_complexity_counts_the_ways_through_a_function(
    tools: ModuleType, tmp_path: Path, body: str, ways: int
) -> None:
    file = tmp_path / "module.py"
    file.write_text(f"def outer(x):\n {body}\n")
    ast.parse(file.read_text())
    [source] = tools.sources_of(tmp_path, tools.LOOSE)
    found = {function.name: function for function in tools.measure_one(source, "p").hardest}
    assert found["outer"].complexity == ways


def test_components_of_a_graph_are_those_that_reach_one_another(tools: ModuleType) -> None:
    chain = {str(n): [str(n + 1)] for n in range(5000)}
    graph = {**chain, "a": ["b"], "b": ["c", "a"], "c": ["d"], "d": ["c"], "e": ["e"]}
    found = {frozenset(group) for group in tools.components(graph) if len(group) > 1}
    assert found == {frozenset("ab"), frozenset("cd")}


def test_the_order_of_merging_makes_no_difference(tools: ModuleType, small_tree: Path) -> None:
    parts = [
        tools.measure_one(source, package)
        for package in tools.package_names(small_tree)
        for source in tools.sources_of(small_tree, package)
    ]
    at_once = tools.merge(*parts)
    one_by_one = tools.Tally()
    for part in reversed(parts):
        one_by_one = tools.merge(part, one_by_one)
    assert one_by_one == at_once
    with ThreadPoolExecutor(2) as pool:
        pairs = pool.map(tools.merge, parts[::2], [*parts[1::2], tools.Tally()])
        assert tools.merge(*pairs) == at_once


def test_a_big_package_is_split_into_parts_that_one_task_can_measure(tools: ModuleType) -> None:
    def source(name: str, size: int) -> Any:
        return tools.Source(name, f"{name.replace('.', os.sep)}.py", size, "")

    big = [source(f"p.sub{n}.m{m}", tools.CHUNK // 3) for n in range(3) for m in range(2)]
    big += [source("p.huge", 2 * tools.CHUNK), source("p", 10)]
    assert tools.is_too_much(big)
    parts = tools.split(big, 1)
    assert sorted(s.module for part in parts for s in part) == sorted(s.module for s in big)
    assert len(parts) > 2
    smaller = [inner for part in parts for inner in tools.split(part, 2)]
    assert not any(tools.is_too_much(part) for part in smaller)
