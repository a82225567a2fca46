"""What goes wrong with tasks that get nodes, beside what htex says.

WeftError
├── BadShape             a task asks for nodes and ranks in a way that cannot be
├── NoNodes              a block does not know its nodes, or has too few
├── NoFolder             a block's first node has no place for small files
├── NoLauncher           the program that starts ranks is not there, or is of an unknown kind
├── NotOnMPI             something that a task of this executor is given was asked for elsewhere
├── WrongRanks           a program found itself with another number of ranks than it was given
└── RanksFailed          a function that ran on ranks ended without a result for each
"""

from collections.abc import Sequence

from weft.errors import WeftError

__all__ = ["BadShape", "NoFolder", "NoLauncher", "NoNodes", "NotOnMPI", "RanksFailed", "WrongRanks"]


class BadShape(WeftError):
    """A task asks for nodes and ranks in a way that cannot be fulfilled, now or ever."""

    code = "W-MPI-001"

    def __init__(self, app: str, reason: str, todo: str) -> None:
        super().__init__(f"{app!r} cannot get the nodes that it asks for.", why=reason, todo=todo)
        self.app, self.reason = app, reason


class NoNodes(WeftError):
    """The manager of a block cannot tell which nodes the block has, or there are too few."""

    code = "W-MPI-002"

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(
            "The nodes of this block are not what they should be.",
            why=f"{source}: {reason}",
            todo="Have the provider give as many nodes as nodes_per_block says; with no scheduler, "
            "name the machines with MPI(hosts=...).",
        )
        self.source, self.reason = source, reason


class NoFolder(WeftError):
    """The manager of a block cannot make a folder for what it tells its tasks of their nodes."""

    code = "W-MPI-007"

    def __init__(self, reason: str) -> None:
        super().__init__(
            "The manager of a block has no folder for temporary files.",
            why=reason,
            todo="Name one with 'export TMPDIR=...' in worker_init, on a disk of the node itself.",
        )
        self.reason = reason


class NoLauncher(WeftError):
    """The program that is to start ranks cannot be used."""

    code = "W-MPI-003"

    def __init__(self, program: str, reason: str, todo: str) -> None:
        super().__init__(f"{program!r} cannot start the ranks of a task.", why=reason, todo=todo)
        self.program, self.reason = program, reason


class NotOnMPI(WeftError):
    """The nodes of a task were asked for where there is none of this executor."""

    code = "W-MPI-004"

    def __init__(self, reason: str = "") -> None:
        super().__init__(
            "This does not run in a task of the executor 'mpi'.",
            why=reason or "Only such a task has nodes of its own.",
            todo="Name the executor in the app, as in @python_app(executors=['mpi']).",
        )
        self.reason = reason


class WrongRanks(WeftError):
    """A program was started as so many ranks, and its MPI sees another number of them.

    Most often each process is rank 0 of 1: the program's MPI library is not that of the launcher
    that started it.

    Attributes:
        expected: as how many ranks it was started.
        found: how many its MPI sees.
        library: what its MPI library calls itself, if that is known.
    """

    code = "W-MPI-005"

    def __init__(self, expected: int, found: int, library: str = "") -> None:
        alone = found == 1 and expected > 1
        told = f" It is {library}." if library else ""
        super().__init__(
            f"The program was started as {expected} ranks, and its MPI sees {found}"
            + (": every rank is rank 0 of 1." if alone else "."),
            why=(
                "The MPI library that it loaded is not the one of the launcher that started it."
                if alone
                else "Something between the launcher and the program changed their number."
            )
            + told,
            todo="Load the MPI of the launcher in worker_init, or choose the launcher of that "
            "library; srun may want --mpi=pmi2 or --mpi=pmix among launcher_options. mpi4py can be "
            "told by MPI4PY_MPIABI.",
        )
        self.expected, self.found, self.library = expected, found, library


class RanksFailed(WeftError):
    """A function that was to run on ranks ended without a result for each of them.

    Attributes:
        function: its name.
        exit_code: of the launcher.
        words: the last that was written to the error output.
    """

    code = "W-MPI-006"

    def __init__(self, function: str, exit_code: int, words: Sequence[str]) -> None:
        said = "\n  ".join(words)
        super().__init__(
            f"The ranks of {function!r} ended without their results.",
            why=f"The launcher ended with exit code {exit_code}."
            + (f" The last that was written:\n  {said}" if said else ""),
            todo="Look at the words of the launcher; a rank that was killed is most often one that "
            "took too much memory.",
        )
        self.function, self.exit_code, self.words = function, exit_code, tuple(words)
