import threading

import weft

busy = most = 0
lock = threading.Lock()


@weft.python_app(executors="licensed")
def solve(number: int) -> int:
    global busy, most
    with lock:
        busy += 1
        most = max(most, busy)
    with lock:
        busy -= 1
    return number


config = weft.Config(
    executors=[
        weft.executor("threads", max_threads=8),
        weft.executor("threads", label="licensed", max_threads=3),
    ]
)

with weft.load(config):
    solved = [solve(number) for number in range(50)]
    print(sum(future.result() for future in solved), most <= 3)
