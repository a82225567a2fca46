"""The documentation keeps step with the code."""

from __future__ import annotations

import ast
import pickle
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.house.conftest import Tree

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

# Pages that a user reads; decisions and contributing quote shell and settings.
ROOMS = ("start", "guides", "concepts", "plugins", "reference", "errors")
PAGES = sorted(page for room in ROOMS for page in (DOCS / room).rglob("*.md"))


@pytest.fixture(scope="module")
def made() -> Iterator[Any]:
    """What makes pages from the code."""
    sys.path.insert(0, str(DOCS / "_ext"))
    import weft_docs  # type: ignore[import-not-found,unused-ignore]

    yield weft_docs
    sys.path.remove(str(DOCS / "_ext"))


def name_of(page: Path) -> str:
    return page.relative_to(DOCS).as_posix()


def asked(page: Path) -> set[tuple[str, str]]:
    """What the lines of a page ask the code for."""
    return set(re.findall(r"^<!-- weft: (\w+) ?(.*?) -->$", page.read_text(), flags=re.MULTILINE))


# ---------------------------------------------------------------------------------------- errors


def classes(made: Any) -> dict[str, Any]:
    return dict(made.error_pages.known())


def test_no_two_errors_have_one_code(made: Any) -> None:
    codes = [cls.code for cls in classes(made).values()]

    assert sorted(codes) == sorted(set(codes))


def test_each_error_is_in_the_catalogue(made: Any) -> None:
    catalogue = made.error_pages.catalogue()

    for cls in made.error_pages.public():
        assert f"\n## {cls.code}: {cls.__name__}\n" in f"\n{catalogue}", cls


def test_each_code_that_is_only_listed_is_in_the_catalogue(made: Any) -> None:
    table = made.error_pages.problems()

    for code in made.error_pages.problem_codes():
        assert f"| `{code}` | " in table


def test_each_error_has_an_example_or_is_a_family(made: Any) -> None:
    public = {cls.__name__: cls for cls in made.error_pages.public()}

    assert made.error_pages.error_examples.missing(public) == []


def test_each_error_can_be_raised_shown_and_pickled(made: Any) -> None:
    examples = made.error_pages.error_examples

    for cls in examples.EXAMPLES:
        error = examples.example_of(cls)
        back = pickle.loads(pickle.dumps(error))
        assert type(back) is cls
        assert str(back) == str(error)
        assert f"({cls.code})" in str(error)
        assert error.what, cls
        assert error.what.rstrip()[-1] in ".:'\"" or "\n" in error.what or cls.code == "W-TSK-008"


def test_the_family_tree_in_the_code_names_each_error(made: Any) -> None:
    source = (ROOT / "core/src/weft/errors.py").read_text()
    tree = ast.get_docstring(ast.parse(source)) or ""

    for cls in made.error_pages.public():
        assert re.search(rf"(^|[\s─]){cls.__name__}\b", tree, flags=re.MULTILINE), cls


# --------------------------------------------------------------------------------------- plugins


def test_each_component_has_a_page_and_each_page_a_component(made: Any) -> None:
    pages = {page.stem: asked(page) for page in (DOCS / "plugins").glob("*-*.md")}

    assert {("component", key) for key in made.component_pages.declared()} == {
        one for lines in pages.values() for one in lines
    }
    for stem, lines in pages.items():
        assert {key.replace(".", "-", 1) for _, key in lines} == {stem}


def test_each_option_is_on_the_page_of_its_component(made: Any) -> None:
    from weft.values.settings import options_of

    for key, one in made.component_pages.declared().items():
        if not one.component.settings:
            continue
        text = made.component_pages.component(key)
        for option in options_of(made.component_pages._at(one.component.settings)):
            assert f"| `{option.name}` | " in text, key
            assert option.help, f"{key}: {option.name} has no help"


# -------------------------------------------------------------------------------------- commands


def test_each_command_is_on_the_page_of_commands(made: Any) -> None:
    shown = {words for kind, words in asked(DOCS / "reference/command-line.md")}

    assert shown == set(made.command_pages.commands())


# --------------------------------------------------------------------------------------- threads


def test_each_thread_that_is_named_in_the_code_is_on_the_page_of_threads() -> None:
    page = (DOCS / "concepts" / "threads.md").read_text()
    shown = {re.sub(r"<\w+>|\bN\b", "*", name) for name in re.findall(r"`(weft-[^`]+)`", page)}

    assert {name for name in named_threads() if name not in shown} == set()


def named_threads() -> Iterator[str]:
    """The names that are given to threads, with ``*`` for what is put in."""
    shelves = ("core", "plugins/*", "contrib/*")
    sources = [file for shelf in shelves for file in ROOT.glob(f"{shelf}/src/**/*.py")]
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text())):
            if not (isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Thread")):
                continue  # jobs, for one, have names too
            for keyword in node.keywords:
                text = pattern_of(keyword.value) if keyword.arg == "name" else ""
                if text.startswith("weft-") and not text.startswith("weft-*-*"):
                    yield text


def pattern_of(value: ast.expr) -> str:
    if isinstance(value, ast.Constant):
        return str(value.value)
    if isinstance(value, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "*" for part in value.values
        )
    return ""


# ----------------------------------------------------------------------------------------- pages


# Its blocks are the script of tests/journeys/test_walk.py, which types them one after the other.
PLAYED = {"guides/plugin-author/walk.md"}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if name_of(page) not in PLAYED], ids=name_of
)
def test_python_in_a_page_comes_from_a_file(page: Path) -> None:
    fences = re.findall(r"^ *```+ *\{?(\w[\w-]*)", page.read_text(), flags=re.MULTILINE)

    assert {"python", "py", "pycon", "code-block", "code"} & set(fences) == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_page_includes_is_there(page: Path) -> None:
    blocks = re.findall(r"```\{literalinclude\} (\S+)\n(.*?)```", page.read_text(), flags=re.DOTALL)

    for place, options in blocks:
        file = (page.parent / place).resolve()
        assert file.is_file(), f"{name_of(page)}: {place}"
        text = file.read_text()
        for mark in re.findall(r"^:(?:start|end)-\w+: (.+)$", options, flags=re.MULTILINE):
            wanted = ast.literal_eval(mark) if mark.startswith('"') else mark
            assert wanted in text, f"{name_of(page)}: {place} has no {mark}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_page_asks_the_code_for_can_be_made(page: Path, made: Any) -> None:
    for kind, argument in asked(page):
        if kind != "errors":  # made above
            assert made.MADE[kind](argument).strip()


def test_each_example_of_the_guides_is_shown_in_one() -> None:
    text = "".join(page.read_text() for page in PAGES)
    files = [*(DOCS / "examples").glob("guide_*")]

    assert [
        file.name
        for file in files
        if file.suffix in {".out", ".console", ".py"} and f"examples/{file.name}" not in text
    ] == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_documentation_builds_without_a_warning(tree: Tree, tmp_path: Path) -> None:
    build = pytest.importorskip("sphinx.cmd.build", reason="sphinx is not installed")
    for name in ("furo", "myst_parser", "sphinx_copybutton", "sphinx_design"):
        pytest.importorskip(name)
    import subprocess

    assert build
    words = [sys.executable, "-m", "sphinx", "-W", "-n", "-q", "--keep-going", "-b", "html"]
    done = subprocess.run(
        [*words, str(DOCS), str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=280,
    )

    assert done.returncode == 0, done.stderr[-4000:]
