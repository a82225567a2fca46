"""Finds the files of a task, has stagers plan their ways, and has them moved.

``prepare`` and ``move`` run in threads, several at once. What stagers do is theirs; this room finds
the files among the arguments, asks the stager of each scheme for a plan, and puts the file in its
place among the arguments, with the path by which the task knows it. When each transfer is made, and
what becomes of it, is decided in ``transfers``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from weft.dataflow.arguments import replaced
from weft.dataflow.sizes import Sizes, stays
from weft.errors import StagingError, UnknownScheme, WeftError
from weft.interfaces.stager import Place, Stager, Transfer, Way
from weft.values.files import File
from weft.values.message import message

if TYPE_CHECKING:
    from weft.data.errand import Facts, Plan
    from weft.data.haul import Haul, Planned

__all__ = ["Prepared", "Staging"]


@message
class Prepared:
    """What a task needs of its files before it can run, and after.

    Attributes:
        args, kwargs: the arguments, with files in their place.
        coming: what is to be moved before it runs.
        leaving: what is to be moved after it.
        errand: what is to be moved by itself, where it runs; ``None`` if that is nothing.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    coming: Sequence[Transfer]
    leaving: Sequence[Transfer]
    errand: Plan | None = None


class Staging:
    """The stagers of a session.

    Args:
        stager_for: the started stager of a scheme, or ``None``; asked once for each scheme.
        schemes: the schemes that can be moved, for error texts.
        place_of: where tasks of an executor run.
        haul: moves files to sites and between them; ``None`` if no executor has a site.
        moves_folders: whether the stager of a scheme does.

    Attributes:
        sizes: counts what is moved.
    """

    def __init__(
        self,
        stager_for: Callable[[str], Stager | None],
        schemes: Callable[[], Sequence[str]],
        place_of: Callable[[str], Place],
        haul: Haul | None = None,
        moves_folders: Callable[[str], bool] = lambda scheme: scheme == "file",
    ) -> None:
        self._moves_folders = moves_folders
        self._haul = haul
        self._stager_for, self._schemes, self._place_of = stager_for, schemes, place_of
        self._unwanted: dict[int, Transfer] = {}
        self.sizes = Sizes()

    def check(self, files: Sequence[File]) -> None:
        """See whether each file can be moved.

        Raises:
            UnknownScheme: one cannot.
            StagingError: it is of a site that is not there; or a folder, and its stager moves none.
        """
        for file in files:
            if self._haul is not None and file.scheme == "site":
                self._haul.check(file)
            elif self._stager_for(file.scheme) is None:
                raise UnknownScheme(file.url, file.scheme, self._schemes())
            elif file.is_folder and not self._moves_folders(file.scheme):
                raise StagingError(
                    file.url,
                    Way.IN,
                    f"It ends with a slash, so it is a folder, and the stager of {file.scheme!r} "
                    "moves files alone.",
                    "Name each of its files, or pack it into one, such as with tar.",
                )

    def prepare(
        self,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        outputs: Sequence[File],
        executor: str,
        decide: Callable[[File], Transfer | None] | None = None,
    ) -> Prepared:
        """Plan the ways of the files among the arguments, and of those in ``outputs``.

        Files that are used where they are, are looked for here and now.

        Args:
            args: the arguments of the call by place.
            kwargs: those by name.
            outputs: the files that the task makes.
            executor: the label of where it runs.
            decide: makes the plan of an input in place of its stager, or leaves it by ``None``.

        Raises:
            StagingError: there is no way for a file, or it is not there.
        """
        place = self._place_of(executor)
        coming: list[Transfer] = []
        leaving: list[Transfer] = []
        placed: dict[File, File] = {}
        hauled: list[Planned] = []

        def note(file: File, planned: Planned, transfers: list[Transfer]) -> File:
            hauled.append(planned)
            if planned.transfer is not None:
                transfers.append(planned.transfer)
            placed[file] = planned.placed
            return planned.placed

        for file in outputs:
            if self._haul is not None and self._haul.concerns(file, place):
                note(file, self._haul.plan_out(file, place), leaving)
            else:
                transfer = self._plan(Way.OUT, file, place)
                leaving.append(transfer)
                placed[file] = transfer.placed

        def put(file: File) -> File:
            if file in placed:
                return placed[file]
            transfer = decide(file) if decide is not None else None
            if transfer is None:
                if self._haul is not None and self._haul.concerns(file, place):
                    return note(file, self._haul.plan_in(file, place), coming)
                transfer = self._plan(Way.IN, file, place)
            if stays(transfer):
                error = self._moved(transfer)
                if error is not None:
                    raise error
            else:
                coming.append(transfer)
            placed[file] = transfer.placed
            return transfer.placed

        put_args, put_kwargs = replaced(args, kwargs, File, put)
        errand = self._haul.errand(hauled, place) if self._haul is not None and hauled else None
        return Prepared(put_args, put_kwargs, coming, leaving, errand)

    def errand_done(self, executor: str, errand: Plan, facts: Sequence[Facts]) -> None:
        """A task has come back from its errand. Quick."""
        assert self._haul is not None
        self._haul.done(errand, facts, self._place_of(executor))

    def move(self, transfers: Sequence[Transfer]) -> Sequence[BaseException | None]:
        """Have files moved by their stager: one of any, or several of one that moves many.

        Returns:
            For each what went wrong, or ``None``.
        """
        if len(transfers) == 1:
            return [self._moved(transfers[0])]
        stager = self._stager(transfers[0])
        try:
            outcomes = stager.move_all(transfers)
            if len(outcomes) != len(transfers):
                raise RuntimeError(f"{len(outcomes)} answers came for {len(transfers)} transfers")
        except BaseException as error:  # noqa: BLE001 - a stager may raise anything
            return [_told(transfer, error) for transfer in transfers]
        return [
            None if outcome is None else _told(transfer, outcome)
            for transfer, outcome in zip(transfers, outcomes, strict=True)
        ]

    def moves_many(self, transfer: Transfer) -> Stager | None:
        """The stager that moves it, if that one moves many files for less than one by one."""
        stager = self._stager(transfer)
        return stager if type(stager).move_all is not Stager.move_all else None

    def abandon(self, transfer: Transfer) -> None:
        """Nobody waits for this one, known by its identity, any more."""
        self._unwanted[id(transfer)] = transfer

    def forget(self, transfer: Transfer) -> None:
        """It has come to its end."""
        self._unwanted.pop(id(transfer), None)

    def is_wanted(self, transfer: Transfer) -> bool:
        """Whether somebody waits for this one."""
        return id(transfer) not in self._unwanted

    def _plan(self, way: Way, file: File, place: Place) -> Transfer:
        stager = self._stager_for(file.scheme)
        if stager is None:
            raise UnknownScheme(file.url, file.scheme, self._schemes())
        return stager.plan(way, file, place)

    def _stager(self, transfer: Transfer) -> Stager:
        if self._haul is not None and self._haul.concerns(transfer.file, transfer.place):
            return self._haul
        stager = self._stager_for(transfer.file.scheme)
        if stager is None:
            raise UnknownScheme(transfer.file.url, transfer.file.scheme, self._schemes())
        return stager

    def _moved(self, transfer: Transfer) -> BaseException | None:
        try:
            self._stager(transfer).move(transfer)
        except BaseException as error:  # noqa: BLE001 - a stager may raise anything
            return _told(transfer, error)
        return None


def _told(transfer: Transfer, error: BaseException) -> BaseException:
    if isinstance(error, WeftError):
        return error
    told = StagingError(
        transfer.file.url,
        transfer.way,
        f"{type(error).__name__}: {error}",
        again=isinstance(error, (ConnectionError, TimeoutError)),
    )
    told.__cause__ = error
    return told
