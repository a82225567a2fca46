import weft


@weft.python_app
def count_words(text: str) -> int:
    return len(text.split())


TEXTS = ["to be or not to be", "all the world is a stage", "brevity is the soul of wit"]

pilots = weft.executor("htex", workers_per_node=2)

with weft.load(weft.Config(executors=[pilots])):
    print([count_words(text).result() for text in TEXTS])
