from collections.abc import Sequence
from pathlib import Path

import weft
from weft import File


@weft.python_app
def write_words(text: str, outputs: Sequence[File] = ()) -> None:
    outputs[0].as_path().write_text("\n".join(text.split()) + "\n")


@weft.bash_app
def count_each(inputs: Sequence[File] = (), outputs: Sequence[File] = ()) -> str:
    return f"sort {inputs[0]} | uniq -c | sort -rn > {outputs[0]}"


with weft.load():
    words = write_words("to be or not to be", outputs=[File("words.txt")])
    counted = count_each(inputs=[words.outputs[0]], outputs=[File("counted.txt")])
    counted.result()
    print(Path("counted.txt").read_text().splitlines()[-1].split())
