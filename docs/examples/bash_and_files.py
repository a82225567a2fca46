"""Commands as tasks, and files that pass from one to the next."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import weft
from weft import File, bash_app, python_app


@python_app
def write_numbers(count: int, outputs: Sequence[File] = ()) -> None:
    lines = [f"{number * 7919 % count}\n" for number in range(count)]
    outputs[0].as_path().write_text("".join(lines))


@bash_app
def sort_lines(inputs: Sequence[File] = (), outputs: Sequence[File] = ()) -> str:
    return f"sort -n {shlex.quote(inputs[0].filepath)} > {shlex.quote(outputs[0].filepath)}"


@python_app
def last_line(file: File) -> str:
    return file.as_path().read_text().splitlines()[-1]


@bash_app
def misspelt(stderr: str | None = None) -> str:
    return "sotr numbers.txt"


with TemporaryDirectory() as folder, weft.load():
    here = Path(folder)
    written = write_numbers(1000, outputs=[File(here / "numbers.txt")])
    # A file that a task makes is a future too: whoever takes it waits until it is there.
    ordered = sort_lines(inputs=written.outputs, outputs=[File(here / "sorted.txt")])
    print("the largest number:", last_line(ordered.outputs[0]).result())  # 999

    failed = misspelt(stderr=str(here / "errors.txt")).exception()
    if isinstance(failed, weft.errors.BashExit):
        print("exit code of a misspelt command:", failed.exit_code)  # 127
