import weft


@weft.python_app
def count_words(text: str) -> int:
    return len(text.split())


with weft.load():
    future = count_words("the quick brown fox jumps over the lazy dog")
    print(future.result())
