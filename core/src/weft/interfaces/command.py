"""A command is a word after ``weft`` that a package adds.

A component of the kind ``command`` declares no settings. Its ``factory`` leads to the command
itself, a callable that gets the words after its name and returns the exit code of the program:

    # weft_viz/manifest.py
    viz = Component(
        kind=Kind.COMMAND, name="viz", factory="weft_viz.cli:main", summary="Draws a run."
    )

    # weft_viz/cli.py
    def main(words: Sequence[str]) -> int:
        options = parser.parse_args(words)
        ...
        return 0

``weft viz --last`` imports the manifest, then ``weft_viz.cli``, and calls ``main(["--last"])``. The
command answers ``--help`` itself, with whatever parser it likes. Exit codes are those of weft: 0
for success, 1 for an error that was reported, 2 for a wrong use. A ``WeftError`` that it raises is
shown to the user as weft's own are.

A name that begins with ``plugin-`` becomes a command of ``weft plugin``, and one that begins with
``runs-`` one of ``weft runs``: ``plugin-new`` is ``weft plugin new``, ``runs-export`` is ``weft
runs export``. A command of ``weft runs`` finds the run that is meant by ``find_run`` of
``weft.eventlog.runs``, and reads it by ``weft.eventlog.reader``.
"""

from collections.abc import Callable, Sequence

__all__ = ["Command"]

Command = Callable[[Sequence[str]], int]
"""What the factory of a command leads to: given the words after its name, returns an exit code."""
