"""Calls that run in parallel, and a call that needs their results."""

import weft
from weft import python_app


@python_app
def greet(name: str) -> str:
    return f"Hello, {name}!"


@python_app
def shout(*greetings: str) -> str:
    return " ".join(greetings).upper()


with weft.load():
    greetings = [greet(name) for name in ("Ada", "Grace", "Edsger")]
    print(greetings[0].result())  # Hello, Ada!
    print(shout(*greetings).result())  # HELLO, ADA! HELLO, GRACE! HELLO, EDSGER!
