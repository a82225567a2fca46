import weft


@weft.python_app
def count_words(text: str) -> int:
    if not text:
        raise ValueError("there is no text")
    return len(text.split())


@weft.python_app
def total(counts: list[int]) -> int:
    return sum(counts)


with weft.load():
    counts = [count_words(text) for text in ("to be or not to be", "")]
    answer = total(counts)

    print(repr(counts[1].exception()))
    print(answer.exception())
