import weft
from weft.values.task import TaskView


def price(error: BaseException, task: TaskView) -> float:
    """Say what a failure costs of the budget: nothing helps against a wrong argument."""
    if isinstance(error, ValueError):
        return float("inf")
    return 0.5 if task.app == "fetch" else 1


@weft.python_app
def fetch(name: str) -> str:
    if name == "":
        raise ValueError("which archive?")
    raise ConnectionError(f"{name} did not answer")


with weft.load(weft.Config(retries=2, retry_handler=price)):
    patient, hopeless = fetch("archive"), fetch("")
    patient.exception()
    hopeless.exception()
    print(len(patient.tries), "tries for one,", len(hopeless.tries), "for the other")
