"""The stager: files brought into a folder beside their places, and then put there as a whole.

    in    other end ──rsync──▶ folder/.HEX.part/path ──rename──▶ folder/name
    out   folder/name ──link──▶ folder/.HEX.part/path ──rsync──▶ other end

rsync itself writes under a name of its own and renames when a file is whole and its checksum is
right. What was interrupted on the way in waits in folder/.HASH.part for the next try. rsync
compares it with the file, block by block, so that one that has changed since is no danger.

No thread of its own; every call may come from any thread, several at once.
"""

import errno
import os
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from weft.data.names import name_for_url
from weft.data.urls import masked
from weft.errors import StagingError
from weft.interfaces.stager import Place, Stager, StagerContext, Transfer, Way
from weft.values.files import File
from weft_rsync.address import Address, BadAddress, End, understood
from weft_rsync.bench import Job, Unclear, adopt, begun, bench, inside, keep, lay, size_of_file
from weft_rsync.command import bringing, listing, names, sending
from weft_rsync.run import Ended, run
from weft_rsync.settings import Rsync
from weft_rsync.words import Trouble, lines_about, validator_in
from weft_rsync.words import understood as trouble_of

__all__ = ["RsyncStager", "build"]

_AT_ONCE: Final = 1000
"""Files that go in one transfer at most, so that one that fails keeps few others waiting."""


def build(settings: Rsync) -> "RsyncStager":
    """The stager with these settings."""
    return RsyncStager(settings)


_How = Callable[[Rsync, End, str, str], list[str]]

_NOWHERE: Final = Place(executor="", folder=Path("/"))


class RsyncStager(Stager):
    """Moves files by the program ``rsync``."""

    def __init__(self, settings: Rsync) -> None:
        self._settings = settings
        self._closed = threading.Event()
        self._context: StagerContext | None = None

    def start(self, context: StagerContext) -> None:
        """Nothing to make ready but the context."""
        self._context = context

    def plan(self, way: Way, file: File, place: Place) -> Transfer:
        """A name in the folder of the place.

        Raises:
            StagingError: the URL names no file.
        """
        _address(file.url, way)
        placed = file.placed(place.folder.absolute() / name_for_url(file.url))
        return Transfer(way=way, file=file, placed=placed, place=place)

    def move(self, transfer: Transfer) -> None:
        """Move one file."""
        job = Job(0, transfer, _address(transfer.file.url, transfer.way))
        error = self._together([job])[0]
        if error is not None:
            raise error

    def move_all(self, transfers: Sequence[Transfer]) -> Sequence[Exception | None]:
        """Move those that have one other end in one transfer."""
        outcomes: dict[int, Exception | None] = {}
        groups: dict[tuple[Way, End, Path], list[Job]] = {}
        for number, transfer in enumerate(transfers):
            try:
                address = _address(transfer.file.url, transfer.way)
            except StagingError as error:
                outcomes[number] = error
                continue
            key = (transfer.way, address.end, transfer.placed.as_path().parent)
            groups.setdefault(key, []).append(Job(number, transfer, address))
        for jobs in groups.values():
            for begin in range(0, len(jobs), _AT_ONCE):
                outcomes |= self._several(jobs[begin : begin + _AT_ONCE])
        return [outcomes[number] for number in range(len(transfers))]

    def validator(self, file: File) -> str | None:
        """The time of its last change, in seconds, and its size.

        Raises:
            StagingError: the other side does not say.
        """
        address = _address(file.url, Way.IN)
        asked = Transfer(way=Way.IN, file=file, placed=file, place=_NOWHERE)
        try:
            with tempfile.TemporaryDirectory(prefix="weft-rsync-") as folder:
                listed = Path(folder, "names")
                listed.write_bytes(names([address]))
                words = listing(self._settings, address.end, os.fspath(listed))
                ended = run(words, folder, lambda _done: self._must_be_open(asked))
        except OSError as error:
            raise _of_this_machine(asked, self._settings, error) from error
        if ended.code != 0:
            raise _error(file.url, Way.IN, trouble_of(ended.code, ended.said))
        found = validator_in(ended.out)
        if found is None:
            raise _no_file(file.url)
        return found

    def close(self) -> None:
        """Transfers that still go on end within a second or two."""
        self._closed.set()

    # -------------------------------------------------------------------------------- several files

    def _several(self, jobs: Sequence[Job]) -> dict[int, Exception | None]:
        """Move a group; what is not clear of a single file is found out by moving it alone."""
        outcomes: dict[int, Exception | None] = {}
        found: Mapping[int, Exception | None] = {}
        try:
            found = self._together(jobs)
        except Exception as error:  # noqa: BLE001 - it is handed on, as the interface says
            found = {job.number: error for job in jobs}
        for job in jobs:
            outcome = found[job.number]
            if isinstance(outcome, Unclear):
                try:
                    outcome = self._together([job])[job.number]
                except Exception as error:  # noqa: BLE001 - as above
                    outcome = error
            outcomes[job.number] = outcome
        return outcomes

    def _together(self, jobs: Sequence[Job]) -> dict[int, Exception | None]:
        """One transfer of files of one way, with one other end, to or from one folder."""
        wanted: list[Job] = []
        outcomes: dict[int, Exception | None] = {}
        for job in map(begun, jobs):
            try:
                self._must_be_open(job.transfer)
                self._tell(job, job.begun)
            except StagingError as error:
                outcomes[job.number] = error
            else:
                wanted.append(job)
        if not wanted:
            return outcomes
        how = self._bring if wanted[0].transfer.way is Way.IN else self._send
        return outcomes | how(wanted)

    # ---------------------------------------------------------------------------------------- bring

    def _bring(self, jobs: Sequence[Job]) -> dict[int, Exception | None]:
        first = jobs[0].transfer
        folder = first.placed.as_path().parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with bench(folder) as where:
                for job in jobs:
                    adopt(job, where)
                ended = self._rsync(bringing, jobs, where)
                trouble = None if ended.code == 0 else trouble_of(ended.code, ended.said)
                if trouble is not None and trouble.again and not trouble.full:
                    for job in jobs:
                        keep(job, where)
                return self._put(jobs, where, trouble, ended)
        except OSError as error:
            raise _of_this_machine(first, self._settings, error) from error

    def _put(
        self, jobs: Sequence[Job], where: Path, trouble: Trouble | None, ended: Ended
    ) -> dict[int, Exception | None]:
        """Put what arrived in its place."""
        outcomes: dict[int, Exception | None] = {}
        for job in jobs:
            arrived = inside(where, job)
            size = size_of_file(arrived)
            if size is not None:
                arrived.replace(job.transfer.placed.as_path())
                outcomes[job.number] = self._told(job, size)
            elif trouble is None and len(jobs) == 1:
                outcomes[job.number] = _no_file(job.transfer.file.url)
            else:
                outcomes[job.number] = _of_one(job, trouble, ended, alone=len(jobs) == 1)
        return outcomes

    # ----------------------------------------------------------------------------------------- send

    def _send(self, jobs: Sequence[Job]) -> dict[int, Exception | None]:
        first = jobs[0].transfer
        outcomes: dict[int, Exception | None] = {}
        ready: list[Job] = []
        try:
            with bench(first.placed.as_path().parent) as where:
                for job in jobs:
                    try:
                        lay(job, where)
                        ready.append(job)
                    except StagingError as error:
                        outcomes[job.number] = error
                if not ready:
                    return outcomes
                ended = self._rsync(sending, ready, where)
                trouble = None if ended.code == 0 else trouble_of(ended.code, ended.said)
                for job in ready:
                    outcomes[job.number] = (
                        self._told(job, inside(where, job).stat().st_size)
                        if trouble is None
                        else _of_one(job, trouble, ended, alone=len(ready) == 1)
                    )
        except OSError as error:
            raise _of_this_machine(first, self._settings, error) from error
        return outcomes

    # ---------------------------------------------------------------------------------------- rsync

    def _rsync(self, how: _How, jobs: Sequence[Job], where: Path) -> Ended:
        listed = where.with_name(f"{where.name}.names")
        try:
            listed.write_bytes(names([job.address for job in jobs]))
            end = jobs[0].address.end
            words = how(self._settings, end, os.fspath(listed), os.fspath(where))
            return run(words, os.fspath(where), lambda done: self._heard(jobs, where, done))
        finally:
            listed.unlink(missing_ok=True)

    def _heard(self, jobs: Sequence[Job], where: Path, done: int) -> None:
        """Say how far the files are; go on while one of them is waited for."""
        self._must_be_open(jobs[0].transfer)
        unwanted: list[StagingError] = []
        for job in jobs:
            # Of several, only those that have arrived are known one by one.
            its = done if len(jobs) == 1 else size_of_file(inside(where, job)) or 0
            try:
                self._tell(job, max(its, job.begun))
            except StagingError as error:
                unwanted.append(error)
        if len(unwanted) == len(jobs):
            raise unwanted[0]

    def _told(self, job: Job, size: int) -> StagingError | None:
        try:
            self._tell(job, size, size)
        except StagingError as error:
            return error
        return None

    def _tell(self, job: Job, done: int, total: int | None = None) -> None:
        if self._context is not None:
            self._context.progress(job.transfer, done, total)

    def _must_be_open(self, transfer: Transfer) -> None:
        if self._closed.is_set():
            raise StagingError(transfer.file.url, transfer.way, "The run has ended.")


