from pathlib import Path

import weft


@weft.python_app
def simulate(seed: int) -> int:
    return seed * seed


@weft.python_app
def fit(value: int) -> float:
    return 1 / value


# The node exporter reads such files in a folder of its own.
textfile = Path("weft.prom").resolve()
config = weft.Config(
    retries=1,
    monitors=[weft.monitor("log"), weft.monitor("prometheus", textfile=str(textfile))],
)
with weft.load(config) as session:
    fits = [fit(simulate(seed)) for seed in range(4)]
    session.wait()

for line in textfile.read_text().splitlines():
    if line.startswith(("weft_tasks_ended_total", "weft_tries_ended_total")):
        name, value = line.rsplit(" ", 1)
        if float(value):
            print(name, value)
