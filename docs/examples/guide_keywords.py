import asyncio

import weft
from weft import Resources


@weft.python_app
def slow(seconds: float, walltime: float = 0.1) -> str:
    import time

    time.sleep(seconds)
    return f"slept {seconds} s"


@weft.python_app
async def fetch(page: int) -> str:
    await asyncio.sleep(0.01)
    return f"page {page}"


class Scale:
    """A class whose instances are apps."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    @weft.python_app
    def __call__(self, number: int) -> int:
        """Multiply."""
        return self.factor * number


with weft.load():
    # A special keyword in the signature is a default for every call.
    print(type(slow(1).exception()).__name__)

    # options() makes an app like this one with other defaults.
    patient = slow.options(walltime=5, priority=-1)
    print(patient(0.01).result())

    print(fetch(3).result())
    print(Scale(3)(14).result())

    # What no executor can give is refused where it is asked for.
    try:
        print(slow.options(resources=Resources(accelerators=1))(1).result())
    except weft.errors.UnsupportedRequest as error:
        print(error.what)
