"""Counts the words of texts in an archive, and gathers the counts in another one."""

import weft
from weft import File

TEXTS = ("one.txt", "two.txt", "three.txt")


@weft.python_app
def count(text: File, outputs: list[File]) -> int:
    words = len(text.as_path().read_text().split())
    outputs[0].as_path().write_text(f"{words}\n")
    return words


def count_all() -> int:
    with weft.load(weft.Config(executors=[weft.executor("processes", max_workers=2)])):
        counting = [
            count(
                File(f"zip:///home/me/texts.zip/{name}"),
                outputs=[File(f"zip:///home/me/counts.zip/{name}")],
            )
            for name in TEXTS
        ]
        for one in counting:
            one.outputs[0].result()  # it is in the archive
        return sum(one.result() for one in counting)
