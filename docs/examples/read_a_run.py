"""What a run's tasks took, by its event log."""

import sys

from weft.eventlog.figures import Timeline, figures_of
from weft.eventlog.runs import open_run


def show(folder: str) -> None:
    timeline = Timeline()
    with open_run(folder, timeline) as run:
        figures = figures_of(run.story, timeline)
    for app in figures.apps:
        print(app.app, app.tasks, app.times)


if __name__ == "__main__":
    show(sys.argv[1])  # such as weft-runs/0007
