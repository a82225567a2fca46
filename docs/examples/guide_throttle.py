import weft


@weft.python_app
def square(number: int) -> int:
    return number * number


with weft.load(weft.Config(max_pending=100)) as session:
    futures = [square(number) for number in range(1000)]  # waits now and then
    print(sum(future.result() for future in futures))
