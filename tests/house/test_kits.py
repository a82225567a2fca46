"""Whatever is sound in the kits is run with every call checked, by ``.ci/prove``.

The step ``test`` of ``.ci/run`` has their broken variants alone, so that a kit which ``.ci/prove``
does not name would be run by neither.
"""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.house.conftest import Tree


def proven(tree: Tree) -> set[Path]:
    """The files that ``.ci/prove`` gives to pytest, as its own shell finds them."""
    (assigned,) = re.findall(r"^kits=\(.*?\)$", tree.text(".ci/prove"), re.MULTILINE | re.DOTALL)
    done = subprocess.run(
        ["bash", "-c", f"shopt -s nullglob; {assigned}; printf '%s\\n' \"${{kits[@]}}\""],
        cwd=tree.root,
        check=True,
        capture_output=True,
        text=True,
    )
    return {tree.root / name for name in done.stdout.splitlines()}


def with_kits(tree: Tree) -> set[Path]:
    """The files of tests that make tests of a kit, or of a module beside them that does."""
    shelves = ("core/tests", "plugins/*/tests", "contrib/*/tests", "tests")
    files = [file for shelf in shelves for file in tree.root.glob(f"{shelf}/**/*.py")]
    texts = {file: file.read_text(encoding="utf-8") for file in files}
    found = {file for file, text in texts.items() if makes_kits(text)}
    helpers = [file.stem for file in found if not file.stem.startswith("test_")]
    for stem in helpers:
        use = re.compile(
            rf"^from (\S+\.)?{stem} import |^import {stem}\b|[\"/]{stem}\.py\"", re.MULTILINE
        )
        found |= {file for file, text in texts.items() if use.search(text)}
    return {file for file in found if file.stem.startswith("test_")}


def makes_kits(text: str) -> bool:
    """Whether a module imports one of the kits, rather than what they have in common."""
    if "weft_testkit" not in text:
        return False
    return any(
        node.module == "weft_testkit" and re.fullmatch(r"\w+Conformance", name.name)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    )


def test_each_file_with_a_kit_is_run_with_its_calls_checked(tree: Tree) -> None:
    kits = with_kits(tree)

    assert len(kits) > 30  # this looks where they are
    assert sorted(kits - proven(tree)) == []
