import re
import socket

import weft


@weft.python_app
def square(number: int) -> int:
    return number * number


with weft.load(weft.Config(executors=[weft.executor("htex", workers_per_node=2)])) as session:
    print(square(7).result())
    status = session.status()
    pilots = status.executors["htex"]
    print(pilots.workers, "workers; encrypted:", pilots.details["encrypted"])
    for name, manager in pilots.details["managers"].items():
        print(name, "of block", manager["block"], "is", manager["state"])

    # What lies in the executor's folder, and who may read it; numbers of processes are left out.
    folder = status.run_folder / "htex"
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.name.startswith("worker-"):
            name = str(file.relative_to(folder))
            name = re.sub(rf"{re.escape(socket.gethostname())}-\d+", "HOST-PID", name)
            print(f"{file.stat().st_mode & 0o777:o} {name}")
