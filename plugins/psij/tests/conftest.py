"""A stand-in for PSI/J, which does what the real one does at its worst, as a plan says it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from weft.testing import FakeContext
from weft.values.jobs import Job
from weft_psij.provider import PsijProvider, build
from weft_psij.settings import PSIJ

_PSIJ = """
import enum, json, os, signal, sys, threading, time

__version__ = os.environ.get("STANDIN_VERSION", "0.9.11")
if os.environ.get("STANDIN_ABSENT"):
    raise ModuleNotFoundError("No module named 'psij'")
print("The stand-in prints what it likes.")
# As the real one does.
signal.signal(signal.SIGCHLD, lambda *_: None)


def plan():
    with open(os.environ["STANDIN_PLAN"]) as file:
        return json.load(file)


class SubmitException(Exception):
    pass


class JobState(enum.Enum):
    NEW, QUEUED, ACTIVE, COMPLETED, FAILED, CANCELED = range(6)

    @property
    def final(self):
        return self.value > 2


class JobStatus:
    def __init__(self, state, code=None, message=None):
        self.state, self.exit_code, self.message = state, code, message


class _Fields:
    def __init__(self, *_, **fields):
        self.__dict__.update(fields)


class JobSpec(_Fields):
    pass


class JobAttributes(_Fields):
    pass


class ResourceSpecV1(_Fields):
    pass


class JobExecutorConfig(_Fields):
    pass


class Job:
    count = 0

    def __init__(self, spec):
        Job.count += 1
        self.id, self.spec, self.native_id = f"id-{Job.count}", spec, None
        self.status = JobStatus(JobState.NEW)


class JobExecutor:
    @staticmethod
    def get_instance(name, config):
        if name == "rp":
            raise ValueError("no radical.pilot here")
        return JobExecutor()

    @staticmethod
    def get_executor_names():
        return {"slurm", "local"}

    def __init__(self):
        self.tries = self.ids = 0
        threading.Thread(
            target=time.sleep, args=(1e6,), name="slurm Queue Polling Thread", daemon=True
        ).start()

    def set_job_status_callback(self, callback):
        self.callback = callback

    def submit(self, job):
        how = plan()
        if how.get("submit") == "hang":
            time.sleep(600)
        if how.get("submit") == "die":
            os._exit(9)
        if "submit" in how:
            raise SubmitException(how["submit"])
        self.ids += 1
        job.native_id = f"{os.getpid()}{self.ids}"
        with open(os.environ["STANDIN_PLAN"] + ".submitted", "a") as file:
            said = [job.spec.arguments, job.spec.attributes.custom_attributes]
            file.write(json.dumps(said) + "\\n")
        self.tell(job, "QUEUED")
        self.follow(job, how.get("news", [[]])[0])

    def attach(self, job, native):
        job.native_id = native
        self.tries += 1
        news = plan().get("news", [[]])
        self.follow(job, news[min(self.tries, len(news) - 1)])

    def follow(self, job, news):
        threading.Thread(target=lambda: [self.tell(job, *one) for one in news]).start()

    def tell(self, job, state, code=None, message=None):
        job.status = JobStatus(JobState[state], code, message)
        self.callback(job, job.status)

    def cancel(self, job):
        how = plan()
        if "cancel" in how:
            raise SubmitException(how["cancel"])
        self.tell(job, *how.get("cancelled", ["CANCELED"]))

    def list(self):
        return plan().get("list", [])
"""
_BATCH = "class BatchSchedulerExecutorConfig:\n    def __init__(self, **_): pass\n"


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says what the stand-in does from now on."""
    package = tmp_path / "standin" / "psij"
    (package / "executors" / "batch").mkdir(parents=True)
    (package / "__init__.py").write_text(_PSIJ)
    (package / "executors" / "__init__.py").touch()
    (package / "executors" / "batch" / "__init__.py").touch()
    (package / "executors" / "batch" / "batch_scheduler_executor.py").write_text(_BATCH)
    path = [str(package.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    monkeypatch.setenv("STANDIN_PLAN", str(tmp_path / "plan"))

    def planning(**how: Any) -> None:
        (tmp_path / "plan.new").write_text(json.dumps(how))
        (tmp_path / "plan.new").rename(tmp_path / "plan")

    planning()
    return planning


@pytest.fixture
def make(plan: Callable[..., None], tmp_path: Path) -> Iterator[Callable[..., PsijProvider]]:
    made: list[PsijProvider] = []

    def making(**more: Any) -> PsijProvider:
        given = {"executor": "slurm", "python": sys.executable, "poll_interval": 0.2, **more}
        one = build(PSIJ(**given))
        folder = tmp_path / f"context-{len(made)}"
        made.append(one)
        folder.mkdir(mode=0o700)
        one.start(FakeContext(folder))
        return one

    yield making
    plan()
    for one in made:
        one.close()


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    made: list[Job] = []

    def making(command: str = "true", **more: Any) -> Job:
        folder = tmp_path / f"job-{len(made)}"
        folder.mkdir(mode=0o700)
        made.append(Job(name=f"job-{len(made)}", command=command, folder=folder, **more))
        return made[-1]

    return making
