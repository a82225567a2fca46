import time
from pathlib import Path

import weft
from weft import Resources


@weft.python_app
def hold(begun: str, until: str) -> None:
    """Keep the only worker busy until there is a file."""
    import time
    from pathlib import Path

    Path(begun).touch()
    while not Path(until).exists():
        time.sleep(0.01)


@weft.python_app
def note(name: str) -> None:
    from pathlib import Path

    with Path("ran.txt").open("a") as file:
        file.write(f"{name}\n")


one_at_a_time = weft.executor("htex", workers_per_node=1, prefetch=0)

with weft.load(weft.Config(executors=[one_at_a_time])):
    first = hold("begun", "go")
    while not Path("begun").exists():
        time.sleep(0.01)
    others = [note.options(priority=5)("unimportant"), note("usual")]
    others += [note.options(priority=-5)("urgent")]
    Path("go").touch()
    for future in [first, *others]:
        future.result()
    print(Path("ran.txt").read_text().split())

    # What a task asks for is set aside for it on its node, and must be there at all.
    note.options(resources=Resources(cores=1, memory=1 << 20))("modest").result()
    try:
        note.options(resources=Resources(cores=100_000))("greedy").result()
    except weft.errors.WeftError as error:
        print(error.what)