def _address(url: str, way: Way) -> Address:
    try:
        return understood(url)
    except BadAddress as error:
        raise StagingError(masked(url), way, error.why, error.todo) from None


def _of_one(job: Job, trouble: Trouble | None, ended: Ended, *, alone: bool) -> StagingError:
    """Why one file of a transfer did not arrive."""
    url, way = job.transfer.file.url, job.transfer.way
    if trouble is None or not (alone or trouble.of_all):
        said = lines_about(ended.said, job.address.path)
        if not said:
            return Unclear(url, way, "It did not arrive, and nothing was said of it.")
        trouble = trouble_of(ended.code, said)
    return _error(url, way, trouble)


def _error(url: str, way: Way, trouble: Trouble) -> StagingError:
    return StagingError(url, way, trouble.why, trouble.todo, again=trouble.again)


def _no_file(url: str) -> StagingError:
    return StagingError(
        url,
        Way.IN,
        "What is there is no file: it is a folder, or a special file.",
        "Name each file; a folder can be packed, such as with tar.",
    )


def _of_this_machine(transfer: Transfer, settings: Rsync, error: OSError) -> StagingError:
    url, way = transfer.file.url, transfer.way
    if isinstance(error, FileNotFoundError) and error.filename == settings.program:
        return StagingError(
            url,
            way,
            f"The program {settings.program!r} is not on this machine.",
            "Install rsync 3.1 or newer, or say by the option program where it is.",
        )
    return StagingError(
        url,
        way,
        f"{error.filename or transfer.placed.local_path}: {error.strerror or error}.",
        "Look at the space and the permissions there.",
        again=error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EINTR, errno.ESTALE},
    )
