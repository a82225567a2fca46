import time

import weft


@weft.python_app
def count_words(text: str) -> int:
    time.sleep(0.2)  # stands for real work
    return len(text.split())


TEXTS = ["to be or not to be", "all the world is a stage", "brevity is the soul of wit"]

with weft.load(weft.Config(executors=[weft.executor("threads", max_threads=3)])):
    began = time.monotonic()
    futures = [count_words(text) for text in TEXTS]
    print([future.result() for future in futures])
    print("at the same time:", time.monotonic() - began < 0.5)
