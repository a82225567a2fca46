import time
from pathlib import Path

import weft


@weft.python_app
def meet(name: str) -> str:
    """Ends when two of them run at the same time."""
    import os

    Path(name).touch()
    while not (Path("left").exists() and Path("right").exists()):
        time.sleep(0.01)
    return os.environ["WEFT_BLOCK"]


pilots = weft.executor(
    "htex",
    provider=weft.provider("local"),  # each block is a job of this provider
    workers_per_node=1,
    init_blocks=0,  # nothing is asked for before there is a task
    max_blocks=2,
    max_idle=1.0,
)

with weft.load(weft.Config(executors=[pilots])) as session:
    futures = [meet("left"), meet("right")]  # two tasks, one worker to a block
    print(sorted(future.result() for future in futures))

    while any(b["state"] != "ended" for b in session.status().executors["htex"].details["blocks"]):
        time.sleep(0.1)  # idle blocks are given back
    print([b["state"] for b in session.status().executors["htex"].details["blocks"]])
