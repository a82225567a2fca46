"""Counts the words of a text of an rsync daemon, and leaves the count there."""

import weft
from weft import Config, File

config = Config(
    executors=[weft.executor("processes", max_workers=2)],
    stagers=[weft.stager("rsync", password_file="/home/me/.rsync-password")],
)


@weft.python_app
def count(text: File, outputs: list[File]) -> int:
    words = len(text.as_path().read_text().split())
    outputs[0].as_path().write_text(f"{words}\n")
    return words


def count_there() -> int:
    with weft.load(config):
        text = File("rsync://me@data.example.org/texts/two%20cities.txt")
        counted = File("rsync://me@data.example.org/texts/counts/two%20cities.txt")
        counting = count(text, outputs=[counted])
        counting.outputs[0].result()  # it has arrived
        return counting.result()
