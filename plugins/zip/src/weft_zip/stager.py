"""The stager: members unpacked into the folder of tasks, and packed into archives.

    in    archive ──unpack, check──▶ folder/.HEX.part ──rename──▶ folder/name
    out   folder/name ──pack──▶ (no name) ──merge, by turns──▶ .HASH.part ──rename──▶ archive

No thread of its own; every call may come from any thread, several at once.
"""

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs

from weft.data.made import open_made
from weft.data.urls import masked
from weft.errors import StagingError
from weft.interfaces.stager import Place, Stager, StagerContext, Transfer, Way
from weft.values.files import File
from weft_zip.address import Address, place_name, understood
from weft_zip.archive import Archive, check, find, missing, opened, unpack
from weft_zip.pack import Packed, Shelf, merge, pack
from weft_zip.settings import Zip
from weft_zip.trouble import Trouble, of_system
from weft_zip.turns import Parcel, Turns, writing

__all__ = ["ZipStager", "build"]


def build(settings: Zip) -> "ZipStager":
    """The stager with these settings."""
    return ZipStager(settings)


@attrs.frozen
class _Job:
    number: int
    transfer: Transfer
    address: Address


_Outcomes = dict[int, Exception | None]


class ZipStager(Stager):
    """Moves members of zip archives."""

    def __init__(self, settings: Zip) -> None:
        self._settings = settings
        self._turns = Turns()
        self._context: StagerContext | None = None

    def start(self, context: StagerContext) -> None:
        """Nothing to make ready but the context."""
        self._context = context

    def plan(self, way: Way, file: File, place: Place) -> Transfer:
        """A name in the folder of the place.

        Raises:
            StagingError: the URL names no member.
        """
        address = _address(file.url, way)
        placed = file.placed(place.folder.absolute() / place_name(address))
        return Transfer(way=way, file=file, placed=placed, place=place)

    def move(self, transfer: Transfer) -> None:
        """Move one file."""
        error = self.move_all([transfer])[0]
        if error is not None:
            raise error

    def move_all(self, transfers: Sequence[Transfer]) -> Sequence[Exception | None]:
        """Open, or write, each archive once."""
        outcomes: _Outcomes = {}
        groups: dict[tuple[Way, Path], list[_Job]] = {}
        for number, transfer in enumerate(transfers):
            try:
                self._must_be_open(transfer)
                address = _address(transfer.file.url, transfer.way)
                # By a link and by its own name it is one archive, with one lock; and it is the
                # archive that is replaced, not the link.
                path = Path(os.path.realpath(address.archive))
            except StagingError as error:
                outcomes[number] = error
                continue
            groups.setdefault((transfer.way, path), []).append(_Job(number, transfer, address))
        for (way, path), jobs in groups.items():
            try:
                outcomes |= (self._bring if way is Way.IN else self._take)(path, jobs)
            except (Trouble, OSError) as error:
                for job in jobs:
                    outcomes.setdefault(job.number, _told(job.transfer, error, path))
        return [outcomes[number] for number in range(len(transfers))]

    def validator(self, file: File) -> str | None:
        """The checksum and the size of the member, and the time of the archive's last change.

        Raises:
            StagingError: there is no such member.
        """
        address = _address(file.url, Way.IN)
        path = Path(os.path.realpath(address.archive))
        try:
            with _archive(path) as archive:
                info = find(archive, address.member)
                return f"{info.CRC:08x}-{info.file_size}-{archive.facts.st_mtime_ns}"
        except Trouble as trouble:
            raise _error(file.url, Way.IN, trouble) from trouble

    def close(self) -> None:
        """Those who wait for an archive go away; what is moved right now is given up."""
        self._turns.close()

    # ---------------------------------------------------------------------------------------- bring

    def _bring(self, path: Path, jobs: Sequence[_Job]) -> _Outcomes:
        outcomes: _Outcomes = {}
        with _archive(path) as archive:
            for job in jobs:
                outcomes[job.number] = _outcome(self._bring_one, archive, job)
        return outcomes

    def _bring_one(self, archive: Archive, job: _Job) -> None:
        info = find(archive, job.address.member)
        check(info, self._settings)
        target = job.transfer.placed.as_path()
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{uuid.uuid4().hex}.part")
        try:
            with part.open("xb") as into:
                unpack(archive, info, into, self._teller(job.transfer))
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    # ----------------------------------------------------------------------------------------- take

    def _take(self, path: Path, jobs: Sequence[_Job]) -> _Outcomes:
        outcomes: _Outcomes = {}
        packed: dict[int, Packed] = {}
        with Shelf(path.parent) as shelf:
            for job in jobs:
                outcomes[job.number] = _outcome(self._pack_one, path, job, shelf, packed)
            if not packed:
                return outcomes
            file = shelf.handed_on()
        mine = Parcel(file, list(packed.values()))
        try:
            self._turns.hand_in(path, mine, self._write, self._settings.lock_timeout)
            error = mine.error
        except Trouble as trouble:
            error = trouble
        for job in jobs:
            if job.number in packed:
                said = error or mine.refused.get(packed[job.number].entry.name)
                if said is not None:
                    outcomes[job.number] = _told(job.transfer, said, path)
        return outcomes

    def _pack_one(self, path: Path, job: _Job, shelf: Shelf, packed: dict[int, Packed]) -> None:
        with open_made(job.transfer) as made:
            path.parent.mkdir(parents=True, exist_ok=True)
            heard = self._teller(job.transfer)
            packed[job.number] = pack(made, job.address.member, shelf.file(), self._settings, heard)

    def _write(self, path: Path, parcels: Sequence[Parcel]) -> None:
        """Write what has been handed in, by whomever."""
        with writing(path, self._settings.lock_timeout, self._turns.closed):
            members = [member for parcel in parcels for member in parcel.members]
            refused = merge(path, members, sync=self._settings.sync, beat=self._beat)
            for parcel in parcels:
                parcel.refused = refused

    # ------------------------------------------------------------------------------------- progress

    def _teller(self, transfer: Transfer) -> Callable[[int, int], None]:
        def heard(done: int, total: int) -> None:
            self._must_be_open(transfer)
            if self._context is not None:
                self._context.progress(transfer, done, total)

        return heard

    def _beat(self) -> None:
        if self._turns.closed.is_set():
            raise Trouble("The run has ended.")

    def _must_be_open(self, transfer: Transfer) -> None:
        if self._turns.closed.is_set():
            raise StagingError(transfer.file.url, transfer.way, "The run has ended.")


