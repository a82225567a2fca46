"""Counts the words of a text of a Globus collection, and leaves the count there."""

import weft
from weft import Config, File

ARCHIVE = "globus://6c54cade-bde5-45c1-bdea-f4bd71dba2cc"

config = Config(
    executors=[weft.executor("processes", max_workers=2)],
    stagers=[
        weft.stager(
            "globus",
            # Of Globus Connect Personal on this machine, and what it has.
            local_collection="31ce9ba0-176d-45a5-add3-f37d233ba47d",
            local_path="/home/me",
        )
    ],
    run_dir="/home/me/runs",
)


@weft.python_app
def count(text: File, outputs: list[File]) -> int:
    words = len(text.as_path().read_text().split())
    outputs[0].as_path().write_text(f"{words}\n")
    return words


def count_there() -> int:
    with weft.load(config):
        text = File(f"{ARCHIVE}/texts/two%20cities.txt")
        counted = File(f"{ARCHIVE}/counts/two%20cities.txt")
        counting = count(text, outputs=[counted])
        counting.outputs[0].result()  # it has arrived
        return counting.result()
