import threading

import weft

together = threading.Barrier(3)


@weft.python_app
def count_words(text: str) -> int:
    together.wait(30)  # goes on when three calls have come this far
    return len(text.split())


TEXTS = ["to be or not to be", "all the world is a stage", "brevity is the soul of wit"]

with weft.load(weft.Config(executors=[weft.executor("threads", max_threads=3)])):
    futures = [count_words(text) for text in TEXTS]
    print([future.result() for future in futures])
