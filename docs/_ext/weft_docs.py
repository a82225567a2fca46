"""Pages made from the code: a line in a page asks for a part, and gets it when the page is read.

    <!-- weft: errors -->                       every error, with a message that real code gave
    <!-- weft: component executor.threads -->   what it declares, its options, its maturity
    <!-- weft: components executor -->          a table of the components of a kind
    <!-- weft: options weft.configuration.config:Config -->
    <!-- weft: rules executor -->              the rules of a kit, and the variants that die of them
    <!-- weft: command run -->                  what ``weft run --help`` knows
    <!-- weft: sql_tables -->                   the tables that the monitor ``sql`` writes

Each line names a function that gives Markdown. Nothing is written to the source folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import command_pages
import component_pages
import error_pages
import house_pages
import kit_pages
import sql_pages

__all__ = ["MADE", "asked", "drawn", "expand", "returned", "setup"]

MADE: Final[Mapping[str, Callable[[str], str]]] = {
    "capabilities": component_pages.capabilities,
    "command": command_pages.command,
    "component": component_pages.component,
    "components": component_pages.table,
    "errors": error_pages.catalogue,
    "floors": house_pages.floors,
    "interfaces": component_pages.interfaces,
    "moves": house_pages.moves,
    "options": component_pages.options_of_path,
    "plugin_errors": error_pages.of_plugin,
    "problems": error_pages.problems,
    "rules": kit_pages.rules,
    "sql_tables": sql_pages.tables,
    "states": house_pages.states,
}

_LINE: Final = re.compile(r"^<!-- weft: (\w+) ?(.*?) -->$", re.MULTILINE)


class Sphinx(Protocol):
    """As much of the application as is used here; typed without needing Sphinx for it."""

    def connect(self, event: str, callback: Callable[..., Any], priority: int = 500) -> int:
        """Ask to be called."""
        ...


def expand(text: str) -> str:
    """The text with every such line replaced by what it asks for."""
    return _LINE.sub(lambda found: MADE[found[1]](found[2]), text)


def asked(text: str) -> set[tuple[str, str]]:
    """What the lines of a page ask for, each as a function and its argument."""
    return {(found[1], found[2]) for found in _LINE.finditer(text)}


def _read(_app: Sphinx, _page: str, source: list[str]) -> None:
    source[0] = expand(source[0])


def _made(_app: Sphinx, env: Any, *_: object) -> list[str]:
    """The pages with such lines: read anew each time, since the code may have changed."""
    pages = {str(page): Path(env.doc2path(page)) for page in env.found_docs}
    return [page for page, file in pages.items() if asked(file.read_text(encoding="utf-8"))]


def drawn(lines: list[str]) -> list[str]:
    """The text of a module, with what is indented in it (code, a diagram) shown as it stands."""
    found: list[str] = []
    for line in lines:
        begins = line.startswith("    ") and (not found or not found[-1].strip())
        last = next((text for text in reversed(found) if text.strip()), "")
        if begins and not last.startswith("    "):
            found += ["::", ""]
        found.append(line)
    return found


def returned(lines: list[str]) -> list[str]:
    """With a dash for a colon where ``Returns:`` begins, since one would end the name of a type."""
    return [
        line.replace(": ", " – ", 1) if before.strip() == "Returns:" else line
        for before, line in zip(["", *lines], lines, strict=False)
    ]


def _docstring(
    _app: Sphinx, what: str, _name: str, _obj: object, _options: object, lines: list[str]
) -> None:
    lines[:] = drawn(lines) if what == "module" else returned(lines)


def setup(app: Sphinx) -> Mapping[str, bool]:
    """What Sphinx calls."""
    app.connect("source-read", _read)
    app.connect("autodoc-process-docstring", _docstring, priority=400)  # before napoleon reads it
    app.connect("env-get-outdated", _made)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
