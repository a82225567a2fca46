"""The launchers whose program has one form of options: text in, text out.

Each says where the options are documented. Copies run through ``/bin/sh -c``, with the command as
one argument, so its quoting does not meet the shell that starts the program.
"""

from abc import abstractmethod

from weft.interfaces.launcher import Launcher
from weft_launchers.settings import Aprun, Flux, Ibrun, Jsrun, Launched
from weft_launchers.text import RUN, check, framed, line, program_of, saying

__all__ = ["AprunLauncher", "FluxLauncher", "IbrunLauncher", "JsrunLauncher"]


class _OneLine(Launcher):
    """A launcher that is a program with options."""

    def __init__(self, settings: Launched) -> None:
        self._common = settings

    @abstractmethod
    def started(self, nodes: int, per_node: int) -> str:
        """The program and its options."""

    def compose(self, command: str, *, nodes: int, per_node: int = 1) -> str:
        """Text that starts the copies, and waits for all of them.

        Raises:
            ValueError: it is no command, or too long, or a number is below 1.
        """
        check(command, nodes, per_node)
        started = self.started(nodes, per_node * self._common.ranks_per_node)
        words = line(started, self._common.overrides)
        return framed(command, f"{saying(self._common, words)}exec {words} {RUN}")


class AprunLauncher(_OneLine):
    """Copies by aprun, the starter of Cray's ALPS.

    Options: ``aprun(1)`` in HPE's "Run Applications Using the aprun Command" (a00114008en_us).
    """

    def __init__(self, settings: Aprun) -> None:
        super().__init__(settings)
        self._settings = settings

    def started(self, nodes: int, per_node: int) -> str:
        """``-n`` copies in all, ``-N`` on each machine, ``-cc`` for the cores."""
        bind = self._settings.cpu_bind
        return line(
            program_of(self._settings, "aprun"),
            f"-n {nodes * per_node} -N {per_node}",
            f"-cc {bind}" if bind else "",
        )


class FluxLauncher(_OneLine):
    """Copies by flux run.

    Options: ``flux-run(1)`` of flux-core, whose per-resource options (``--nodes`` with
    ``--tasks-per-node``) say the same for any number of cores.
    """

    def __init__(self, settings: Flux) -> None:
        super().__init__(settings)
        self._settings = settings

    def started(self, nodes: int, per_node: int) -> str:
        """``--nodes`` and ``--tasks-per-node``, the latter not to be had with ``--ntasks``."""
        settings = self._settings
        return line(
            program_of(settings, "flux"),
            f"run --nodes={nodes} --tasks-per-node={per_node}",
            "--exclusive" if settings.exclusive else "",
            f"-o cpu-affinity={settings.cpu_bind}" if settings.cpu_bind else "",
            "--label-io" if settings.debug else "",
        )


class IbrunLauncher(_OneLine):
    """Copies by ibrun, TACC's front of the starters of several MPI implementations.

    Options: the user guides of TACC, "Launching Applications" (``-n``, ``-o``); the copies on a
    machine are those that the job asked for unless ``IBRUN_TASKS_PER_NODE`` says otherwise.
    """

    def __init__(self, settings: Ibrun) -> None:
        super().__init__(settings)
        self._settings = settings

    def started(self, nodes: int, per_node: int) -> str:
        """``-n`` copies from the task ``-o`` on; ``env`` gives the number on each machine."""
        return line(
            f"env IBRUN_TASKS_PER_NODE={per_node}",
            program_of(self._settings, "ibrun"),
            f"-n {nodes * per_node} -o {self._settings.offset}",
        )


class JsrunLauncher(_OneLine):
    """Copies by jsrun, the starter of IBM's Job Step Manager.

    Options: ``jsrun`` in IBM's "Spectrum LSF Job Step Manager" documentation; Oak Ridge's guide to
    Summit shows resource sets in pictures.
    """

    def __init__(self, settings: Jsrun) -> None:
        super().__init__(settings)
        self._settings = settings

    def started(self, nodes: int, per_node: int) -> str:
        """``-n`` resource sets, ``-r`` on each machine, ``-a`` copies in each."""
        settings = self._settings
        return line(
            program_of(settings, "jsrun"),
            f"-n {nodes} -r 1 -a {per_node} -c {settings.cpus} -g {settings.gpus}",
            f"-b {settings.cpu_bind}" if settings.cpu_bind else "",
            "--stdio_mode prepended" if settings.debug else "",
        )
