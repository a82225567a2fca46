from concurrent.futures import ThreadPoolExecutor

import weft


@weft.python_app
def double(number: int) -> int:
    return 2 * number


with ThreadPoolExecutor() as pool, weft.load():
    foreign = pool.submit(lambda: 20)  # a future that weft did not make
    print(double(foreign).result())
