import weft


@weft.python_app(cache=True)
def count_words(text: str) -> int:
    return len(text.split())


with weft.load():
    first = count_words("to be or not to be")
    print(first.result(), first.from_memory())
    again = count_words("to be or not to be")
    print(again.result(), again.from_memory())
