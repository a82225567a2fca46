from collections.abc import Sequence

import weft
from weft.configuration.registry import default_registry
from weft.interfaces.hookspecs import hookimpl
from weft.values.events import RunEnded
from weft.values.task import TaskView


class Watcher:
    """What a package would have as a module, and name in its entry points."""

    @hookimpl
    def weft_run_finished(self, summary: RunEnded) -> None:
        """Say how the run ended."""
        print("done:", summary.done, "failed:", summary.failed)

    @hookimpl
    def weft_choose_executor(self, task: TaskView, candidates: Sequence[str]) -> str | None:
        """Send small tasks where there is little room."""
        return "small" if task.app == "square" else None


@weft.python_app
def square(number: int) -> int:
    return number * number


default_registry().register_hooks(Watcher())

executors = [
    weft.executor("threads", label="large", max_threads=8),
    weft.executor("threads", label="small", max_threads=2),
]
with weft.load(weft.Config(executors=executors)):
    future = square(6)
    print(future.result(), "on", future.tries[0].executor)
