"""A scheduler that outlives its clients: jobs are files. Also a client of it, to be killed.

``python scheduler.py JOBS LEASES RUN BLOCKS`` holds that many blocks, says ``up``, and waits.
"""

import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from weft.blocks.keeper import BlockCommand
from weft.blocks.pool import BlockPool
from weft.blocks.scaling import BlockLimits
from weft.builtin.launchers import SimpleLauncher
from weft.builtin.settings import Simple
from weft.errors import WeftError
from weft.interfaces.context import Context
from weft.interfaces.provider import Lasting, Provider
from weft.testing import FakeContext
from weft.values.blocks import Block, BlockId
from weft.values.jobs import Job, JobId, JobState, JobStatus


class FileScheduler(Provider, Lasting):
    """Each job is a file with its name, and ends with that file. Closing ends nothing."""

    def __init__(self, jobs: Path, site: str = "files:here") -> None:
        self.jobs, self._site = jobs, site
        self.asked: list[Mapping[JobId, str]] = []
        self.refuses: Exception | None = None

    @property
    def site(self) -> str:
        return self._site

    def start(self, context: Context) -> None:
        self.jobs.mkdir(exist_ok=True)

    def submit(self, job: Job) -> JobId:
        number = len(list(self.jobs.iterdir())) + 1
        while True:
            path = self.jobs / str(number)
            try:
                path.touch(exist_ok=False)
            except FileExistsError:
                number += 1
                continue
            path.write_text(job.name)
            return path.name

    def status(self, ids: Sequence[JobId]) -> Mapping[JobId, JobStatus]:
        return {
            job: JobStatus(
                state=JobState.RUNNING if (self.jobs / job).exists() else JobState.CANCELLED
            )
            for job in ids
        }

    def listed(self, jobs: Mapping[JobId, str]) -> Collection[JobId]:
        self.asked.append(dict(jobs))
        if self.refuses is not None:
            raise self.refuses
        return [
            job
            for job, name in jobs.items()
            if (self.jobs / job).exists() and (self.jobs / job).read_text() == name
        ]

    def cancel(self, ids: Sequence[JobId]) -> None:
        for job in ids:
            (self.jobs / job).unlink(missing_ok=True)

    def close(self) -> None:
        """A scheduler does not end its jobs because a client goes."""


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Owner:
    """An executor that looks at nothing."""

    def __init__(self, blocks: int) -> None:
        self._left = blocks

    def blocks_changed(self, blocks: Sequence[Block]) -> None:
        self._left -= sum(block.state == "starting" for block in blocks)
        if self._left == 0:
            _say("up")

    def drain(self, block_id: BlockId) -> None: ...

    def failed(self, error: WeftError) -> None:
        _say(str(error))


def pool_of(
    provider: Provider, leases: Path, context: FakeContext, blocks: int, owner: Owner
) -> BlockPool:
    return BlockPool(
        "cpu",
        provider,
        SimpleLauncher(Simple()),
        BlockLimits(init=blocks, max=max(blocks, 1)),
        lambda _: BlockCommand(text="true"),
        owner,
        context,
        leases=leases,
    )


def main(jobs: str, leases: str, run: str, blocks: str) -> None:
    with FakeContext(run_id=run) as context:
        provider = FileScheduler(Path(jobs))
        pool = pool_of(provider, Path(leases), context, int(blocks), Owner(int(blocks)))
        pool.start()
        sys.stdin.read()
        pool.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
