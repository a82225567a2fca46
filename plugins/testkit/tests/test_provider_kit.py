"""The kit for providers passes a sound one; each rule kills the variant that breaks it, first."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar

import attrs
import pytest

from weft.errors import WeftError
from weft.interfaces.provider import Paced, Provider, Several, Telling
from weft.values.jobs import JOB_ENDED, Job, JobId, JobState, JobStatus
from weft.values.plugin import Component, Support
from weft_testkit import ProviderConformance
from weft_testkit.bent import BentProvider, Broken


class TestLocal(ProviderConformance):
    name = "local"


class OnLocal(Broken, ProviderConformance):
    name = "local"


class Saying(BentProvider):
    """Says something else of each job."""

    def said(self, job_id: JobId, status: JobStatus) -> JobStatus:
        return status

    def status(self, ids: Sequence[JobId]) -> Mapping[JobId, JobStatus]:
        return {one: self.said(one, status) for one, status in super().status(ids).items()}


class Sending(BentProvider):
    """Sends other jobs than it was given."""

    def sent(self, job: Job) -> Job:
        return job

    def submit(self, job: Job) -> JobId:
        return super().submit(self.sent(job))


class TestNeverDone(OnLocal):
    killed_by = "P001"

    class Bent(Saying):
        def said(self, job_id: JobId, status: JobStatus) -> JobStatus:
            if status.state is not JobState.DONE:
                return status
            return attrs.evolve(status, state=JobState.FAILED)


class TestIsClosedOnce(OnLocal):
    killed_by = "P002"

    class Bent(BentProvider):
        closed = False

        def close(self) -> None:
            if self.closed:
                raise RuntimeError("closed already")
            self.closed = True
            super().close()


class TestLeavesAProcess(OnLocal):
    killed_by = "P003"
    left: ClassVar[list["subprocess.Popen[bytes]"]] = []

    class Bent(BentProvider):
        def close(self) -> None:
            TestLeavesAProcess.left.append(
                subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
            )
            super().close()

    @pytest.fixture(autouse=True)
    def _end_them(self) -> Iterator[None]:
        yield
        while self.left:
            one = self.left.pop()
            one.kill()
            one.wait()


class TestQuotesCarelessly(OnLocal):
    killed_by = "P010"

    class Bent(Sending):
        def sent(self, job: Job) -> Job:
            return attrs.evolve(job, command=job.command.replace("  ", " "))


class TestCutsTheEnvironment(OnLocal):
    killed_by = "P011"

    class Bent(Sending):
        def sent(self, job: Job) -> Job:
            first = {name: text.partition("\n")[0] for name, text in job.environment.items()}
            return attrs.evolve(job, environment=first)


class TestWantsAPlainFolder(OnLocal):
    killed_by = "P012"

    class Bent(Sending):
        def sent(self, job: Job) -> Job:
            if " " in job.folder.name:
                raise WeftError("no spaces")
            return job


class TestLosesTheOutput(OnLocal):
    killed_by = "P013"

    class Bent(Saying):
        def said(self, job_id: JobId, status: JobStatus) -> JobStatus:
            return attrs.evolve(status, stdout=status.stderr)


class TestForgetsIds(OnLocal):
    killed_by = "P020"

    class Bent(BentProvider):
        def status(self, ids: Sequence[JobId]) -> Mapping[JobId, JobStatus]:
            found = super().status(ids)
            return {k: v for k, v in found.items() if v.state is not JobState.UNKNOWN}


class TestTakesTheUnknownForEnded(OnLocal):
    killed_by = "P020"

    class Bent(Saying):
        def said(self, job_id: JobId, status: JobStatus) -> JobStatus:
            unknown = status.state is JobState.UNKNOWN
            return attrs.evolve(status, state=JobState.DONE) if unknown else status


class TestInventsAnEnd(OnLocal):
    killed_by = "P021"

    class Bent(Saying):
        """Takes a job that waits for long for one that is gone, the first time it is asked."""

        def __init__(self, sound: Provider) -> None:
            super().__init__(sound)
            self.long: set[JobId] = set()

        def submit(self, job: Job) -> JobId:
            job_id = super().submit(job)
            if "while" in job.command:
                self.long.add(job_id)
            return job_id

        def said(self, job_id: JobId, status: JobStatus) -> JobStatus:
            absent = job_id in self.long
            self.long.discard(job_id)
            return attrs.evolve(status, state=JobState.FAILED, reason="gone") if absent else status


class TestGoesBack(OnLocal):
    killed_by = "P022"

    class Bent(Saying):
        def __init__(self, sound: Provider) -> None:
            super().__init__(sound)
            self.ends: dict[JobId, int] = {}

        def said(self, job_id: JobId, status: JobStatus) -> JobStatus:
            if status.state in JOB_ENDED:
                self.ends[job_id] = self.ends.get(job_id, 0) + 1
                if self.ends[job_id] == 3:
                    return attrs.evolve(status, state=JobState.RUNNING)
            return status


class TestGivesNoReason(OnLocal):
    killed_by = "P023"

    class Bent(Saying):
        def said(self, job_id: JobId, status: JobStatus) -> JobStatus:
            return attrs.evolve(status, reason="")


class TestKnowsNoExitCode(OnLocal):
    killed_by = "P024"

    class Bent(Saying):
        def said(self, job_id: JobId, status: JobStatus) -> JobStatus:
            return attrs.evolve(status, exit_code=None)


class TestRaisesWhatComes(OnLocal):
    killed_by = "P025"

    class Bent(BentProvider):
        def submit(self, job: Job) -> JobId:
            list(job.folder.iterdir())
            return super().submit(job)


class TestTakesAnything(OnLocal):
    killed_by = "P025"

    class Bent(BentProvider):
        def submit(self, job: Job) -> JobId:
            try:
                return super().submit(job)
            except WeftError:
                return "later"


class TestTakesACancelForAFailure(OnLocal):
    killed_by = "P030"

    class Bent(Saying):
        def said(self, job_id: JobId, status: JobStatus) -> JobStatus:
            gone = status.state is JobState.CANCELLED
            return attrs.evolve(status, state=JobState.FAILED) if gone else status


class TestForgetsACancelThatComesSoon(OnLocal):
    killed_by = "P031"

    class Bent(BentProvider):
        def __init__(self, sound: Provider) -> None:
            super().__init__(sound)
            self.folders: dict[JobId, Job] = {}

        def submit(self, job: Job) -> JobId:
            # So late that what is cancelled at once has not begun, on any machine.
            job_id = super().submit(attrs.evolve(job, command=f"sleep 2\n{job.command}"))
            self.folders[job_id] = job
            return job_id

        def cancel(self, ids: Sequence[JobId]) -> None:
            # What has begun has left its mark, two folders up.
            begun = [i for i in ids if any(self.folders[i].folder.parent.glob("*.begun"))]
            super().cancel(begun)


class TestTakesACancelForAnError(OnLocal):
    killed_by = "P032"

    class Bent(BentProvider):
        def cancel(self, ids: Sequence[JobId]) -> None:
            for one, status in super().status(ids).items():
                if status.state is JobState.UNKNOWN:
                    raise WeftError(f"no job {one}")
            super().cancel(ids)


class TestCancelsAll(OnLocal):
    killed_by = "P033"

    class Bent(BentProvider):
        def __init__(self, sound: Provider) -> None:
            super().__init__(sound)
            self.ids: list[JobId] = []

        def submit(self, job: Job) -> JobId:
            self.ids.append(super().submit(job))
            return self.ids[-1]

        def cancel(self, ids: Sequence[JobId]) -> None:
            super().cancel(self.ids if ids else ids)


class Detaching(Sending):
    """Starts what a job starts in the background where the provider does not find it."""

    spared: ClassVar[bool] = False
    left: ClassVar[list["subprocess.Popen[bytes]"]] = []

    def sent(self, job: Job) -> Job:
        if "sleep 600 &" not in job.command:
            return job
        child = subprocess.Popen(["sleep", "600"])
        self.left.append(child)
        command = job.command.replace("sleep 600 & echo $!", f"echo {child.pid}")
        return attrs.evolve(job, command=command.replace("; wait", "; sleep 600"))

    def end(self) -> None:
        while self.left:
            one = self.left.pop()
            one.kill()
            one.wait()


class TestLeavesChildrenOfJobs(OnLocal):
    killed_by = "P034"
    Bent = Detaching

    @pytest.fixture(autouse=True)
    def _end_them(self) -> Iterator[None]:
        yield
        Detaching.end(Detaching)  # type: ignore[arg-type]


class TestLeavesChildrenWhenItCloses(OnLocal):
    killed_by = "P035"

    class Bent(Detaching):
        def cancel(self, ids: Sequence[JobId]) -> None:
            self.end()
            super().cancel(ids)

    @pytest.fixture(autouse=True)
    def _end_them(self) -> Iterator[None]:
        yield
        Detaching.end(Detaching)  # type: ignore[arg-type]


class TestCountsToTen(OnLocal):
    killed_by = "P040"

    class Bent(BentProvider):
        count = 0

        def __init__(self, sound: Provider) -> None:
            super().__init__(sound)
            self.names: dict[JobId, JobId] = {}

        def submit(self, job: Job) -> JobId:
            self.count += 1
            name = f"job-{self.count % 10}"
            self.names[name] = super().submit(job)
            return name

        def status(self, ids: Sequence[JobId]) -> Mapping[JobId, JobStatus]:
            known = super().status([self.names.get(one, one) for one in ids])
            return {one: known[self.names.get(one, one)] for one in ids}

        def cancel(self, ids: Sequence[JobId]) -> None:
            super().cancel([self.names.get(one, one) for one in ids])


class OnDeclared(OnLocal):
    @classmethod
    def component(cls) -> Component:
        declared = super().component()
        return attrs.evolve(declared, capabilities={**declared.capabilities, "nodes": Support.FULL})


class TestGivesOneMachine(OnDeclared):
    killed_by = "P041"
    Bent = BentProvider


class TestHasNoPace(OnLocal):
    killed_by = "P042"

    class Bent(BentProvider, Paced):
        @property
        def interval(self) -> float:
            return 0.0

        @property
        def patience(self) -> float:
            return 10.0


class TestNeverTells(OnLocal):
    killed_by = "P043"

    class Bent(BentProvider, Telling):
        def watch(self, changed: Callable[[], None]) -> None:
            threading.Timer(0.0, changed).start()


class TakesSeveral(BentProvider, Several):
    """Takes several, one by one: sound."""

    def submit_all(self, jobs: Sequence[Job]) -> Sequence[JobId | WeftError]:
        return [self._taken(job) for job in jobs]

    def _taken(self, job: Job) -> JobId | WeftError:
        try:
            return self.submit(job)
        except WeftError as error:
            return error


class TestMistakesOneOfSeveralForAnother(OnLocal):
    killed_by = "P044"

    class Bent(TakesSeveral):
        def submit_all(self, jobs: Sequence[Job]) -> Sequence[JobId | WeftError]:
            return super().submit_all(jobs)[::-1]


class TestTakesAllOrNone(OnLocal):
    killed_by = "P045"

    class Bent(TakesSeveral):
        def submit_all(self, jobs: Sequence[Job]) -> Sequence[JobId | WeftError]:
            found = super().submit_all(jobs)
            for one in found:
                if isinstance(one, WeftError):
                    raise one
            return found


class TestCancelsAllOfSeveral(OnLocal):
    killed_by = "P046"

    class Bent(TakesSeveral):
        together: Sequence[JobId] = ()

        def submit_all(self, jobs: Sequence[Job]) -> Sequence[JobId | WeftError]:
            found = super().submit_all(jobs)
            self.together = [one for one in found if isinstance(one, str)]
            return found

        def cancel(self, ids: Sequence[JobId]) -> None:
            super().cancel([*ids, *self.together])
