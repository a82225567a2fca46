"""Several jobs submitted as one: what a scheduler calls an array.

The jobs of an array differ in their number alone, and blocks differ in more. So each has a folder
and a script of its own as ever, and a folder of links leads from its number to them:

    block-1/array/job.sbatch    the script that is submitted, once
    block-1/array/0  ──▶ block-1/    job.sh  job.env  job.out  job.err  job.code
    block-1/array/1  ──▶ block-2/    …

*Too many.* A limit counts the jobs of an array, and takes it whole or not at all. What was too much
is tried again by halves, so that as many are taken as there may be.
"""

import os
import shutil
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from weft.batch.commands import Line, Said
from weft.batch.dialect import Dialect
from weft.batch.files import OWN, written
from weft.batch.provider import BatchProvider
from weft.batch.script import script
from weft.batch.settings import BatchSettings
from weft.errors import SubmitLater, WeftError
from weft.interfaces.provider import Several
from weft.values.jobs import Job, JobId

__all__ = ["Array", "ArrayDialect", "ArrayProvider"]

_LINKS: Final = "array"
_LONG: Final = "submissions take long; the others are handed over after these"


@attrs.frozen(kw_only=True)
class Array:
    """Jobs to be submitted as one.

    Attributes:
        name: that of all of them: what their own names begin with.
        size: how many there are; their numbers begin with 0.
        nodes: machines of each.
        folder: holds the script that is submitted, and for each number a link to the folder of its
            job, in which are ``job.out`` and ``job.err`` for its output.
    """

    name: str
    size: int
    nodes: int
    folder: Path


class ArrayDialect(Dialect):
    """A dialect of a scheduler that has arrays."""

    @property
    @abstractmethod
    def most(self) -> int:
        """Jobs that an array may have; 1 where the site has none."""

    def own_script(self, job: Job) -> str:
        """The script of a job of an array."""
        return script(job)

    @abstractmethod
    def array_files(self, array: Array) -> Mapping[str, str]:
        """The files of an array, by name: the script around ``weft.batch.script.array_script``.

        Raises:
            ValueError: the array cannot be said to this scheduler; the message says why.
        """

    @abstractmethod
    def array_submission(self, array: Array) -> Line:
        """The line that submits an array whose files are written."""

    @abstractmethod
    def array_submitted(self, said: Said, array: Array) -> Sequence[JobId]:
        """The ids of its jobs, in the order of their numbers, in what a submission has said.

        Raises:
            ValueError: there are none.
        """


class ArrayProvider(BatchProvider, Several):
    """Gets machines from a batch scheduler that has arrays."""

    def __init__(self, dialect: ArrayDialect, settings: BatchSettings) -> None:
        super().__init__(dialect, settings)
        self._arrays = dialect

    def submit_all(self, jobs: Sequence[Job]) -> Sequence[JobId | WeftError]:
        """Hand over jobs by as few submissions as there can be.

        Raises:
            SubmitLater: it is not known what became of one before.
            WeftError: the provider has been closed.
        """
        self._begin(_stem(jobs) or "of an array")
        until = time.monotonic() + self._settings.command_timeout
        if self._arrays.most < 2:
            return self._submit_each(jobs, until)
        found: dict[int, JobId | WeftError] = {}
        ready: list[int] = []
        for place, job in enumerate(jobs):
            try:
                with self._writing(job.name):
                    self._write(job, {OWN: self._arrays.own_script(job)})
            except WeftError as error:
                found[place] = error
            else:
                ready.append(place)
        most = self._arrays.most
        while ready:
            some = _alike(jobs, ready, most)
            try:
                ids = self._submit_array([jobs[place] for place in some])
            except WeftError as error:
                later = isinstance(error, SubmitLater)
                if len(some) == 1 or self._doubtful:
                    found |= dict.fromkeys(ready, error)
                    break
                # What is wrong with many may be their number; if it is not, one is told of it.
                most = len(some) // 2 if later else 1
            else:
                found |= zip(some, ids, strict=True)
                ready = ready[len(some) :]
            if ready and time.monotonic() >= until:
                found |= dict.fromkeys(ready, SubmitLater(_LONG))
                break
        return [found[place] for place in range(len(jobs))]

    def _submit_each(self, jobs: Sequence[Job], until: float) -> Sequence[JobId | WeftError]:
        found: list[JobId | WeftError] = []
        for job in jobs:
            try:
                found.append(self.submit(job))
            except WeftError as error:
                found.append(error)
            if self._doubtful or time.monotonic() >= until:
                break
        return [*found, *(SubmitLater(_LONG) for _ in jobs[len(found) :])]

    def _submit_array(self, jobs: Sequence[Job]) -> Sequence[JobId]:
        """Hand over jobs whose own files are written."""
        array = Array(
            name=_stem(jobs),
            size=len(jobs),
            nodes=jobs[0].nodes,
            folder=jobs[0].folder.absolute() / _LINKS,
        )
        try:
            with self._writing(array.name):
                array.folder.mkdir(mode=0o700)
                for name, text in self._arrays.array_files(array).items():
                    mode = 0o700 if name in self._arrays.executable else 0o600
                    written(array.folder, name, text, mode)
                for number, job in enumerate(jobs):
                    (array.folder / str(number)).symlink_to(job.folder.absolute())
            ids = self._said_of(
                self._arrays.array_submission(array),
                lambda said: self._arrays.array_submitted(said, array),
                array.name,
                array.folder,
            )
        except WeftError:
            # Its first job may be the first of another one.
            shutil.rmtree(array.folder, ignore_errors=True)
            raise
        for job_id, job in zip(ids, jobs, strict=True):
            self._take(job_id, job)
        return ids


def _alike(jobs: Sequence[Job], ready: Sequence[int], most: int) -> Sequence[int]:
    """The first of those that are ready, as many as can be one array."""
    first = jobs[ready[0]]
    some = [ready[0]]
    for place in ready[1:most]:
        if jobs[place].nodes != first.nodes or not _stem([first, jobs[place]]):
            break
        some.append(place)
    return some


def _stem(jobs: Sequence[Job]) -> str:
    """What the names of all begin with, without a part of a number; the whole name of one."""
    names = {job.name for job in jobs}
    if len(names) == 1:
        return names.pop()
    stem = os.path.commonprefix(sorted(names))  # noqa: RUF071 - names, not paths
    return stem.rstrip("0123456789").rstrip("-._")
