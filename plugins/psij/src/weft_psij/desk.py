"""The process in which PSI/J runs. Needs psij-python and the standard library, nothing of weft.

PSI/J takes over the handler of SIGCHLD, keeps threads that never end, and waits for commands as
long as those take. Here none of that matters to anybody: who started this process ends it when it
does not answer, and starts another, which takes up the jobs that there are by their ids.

    stdin   one question a line, as JSON: {"n": 1, "do": "submit", …}
    stdout  one answer a line: {"n": 1, "id": "4711"}; in between, news of jobs as they come:
            {"job": "j1", "try": 0, "state": "ACTIVE", "code": null, "words": ""}

Jobs have names that the one who asks gives them, since the executor ``local`` uses ids again.
It ends when its input does. Jobs of the executor ``local`` end with it.
"""

from __future__ import annotations

import json
import os
import pwd
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TextIO

_END = 5.0
_WORDS = 2000


class Desk:
    """Answers questions about jobs, one after another.

    Args:
        out: where answers go.
    """

    def __init__(self, out: TextIO) -> None:
        self._out, self._lock = out, threading.Lock()
        self._psij: Any = None
        self._executor: Any = None
        self._name = ""
        self._jobs: dict[str, Any] = {}
        # Which of the objects of PSI/J that stood for a job is the present one.
        self._tries: dict[str, tuple[str, int]] = {}

    def say(self, **what: Any) -> None:
        """Write a line. From any thread."""
        with self._lock:
            self._out.write(json.dumps(what) + "\n")
            self._out.flush()

    def answer(self, question: dict[str, Any]) -> None:
        """Do what is asked, and say what came of it."""
        number = question["n"]
        ways: dict[str, Callable[..., dict[str, Any]]] = {
            "open": self.open,
            "submit": self.submit,
            "cancel": self.cancel,
            "attach": self.attach,
            "list": self.list,
        }
        try:
            said = ways[question["do"]](**question["with"])
        except BaseException as error:  # noqa: BLE001 - whatever PSI/J raises is for the one who asked
            words = " ".join(str(error).split()) or repr(error)
            self.say(n=number, error=type(error).__name__, words=words)
        else:
            self.say(n=number, **said)

    def open(self, executor: str, work: str, interval: float) -> dict[str, Any]:
        """Load PSI/J, and the one executor that is used."""
        # On a machine without a terminal the other one fails, and PSI/J calls it.
        os.getlogin = lambda: pwd.getpwuid(os.getuid()).pw_name
        import psij

        self._psij, self._name = psij, executor
        folder = Path(work)
        if executor in {"local", "flux", "rp"}:
            config = psij.JobExecutorConfig(work_directory=folder)
        else:
            from psij.executors.batch.batch_scheduler_executor import BatchSchedulerExecutorConfig

            config = BatchSchedulerExecutorConfig(
                work_directory=folder,
                queue_polling_interval=interval,
                initial_queue_polling_delay=min(2.0, interval),
                # That a question failed says nothing of any job.
                queue_polling_error_threshold=1_000_000_000,
            )
        self._executor = psij.JobExecutor.get_instance(executor, config=config)
        self._executor.set_job_status_callback(self._changed)
        return {
            "psij": str(psij.__version__),
            "names": sorted(psij.JobExecutor.get_executor_names()),
        }

    def submit(self, job: str, spec: dict[str, Any], attributes: dict[str, Any]) -> dict[str, Any]:
        """Hand over a job."""
        psij = self._psij
        # PSI/J shares one object of resources among jobs that bring none.
        resources = psij.ResourceSpecV1(
            node_count=spec["nodes"], processes_per_node=1, exclusive_node_use=spec["exclusive"]
        )
        made = psij.Job(
            psij.JobSpec(
                executable="/bin/sh",
                arguments=spec["arguments"],
                name=spec["name"],
                directory=Path(spec["folder"]),
                resources=resources,
                attributes=psij.JobAttributes(
                    duration=timedelta(seconds=attributes["seconds"]),
                    queue_name=attributes["queue"],
                    account=attributes["account"],
                    reservation_id=attributes["reservation"],
                    custom_attributes=attributes["custom"] or None,
                ),
                launcher="single",
            )
        )
        self._tries[made.id] = (job, 0)
        self._executor.submit(made)
        self._jobs[job] = made
        return {"id": str(made.native_id)}

    def attach(self, job: str, native: str, attempt: int) -> dict[str, Any]:
        """Take up a job that there is already; what is known of it is asked for anew."""
        made = self._psij.Job(self._psij.JobSpec(executable="/bin/sh", launcher="single"))
        self._tries[made.id] = (job, attempt)
        self._executor.attach(made, native)
        self._jobs[job] = made
        return {}

    def cancel(self, job: str) -> dict[str, Any]:
        """Ask for a job to be ended."""
        made = self._jobs.get(job)
        if made is not None and not made.status.state.final:
            self._end(made)
        return {}

    def _end(self, made: Any) -> None:
        """Have PSI/J cancel a job; on this machine, all that it has started ends with it.

        PSI/J ends the processes of a local job one by one, and gives up in the middle when one of
        them has ended by itself meanwhile; what is below it then lives on. So they are stopped
        before PSI/J begins, and those that it has left are ended here.
        """
        stopped = _stopped(made.native_id) if self._name == "local" else []
        try:
            self._executor.cancel(made)
        finally:
            for one in stopped:
                _if_there(one.kill)

    def list(self) -> dict[str, Any]:
        """The ids of this user's jobs."""
        return {"ids": [str(one) for one in self._executor.list()]}

    def _changed(self, made: Any, status: Any) -> None:
        """PSI/J says how a job is; from a thread of its own, or within a submission."""
        job, attempt = self._tries[made.id]
        self.say(
            job=job,
            **{"try": attempt},
            state=status.state.name,
            code=status.exit_code,
            words=" ".join(str(status.message or "").split())[-_WORDS:],
        )

    def lives(self) -> bool:
        """Whether PSI/J still asks about jobs: a mistake of its own ends its thread in silence."""
        if self._executor is None or self._name in {"local", "flux", "rp"}:
            return True
        return any(one.name.endswith("Queue Polling Thread") for one in threading.enumerate())

    def close(self) -> None:
        """End the jobs that would not end by themselves."""
        if self._name != "local":
            return
        left = [one for one in self._jobs.values() if not one.status.state.final]
        for one in left:
            try:
                self._end(one)
            except Exception as error:  # noqa: BLE001 - it has ended meanwhile, most often
                sys.stderr.write(f"{type(error).__name__}: {error}\n")
        until = time.monotonic() + _END
        while time.monotonic() < until and _children():
            time.sleep(0.05)


def _stopped(native: Any) -> list[Any]:
    """The process of a job of ours and all below it, none of which can start another any more."""
    import psutil  # which PSI/J needs, too

    try:
        root = psutil.Process(int(native))
        if root.ppid() != os.getpid():
            return []
    except (psutil.Error, TypeError, ValueError):
        return []
    found: dict[int, Any] = {}
    new = [root]
    while new:
        for one in new:
            found[one.pid] = one
            _if_there(one.suspend)
        below = _if_there(partial(root.children, recursive=True)) or []
        new = [one for one in below if one.pid not in found]
    return list(found.values())


def _if_there(what: Callable[[], Any]) -> Any:
    """Do something with a process, unless it has ended or is another user's."""
    import psutil

    try:
        return what()
    except psutil.Error:
        return None


def _children() -> bool:
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False


def main() -> None:
    """Answer until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What libraries print is for people.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    desk = Desk(answers)
    for line in sys.stdin:
        desk.answer(json.loads(line))
        if not desk.lives():
            sys.stderr.write("PSI/J asks about jobs no more.\n")
            break
    desk.close()
    sys.stderr.flush()
    # Threads of PSI/J would be waited for, and some of them never end.
    os._exit(0)


if __name__ == "__main__":
    main()
