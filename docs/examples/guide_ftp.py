"""Counts the lines of a text of an FTP server, and leaves the count there."""

import weft
from weft import Config, File

config = Config(
    executors=[weft.executor("processes", max_workers=2)],
    stagers=[weft.stager("ftp", netrc="/home/me/project.netrc")],
)


@weft.python_app
def count(text: File, outputs: list[File]) -> int:
    lines = len(text.as_path().read_text().splitlines())
    outputs[0].as_path().write_text(f"{lines}\n")
    return lines


def count_there() -> int:
    with weft.load(config):
        text = File("ftp://ftp.example.org/texts/two%20cities.txt")
        counted = File("ftp://ftp.example.org/texts/counts/two%20cities.txt")
        counting = count(text, outputs=[counted])
        counting.outputs[0].result()  # it has arrived
        return counting.result()
