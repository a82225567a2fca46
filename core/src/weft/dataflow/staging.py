"""Brings the files of a task to where it runs, and takes away what it made.

Everything here runs in threads of the work pool, several at once. What stagers do is theirs; this
room finds the files among the arguments, asks the stager of each scheme for a plan, has it carried
out, and puts the file in its place among the arguments, with the path by which the task knows it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from weft.dataflow.arguments import replaced
from weft.errors import StagingError, UnknownScheme, WeftError
from weft.interfaces.stager import Place, Stager, Transfer, Way
from weft.values.files import File

__all__ = ["Brought", "Staging"]

Brought = tuple[tuple[Any, ...], Mapping[str, Any], Sequence[Transfer]]
"""The arguments with files in their place, and what is to be moved after the task."""


class Staging:
    """The stagers of a session.

    Args:
        stager_for: the started stager of a scheme, or ``None``; asked once for each scheme.
        schemes: the schemes that can be moved, for error texts.
        place_of: where tasks of an executor run.
    """

    def __init__(
        self,
        stager_for: Callable[[str], Stager | None],
        schemes: Callable[[], Sequence[str]],
        place_of: Callable[[str], Place],
    ) -> None:
        self._stager_for, self._schemes, self._place_of = stager_for, schemes, place_of

    def check(self, files: Sequence[File]) -> None:
        """See whether each file can be moved.

        Raises:
            UnknownScheme: one cannot.
        """
        for file in files:
            if self._stager_for(file.scheme) is None:
                raise UnknownScheme(file.url, file.scheme, self._schemes())

    def bring(
        self,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        outputs: Sequence[File],
        executor: str,
        decide: Callable[[File], Transfer | None] | None = None,
    ) -> Brought:
        """Have the files among the arguments brought, and those in ``outputs`` planned.

        Args:
            args: the arguments of the call by place.
            kwargs: those by name.
            outputs: the files that the task makes.
            executor: the label of where it runs.
            decide: makes the plan of an input in place of its stager, or leaves it by ``None``.

        Raises:
            StagingError: a file could not be brought.
        """
        place = self._place_of(executor)
        leaving = [self._plan(Way.OUT, file, place) for file in outputs]
        placed = {transfer.file: transfer.placed for transfer in leaving}

        def put(file: File) -> File:
            if file in placed:
                return placed[file]
            transfer = (decide(file) if decide is not None else None) or self._plan(
                Way.IN, file, place
            )
            self._move(transfer)
            placed[file] = transfer.placed
            return transfer.placed

        brought_args, brought_kwargs = replaced(args, kwargs, File, put)
        return brought_args, brought_kwargs, leaving

    def take(self, transfers: Sequence[Transfer]) -> None:
        """Have files taken away.

        Raises:
            StagingError: a file could not be taken.
        """
        for transfer in transfers:
            self._move(transfer)

    def _plan(self, way: Way, file: File, place: Place) -> Transfer:
        stager = self._stager_for(file.scheme)
        if stager is None:
            raise UnknownScheme(file.url, file.scheme, self._schemes())
        return stager.plan(way, file, place)

    def _move(self, transfer: Transfer) -> None:
        stager = self._stager_for(transfer.file.scheme)
        assert stager is not None
        try:
            stager.move(transfer)
        except WeftError:
            raise
        except Exception as error:
            raise StagingError(
                transfer.file.url, transfer.way, f"{type(error).__name__}: {error}"
            ) from error
