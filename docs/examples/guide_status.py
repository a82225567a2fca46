import weft
from weft.values.states import TaskState


@weft.python_app
def square(number: int) -> int:
    return number * number


with weft.load() as session:
    squares = [square(number) for number in range(10)]
    session.wait()
    status = session.status()
    print({state.label: count for state, count in status.counts.items() if count})
    print("of square:", status.apps["square"][TaskState.DONE], "done")
    print("workers:", status.executors["threads"].workers > 0)
    print("log:", (status.run_folder / "weft.log").exists())
