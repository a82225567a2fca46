"""The launchers ``mpiexec`` and ``mpirun``: one standard, several sets of options.

The MPI standard fixes ``mpiexec -n``; how many copies run on one machine is told to each
implementation in words of its own:

=========  ================================  ============================================
mpich      ``-ppn M -bind-to W -f FILE``     ``mpiexec --help`` of MPICH's Hydra, the same
                                             in Intel MPI and MVAPICH
openmpi    ``--map-by ppr:M:node``           ``mpirun(1)`` of Open MPI 4 and 5
           ``--bind-to W --hostfile FILE``
pals       ``--ppn M --cpu-bind W``          ``mpiexec(1)`` of HPE Cray PALS
           ``--hostfile FILE``
=========  ================================  ============================================
"""

import shlex
from collections.abc import Callable

from weft.interfaces.launcher import Launcher
from weft_launchers.settings import Mpi
from weft_launchers.text import (
    RUN,
    check,
    double_quoted,
    exported,
    framed,
    line,
    program_of,
    saying,
)

__all__ = ["MpiLauncher"]


class MpiLauncher(Launcher):
    """Copies by the program with which an MPI implementation starts its programs."""

    def __init__(self, settings: Mpi) -> None:
        self._settings = settings
        self._program = program_of(settings, settings.plugin)

    def compose(self, command: str, *, nodes: int, per_node: int = 1) -> str:
        """Text that starts the copies, and waits for all of them.

        Raises:
            ValueError: it is no command, or too long, or a number is below 1.
        """
        check(command, nodes, per_node)
        per_node *= self._settings.ranks_per_node
        chosen = self._settings.implementation
        if chosen == "auto":
            return framed(command, self._asked(nodes, per_node))
        forms: dict[str, Callable[[int, int], str]] = {
            "mpich": self._mpich,
            "openmpi": self._openmpi,
            "pals": self._pals,
        }
        return framed(command, forms[chosen](nodes, per_node))

    def _asked(self, nodes: int, per_node: int) -> str:
        """Text that asks the program whose it is, and starts the copies its way."""
        unknown = (
            f"weft: '{self._program} --version' does not say whose options it takes. "
            f"Name it: weft.launcher('{self._settings.plugin}', implementation='mpich'), "
            "'openmpi' or 'pals'. It says: "
        )
        lines = [
            f"weft_version=$({self._program} --version 2>&1 </dev/null) || :",
            "case $weft_version in",
            "*'Open MPI'*|*OpenRTE*|*PRRTE*)",
            self._openmpi(nodes, per_node),
            ";;",
        ]
        # What only Open MPI can do must not be forgotten silently elsewhere.
        if special := self._special():
            sorry = f"weft: {special} is an option of Open MPI alone, and this is another MPI: "
            lines += ["*HYDRA*|*'Intel(R) MPI'*)", _complaint(sorry), ";;"]
        else:
            lines += ["*HYDRA*|*'Intel(R) MPI'*)", self._mpich(nodes, per_node), ";;"]
        lines += ["*)", _complaint(unknown), ";;", "esac"]
        return "\n".join(lines)

    def _special(self) -> str:
        for name in ("allow_run_as_root", "oversubscribe", "environment"):
            if getattr(self._settings, name):
                return name
        return ""

    def _mpich(self, nodes: int, per_node: int) -> str:
        settings = self._settings
        return self._start(
            f"-n {nodes * per_node} -ppn {per_node}",
            f"-bind-to {settings.cpu_bind}" if settings.cpu_bind else "",
            f"-f {double_quoted(settings.node_file)}" if settings.node_file else "",
            "-prepend-rank" if settings.debug else "",
        )

    def _openmpi(self, nodes: int, per_node: int) -> str:
        settings = self._settings
        many = ":OVERSUBSCRIBE" if settings.oversubscribe else ""
        start = self._start(
            f"-n {nodes * per_node} --map-by ppr:{per_node}:node{many}",
            f"--bind-to {settings.cpu_bind}" if settings.cpu_bind else "",
            f"--hostfile {double_quoted(settings.node_file)}" if settings.node_file else "",
            "--allow-run-as-root" if settings.allow_run_as_root else "",
            "--tag-output" if settings.debug else "",
            "$weft_export",
        )
        # Copies on other machines get the environment of their daemon there, and what -x names.
        return f"{exported('-x', tuple(settings.environment))}\n{start}"

    def _pals(self, nodes: int, per_node: int) -> str:
        settings = self._settings
        return self._start(
            f"-n {nodes * per_node} --ppn {per_node}",
            f"--cpu-bind {settings.cpu_bind}" if settings.cpu_bind else "",
            f"--hostfile {double_quoted(settings.node_file)}" if settings.node_file else "",
        )

    def _start(self, *options: str) -> str:
        words = line(self._program, *options, self._settings.overrides)
        return f"{saying(self._settings, words)}exec {words} {RUN}"


def _complaint(text: str) -> str:
    return f"printf '%s%s\\n' {shlex.quote(text)} \"$weft_version\" >&2\nexit 1"
