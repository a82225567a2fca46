"""Counts the reads of a file of an object store, and leaves the count there."""

import weft
from weft import Config, File

config = Config(
    executors=[weft.executor("processes", max_workers=2)],
    stagers=[
        weft.stager("fsspec", options={"s3": {"endpoint_url": "https://objects.example.org"}}),
    ],
)


@weft.python_app
def count(reads: File, outputs: list[File]) -> int:
    number = reads.as_path().read_text().count(">")
    outputs[0].as_path().write_text(f"{number}\n")
    return number


def count_there() -> int:
    with weft.load(config):
        reads = File("s3://genomes/run%207/a.fasta")
        counted = File("s3://genomes/run%207/a.count")
        counting = count(reads, outputs=[counted])
        counting.outputs[0].result()  # it has arrived
        return counting.result()
