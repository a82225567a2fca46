import os
import signal

import weft


@weft.python_app
def fall(times: int, noted: str) -> str:
    """Kills its own worker the first times."""
    from pathlib import Path

    with Path(noted).open("a") as file:
        file.write("one more\n")
    if len(Path(noted).read_text().splitlines()) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return "got up again"


with weft.load(weft.Config(executors=[weft.executor("htex", workers_per_node=1)])):
    once = fall(1, "once.txt")
    print(once.result())
    for number, tried in enumerate(once.tries, start=1):
        print(f"try {number}: {tried.ended}, charged {tried.charged:g}")

    try:
        fall(1000, "always.txt").result()
    except weft.errors.PoisonTask as error:
        print(error.what)
