"""What the future of a task can do besides `result()`."""

import asyncio

import weft
from weft import as_completed, python_app


@python_app
def describe(numbers: list[int]) -> dict[str, int]:
    return {"least": min(numbers), "most": max(numbers)}


@python_app(returns=2)
def halves(text: str) -> tuple[str, str]:
    middle = len(text) // 2
    return text[:middle], text[middle:]


@python_app
def double(number: int) -> int:
    return 2 * number


@python_app
def join_words(*words: str) -> str:
    return "-".join(words)


async def in_asyncio() -> int:
    return await double(21)


with weft.load():
    # A part of a result is a future too, and can be passed on before the result is there.
    found = describe([3, 1, 2])
    print(double(found["most"]).result())  # 6

    # An app that says how many results it returns can be unpacked.
    left, right = halves("warpweft")
    print(join_words(right, left).result())  # weft-warp

    # They are futures of the standard library, so what works with those works with these.
    futures = [double(number) for number in range(5)]
    print(sorted(future.result() for future in as_completed(futures)))  # [0, 2, 4, 6, 8]

    # And they can be awaited.
    print(asyncio.run(in_asyncio()))  # 42
