from collections.abc import Sequence
from pathlib import Path

import weft
from weft import Config, File, Site, bash_app, python_app

config = Config(
    executors=[weft.executor("htex", site=Site(name="WEST", folder=Path("west").absolute()))]
)


@bash_app
def split(lines: File, outputs: Sequence[File] = ()) -> str:
    return f"mkdir {outputs[0]} && split -l 1 {lines} {outputs[0]}/line-"


@python_app
def count(folder: File) -> int:
    return len(list(folder.as_path().iterdir()))


if __name__ == "__main__":
    Path("words.txt").write_text("to\nbe\nor\nnot\n")
    with weft.load(config):
        parts = split(File("words.txt"), outputs=[File("parts/")]).outputs[0]
        print(count(parts).result())
        print(sorted(path.name for path in parts.result().as_path().iterdir()))
