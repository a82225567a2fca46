from math import isqrt

import weft
from weft.eventlog.reader import read_events
from weft.eventlog.runs import open_run
from weft.values.events import TaskSubmitted


@weft.python_app
def root(number: int) -> int:
    if number < 0:
        raise ValueError(f"{number} has no root")
    return isqrt(number)


@weft.python_app
def total(numbers: list[int]) -> int:
    return sum(numbers)


with weft.load() as session:
    folder = session.run_folder
    totals = [total([root(number) for number in numbers]) for numbers in ((4, 9, 16), (4, -9, 16))]
    session.wait()

with open_run(folder) as run:
    print("The run has", run.state)
    for app in run.story.apps.values():
        print(app.name, {state.label: count for state, count in app.counts.items() if count})
    for cause in run.story.causes():
        print(f"task {cause.task}: {cause.example}; others because of it: {cause.others}")

for event in read_events(folder):
    if isinstance(event, TaskSubmitted) and event.needs:
        print(f"task {event.id}, {event.app}, needs {event.needs}")
