"""Two clusters, each with a collection of Globus: what one makes goes to the other by itself."""

import weft
from weft import Config, File, Site

ARCHIVE = "globus://6c54cade-bde5-45c1-bdea-f4bd71dba2cc"

west = Site(
    name="WEST",
    folder="/scratch/me/weft",
    urls={"globus": "globus://af7bda53-6d04-11e5-ba46-22000b92c6ec/scratch/me/weft"},
)
east = Site(
    name="EAST",
    folder="/project/p123/weft",
    urls={"globus": "globus://9d6d994a-6d04-11e5-ba46-22000b92c6ec/project/p123/weft"},
)

config = Config(
    executors=[
        # Here stand the provider, the launcher and the blocks of each cluster.
        weft.executor("htex", label="west", site=west),
        weft.executor("htex", label="east", site=east),
    ]
)


@weft.python_app(executors="west")
def split(text: File, outputs: list[File]) -> None:
    words = text.as_path().read_text().split()
    outputs[0].as_path().write_text("\n".join(words))


@weft.python_app(executors="east")
def count(words: File, outputs: list[File]) -> int:
    number = len(words.as_path().read_text().splitlines())
    outputs[0].as_path().write_text(f"{number}\n")
    return number


def count_there() -> int:
    with weft.load(config):
        words = split(
            File(f"{ARCHIVE}/texts/two%20cities.txt"), outputs=[File("site://WEST/words")]
        )
        counted = count(words.outputs[0], outputs=[File(f"{ARCHIVE}/counts/two%20cities.txt")])
        counted.outputs[0].result()
        return counted.result()
