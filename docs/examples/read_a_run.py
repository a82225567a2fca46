"""What a run's tasks took, by its event log."""

from pathlib import Path

import weft
from weft.eventlog.figures import Timeline, figures_of
from weft.eventlog.runs import open_run


def show(folder: Path) -> None:
    timeline = Timeline()
    with open_run(folder, timeline) as run:
        figures = figures_of(run.story, timeline)
    for app in figures.apps:
        print(app.app, app.tasks, app.times)


@weft.python_app
def square(x: int) -> int:
    return x * x


if __name__ == "__main__":
    with weft.load(weft.Config(executors=[weft.executor("threads")])) as session:
        weft.wait([square(x) for x in range(100)])
    show(session.run_folder)
