import weft


@weft.python_app
def square(x: int) -> int:
    return x * x


@weft.python_app
def total(numbers: list[int]) -> int:
    return sum(numbers)


with weft.load(weft.Config(executors=[weft.executor("threads", max_threads=4)])):
    print(total([square(n) for n in range(10)]).result())  # 285
