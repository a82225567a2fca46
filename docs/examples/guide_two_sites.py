from collections.abc import Sequence
from pathlib import Path

import weft
from weft import Config, File, Site, bash_app, python_app

scratch = Path("scratch").absolute()
config = Config(
    executors=[
        # A real cluster has a provider, and a folder of its own file system.
        weft.executor("htex", label="west", site=Site(name="WEST", folder=scratch / "west")),
        weft.executor("htex", label="east", site=Site(name="EAST", folder=scratch / "east")),
    ]
)


@bash_app(executors=["west"])
def sort(inputs: Sequence[File] = (), outputs: Sequence[File] = ()) -> str:
    return f"sort {inputs[0]} > {outputs[0]}"


@python_app(executors=["east"])
def first_line(file: File) -> str:
    return file.as_path().read_text().splitlines()[0]


@python_app(executors=["west"])
def size(file: File) -> tuple[str, int]:
    return file.filename, file.as_path().stat().st_size


if __name__ == "__main__":
    Path("words.txt").write_text("to\nbe\nor\nnot\n")
    with weft.load(config):
        stays = sort(inputs=[File("words.txt")], outputs=[File("site://WEST/sorted.txt")])
        comes_home = sort(inputs=[File("words.txt")], outputs=[File("sorted.txt")])

        print(first_line(stays.outputs[0]).result())
        print(size(stays.outputs[0]).result())
        print(comes_home.outputs[0].result().as_path().read_text().split())
