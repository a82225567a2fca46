"""A task that decides, when it runs, which tasks come next."""

import weft
from weft import AppFuture, join_app, python_app


@python_app
def collatz(number: int) -> int:
    return number // 2 if number % 2 == 0 else 3 * number + 1


@python_app
def plus_one(steps: int) -> int:
    return steps + 1


@python_app
def zero() -> int:
    return 0


@join_app
def steps_to_one(number: int) -> AppFuture[int]:
    """How often `collatz` must be applied: known only while it is being applied."""
    if number == 1:
        return zero()
    return plus_one(steps_to_one(collatz(number)))


@join_app
def steps_of_all(numbers: list[int]) -> dict[int, AppFuture[int]]:
    """A join app may return futures in lists, tuples and dicts; its result has the same shape."""
    return {number: steps_to_one(number) for number in numbers}


with weft.load():
    print(steps_of_all([6, 7, 9]).result())  # {6: 8, 7: 16, 9: 19}
