import weft


@weft.python_app
def square(number: int) -> int:
    return number * number


pilots = weft.executor("htex", mode="direct", prefetch=0, workers_per_node=1)

with weft.load(weft.Config(executors=[pilots])) as session:
    number = 2
    for _ in range(4):
        number = square(number).result()  # one at a time: each needs the one before
    print(number)
    print(session.status().executors["htex"].details["interchange"].startswith("thread of process"))
