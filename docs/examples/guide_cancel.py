import threading

import weft

gate = threading.Event()


@weft.python_app
def first() -> None:
    gate.wait(10)


@weft.python_app
def second(_: None) -> None:
    pass


with weft.load():
    before = first()
    after = second(before)
    print(after.cancel(), after.cancelled())  # it waits: always
    gate.set()
    print(before.result())
