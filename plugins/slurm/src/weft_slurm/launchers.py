"""The launchers of Slurm: text in, text out."""

import shlex
from collections.abc import Sequence

from weft.interfaces.launcher import Launcher
from weft_slurm.settings import Srun, SrunMPI

__all__ = ["SrunLauncher", "SrunMPILauncher", "build_srun", "build_srun_mpi"]

# A step may use all that its job has on a node, beside other steps; which of it, the command says.
_SHARED = ("--export=ALL", "--overlap", "--cpu-bind=none")


def build_srun(settings: Srun) -> "SrunLauncher":
    """The launcher ``srun`` with these settings."""
    return SrunLauncher(settings)


def build_srun_mpi(settings: SrunMPI) -> "SrunMPILauncher":
    """The launcher ``srun-mpi`` with these settings."""
    return SrunMPILauncher(settings)


class SrunLauncher(Launcher):
    """Starts all copies as one step."""

    def __init__(self, settings: Srun) -> None:
        self._settings = settings

    def compose(self, command: str, *, nodes: int, per_node: int = 1) -> str:
        """One srun, which waits for all copies and ends with the highest of their exit codes.

        Raises:
            ValueError: there is no command, or no node.
        """
        _check(command, nodes, per_node)
        words = [
            "srun",
            f"--nodes={nodes}",
            f"--ntasks={nodes * per_node}",
            f"--ntasks-per-node={per_node}",
            *_SHARED,
            # A copy that ends, well or not, is no reason to end the others.
            "--kill-on-bad-exit=0",
            "--wait=0",
            *_more(self._settings.mpi, self._settings.options),
        ]
        return f"{shlex.join(words)} /bin/sh -c {shlex.quote(command)}"


class SrunMPILauncher(Launcher):
    """Starts each copy as a step of its own."""

    def __init__(self, settings: SrunMPI) -> None:
        self._settings = settings

    def compose(self, command: str, *, nodes: int, per_node: int = 1) -> str:
        """An srun for each copy, side by side; ends with the code of the last one that failed.

        Raises:
            ValueError: there is no command, or no node.
        """
        _check(command, nodes, per_node)
        words = [
            "srun",
            *("--nodes=1", "--ntasks=1", "--ntasks-per-node=1"),
            *_SHARED,
            *_more(self._settings.mpi, self._settings.options),
        ]
        return (
            "(\n"
            f"weft_command={shlex.quote(command)}\n"
            f"weft_left={nodes * per_node} weft_copies='' weft_code=0\n"
            'while [ "$weft_left" -gt 0 ]; do\n'
            "  weft_left=$((weft_left - 1))\n"
            f'  {shlex.join(words)} --relative="$((weft_left / {per_node}))" '
            '/bin/sh -c "$weft_command" &\n'
            '  weft_copies="$weft_copies $!"\n'
            "done\n"
            'for weft_copy in $weft_copies; do wait "$weft_copy" || weft_code=$?; done\n'
            'exit "$weft_code"\n'
            ")"
        )


def _more(mpi: str | None, options: Sequence[str]) -> list[str]:
    return [*([f"--mpi={mpi}"] if mpi else []), *options]


def _check(command: str, nodes: int, per_node: int) -> None:
    if not command.strip():
        raise ValueError("there is no command to launch")
    if "\0" in command:
        raise ValueError("the command holds a NUL character, which no shell can read")
    if nodes < 1 or per_node < 1:
        raise ValueError(f"nodes and per_node are at least 1, not {nodes} and {per_node}")
