import weft


@weft.python_app
def count_words(text: str) -> int:
    return len(text.split())


@weft.python_app
def total(counts: list[int]) -> int:
    return sum(counts)


TEXTS = ["to be or not to be", "all the world is a stage", "brevity is the soul of wit"]

with weft.load():
    counts = [count_words(text) for text in TEXTS]
    print(total(counts).result())