@contextmanager
def _archive(path: Path) -> Iterator[Archive]:
    with ExitStack() as stack:
        try:
            archive = stack.enter_context(opened(path))
        except FileNotFoundError:
            raise missing(path) from None
        yield archive


def _outcome(
    move: Callable[..., None], where: Archive | Path, job: _Job, *more: object
) -> Exception | None:
    try:
        move(where, job, *more)
    except Exception as error:  # noqa: BLE001 - it is handed on, as the interface says
        path = where.path if isinstance(where, Archive) else where
        return _told(job.transfer, error, path)
    return None


def _address(url: str, way: Way) -> Address:
    try:
        return understood(url)
    except Trouble as trouble:
        raise _error(url, way, trouble) from None


def _told(transfer: Transfer, error: Exception, path: Path) -> Exception:
    """The error of one transfer."""
    if isinstance(error, OSError):
        # The names of what is written meanwhile would tell nobody anything.
        what = path if transfer.way is Way.OUT else transfer.placed.as_path()
        trouble = of_system(error, f"{str(what)!r} could not be written")
        return _error(transfer.file.url, transfer.way, trouble, error)
    if isinstance(error, Trouble):
        return _error(transfer.file.url, transfer.way, error, error)
    return error


def _error(url: str, way: Way, trouble: Trouble, cause: Exception | None = None) -> StagingError:
    error = StagingError(masked(url), way, trouble.why, trouble.todo, again=trouble.again)
    error.__cause__ = cause
    return error
