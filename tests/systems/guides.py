"""Examples of the guides, run as written but for names that lead to servers of the tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["run_example"]

BOUND = 90.0
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def run_example(name: str, folder: Path, *, instead: Mapping[str, str], then: str) -> str:
    """Run an example in a folder. Returns what it printed.

    Args:
        name: of its file.
        folder: where it runs.
        instead: what stands in it, and what is to stand there; each of them has to be there.
        then: an expression to print at the end.
    """
    text = (EXAMPLES / name).read_text()
    for before, after in instead.items():
        assert before in text
        text = text.replace(before, after)
    script = folder / name
    script.write_text(f'{text}\n\nif __name__ == "__main__":\n    print({then})\n')
    done = subprocess.run(
        [sys.executable, script],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
