import weft

runs: list[str] = []


@weft.python_app(cache=True)
def count_words(text: str) -> int:
    runs.append(text)
    return len(text.split())


with weft.load():
    first = count_words("to be or not to be")
    print(first.result())
    again = count_words("to be or not to be")
    print(again.result(), again.from_memory(), len(runs))
