"""What a task of this executor finds: its nodes, and how to start a program on them.

executor   MPIBody(function, shape, launch), a ticket with each task
manager    a file named by the ticket, with the nodes that the task got
worker     MPIBody.__call__: reads it, sets variables, calls the function
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from weft_mpi import guard
from weft_mpi.errors import NoLauncher, NotOnMPI
from weft_mpi.prefix import Dialect, Launch, dialect_in, words_of
from weft_mpi.shape import Shape, plain

__all__ = ["FOLDER", "Allotment", "MPIBody", "StatefulBody", "here", "ticket_of"]

FOLDER: Final = "WEFT_MPI_FOLDER"
"""The variable that names the folder with a file for each task that has nodes."""

_VERSION: Final = 30.0


def ticket_of(task: int, attempt: int) -> str:
    """What a try of a task is called between executor, manager and worker."""
    return f"{task}-{attempt}"


@attrs.frozen(kw_only=True)
class Allotment:
    """The nodes of a task, and how to start a program on them.

    Attributes:
        hosts: the nodes, by the names that the scheduler gave.
        ranks_per_node: copies of a program on each.
        words: what starts a program as ranks when it stands before its words.
    """

    hosts: tuple[str, ...]
    ranks_per_node: int
    words: tuple[str, ...]

    @property
    def nodes(self) -> int:
        """How many nodes."""
        return len(self.hosts)

    @property
    def ranks(self) -> int:
        """Copies of a program in all."""
        return len(self.hosts) * self.ranks_per_node

    @property
    def prefix(self) -> str:
        """The words as text for a shell, as ``$WEFT_MPI_PREFIX`` has it."""
        return " ".join(self.words)

    def variables(self) -> dict[str, str]:
        """What a task finds in its environment."""
        return {
            "WEFT_MPI_PREFIX": self.prefix,
            "WEFT_MPI_HOSTS": ",".join(self.hosts),
            "WEFT_MPI_NODES": str(self.nodes),
            "WEFT_MPI_RANKS": str(self.ranks),
            "WEFT_MPI_RANKS_PER_NODE": str(self.ranks_per_node),
        }


def here() -> Allotment:
    """The nodes of the task that runs in this process, or that started it.

    Raises:
        NotOnMPI: there is none.
    """
    try:
        return Allotment(
            hosts=tuple(os.environ["WEFT_MPI_HOSTS"].split(",")),
            ranks_per_node=int(os.environ["WEFT_MPI_RANKS_PER_NODE"]),
            words=tuple(os.environ["WEFT_MPI_PREFIX"].split(" ")),
        )
    except (KeyError, ValueError):
        raise NotOnMPI from None


class StatefulBody:
    """Calls a function in a task that has nodes.

    Args:
        function: the task's own.
        shape: what the task asks for.
        launch: how ranks are started.
    """

    def __init__(self, function: Callable[..., Any], shape: Shape, launch: Launch) -> None:
        self.function, self.shape, self.launch = function, shape, launch

    @property
    def times_out_itself(self) -> bool:
        """Whether the function keeps its walltime itself, as commands do."""
        return bool(getattr(self.function, "times_out_itself", False))

    def __call__(self, ticket: str, *args: Any, **kwargs: Any) -> Any:
        """What the function returns.

        Raises:
            NotOnMPI: the nodes of this task are not known here.
            NoLauncher: nothing that starts ranks can be used.
        """
        folder = os.environ.get(FOLDER, "")
        try:
            hosts = Path(folder, f"{ticket}.hosts").read_text().split()
        except OSError as trouble:
            raise NotOnMPI(f"The file with its nodes cannot be read: {trouble}") from trouble
        allotment = Allotment(
            hosts=tuple(hosts),
            ranks_per_node=self.shape.ranks_per_node,
            words=_guarded(words_of(self.launch, _dialect(self.launch), self.shape, hosts)),
        )
        files = {
            "WEFT_MPI_HOSTFILE": str(Path(folder, f"{ticket}.hosts")),
            guard.HOLD: str(Path(folder, f"{ticket}.hold")),
        }
        with _environment({**allotment.variables(), **files}):
            return self.function(*args, **kwargs)


class MPIBody(StatefulBody):
    """As :class:`StatefulBody`, for a function that is the same in each call."""

    packs_once = True


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _guarded(words: list[str]) -> tuple[str, ...]:
    """The words behind those that see to the end of the ranks.

    Raises:
        NoLauncher: a shell would take one of them for something else.
    """
    whole = (sys.executable, "-IS", guard.__file__, *words)
    for word in whole:
        if not plain(word):
            raise NoLauncher(
                words[0],
                f"{word!r} is part of $WEFT_MPI_PREFIX, where a shell would change it.",
                "Install Python and weft-mpi in folders without blanks in their names.",
            )
    return whole


_known: dict[str, Dialect] = {}


def _dialect(launch: Launch) -> Dialect:
    """Whose options the launcher takes; it is asked once in each worker.

    Raises:
        NoLauncher: it does not say.
    """
    if launch.dialect is not None:
        return launch.dialect
    program = launch.program
    if program not in _known:
        said = _version(program)
        found = dialect_in(said)
        if found is None:
            raise NoLauncher(
                program,
                f"'{program} --version' does not say whose options it takes. It says: {said[:500]}",
                "Name it with MPI(implementation='mpich'), 'openmpi' or 'pals'.",
            )
        _known[program] = found
    return _known[program]


def _version(program: str) -> str:
    try:
        ran = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_VERSION,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as trouble:
        raise NoLauncher(
            program,
            f"'{shlex.quote(program)} --version' cannot be run on the block's first node: "
            f"{trouble}",
            "Load an MPI in worker_init, or name the launcher with MPI(mpi_launcher=...).",
        ) from trouble
    return ran.stdout.decode("utf-8", "replace").strip()
