import os
import signal
import time
from pathlib import Path

import weft


@weft.python_app
def work(begun: str) -> str:
    """Would take long the first time."""
    import time
    from pathlib import Path

    if not Path(begun).exists():
        Path(begun).touch()
        time.sleep(1000)
    return "done"


with weft.load(weft.Config(executors=[weft.executor("htex", workers_per_node=1)])) as session:
    future = work("begun")
    while not Path("begun").exists():
        time.sleep(0.01)
    interchange = session.status().executors["htex"].details["interchange"]
    os.kill(int(interchange.removeprefix("process ")), signal.SIGKILL)
    print(future.result())
    for number, tried in enumerate(future.tries, start=1):
        print(f"try {number}: {tried.ended}, charged {tried.charged:g}")
