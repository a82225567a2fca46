"""Which nodes a block has, by what its scheduler left in the environment and in files: pure.

Who asks gives the environment, and functions that read a file and run a command.

=============  ===============================================================================
Slurm          ``SLURM_JOB_NODELIST``, a list in brackets: "OUTPUT ENVIRONMENT VARIABLES" of
               sbatch(1), and "hostlist" of scontrol(1)
PBS, TORQUE    ``PBS_NODEFILE``, a name on each line, as often as it has slots: qsub(1B)
Cobalt         ``COBALT_NODEFILE``, as PBS has it
Grid Engine    ``PE_HOSTFILE``, the name is the first of four columns: sge_pe(5)
LSF            ``LSB_DJOB_HOSTFILE``, a name for each slot; else ``LSB_MCPU_HOSTS``, names and
               numbers in turn; else ``LSB_HOSTS``, names
Flux           ``flux resource list``, a list in brackets: flux-resource(1), RFC 29
=============  ===============================================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

__all__ = ["FLUX_QUESTION", "MOST", "NoList", "block_hosts", "expanded"]

MOST: Final = 100_000
"""Nodes that a list may name; more are taken for a slip."""

FLUX_QUESTION: Final = (
    "flux",
    "resource",
    "list",
    "-n",
    "-o",
    "{nodelist}",
    "-s",
    "free,allocated",
)

_PART: Final = re.compile(r"([^\[\],]*)(?:\[([^\[\]]*)\])?")
_RANGE: Final = re.compile(r"([0-9]+)(?:-([0-9]+))?")

Read = Callable[[str], str]
Ask = Callable[[Sequence[str]], str]


class NoList(ValueError):
    """What names the nodes cannot be read.

    Attributes:
        source: what it is.
    """

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(reason)
        self.source = source


def expanded(text: str) -> list[str]:
    """The names in a list with brackets, such as ``n[1-3,07],login``, in order.

    Several brackets in one name multiply; numbers keep their leading zeros.

    Raises:
        ValueError: it is no such list.
    """
    names: list[str] = []
    for word in _split(text):
        made = [""]
        at = 0
        while at < len(word):
            found = _PART.match(word, at)
            if found is None or found.end() == at:
                raise ValueError(f"{word!r} has a bracket without its other one")
            before, inside = found[1], found[2]
            numbers = [""] if inside is None else _numbers(inside, word)
            if len(made) * len(numbers) + len(names) > MOST:
                raise ValueError(f"{word!r} names more than {MOST} nodes")
            made = [f"{one}{before}{number}" for one in made for number in numbers]
            at = found.end()
        names += made
    return names


def _split(text: str) -> list[str]:
    """The parts between those commas that stand in no bracket."""
    words, depth, begin = [], 0, 0
    for at, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if depth not in {0, 1}:
            raise ValueError(f"{text!r} has a bracket without its other one")
        if letter == "," and not depth:
            words.append(text[begin:at])
            begin = at + 1
    if depth:
        raise ValueError(f"{text!r} has a bracket without its other one")
    words.append(text[begin:])
    stripped = [word.strip() for word in words]
    if not all(stripped):
        raise ValueError(f"{text!r} has a name that is empty")
    if any(re.search(r"\s", word) for word in stripped):
        raise ValueError(f"{text!r} has a name with a blank in it")
    return stripped


def _numbers(inside: str, word: str) -> list[str]:
    found: list[str] = []
    for part in inside.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"{word!r} has {part!r} in brackets, which is no range of numbers")
        first, last = match[1], match[2] or match[1]
        low, high = int(first), int(last)
        if high < low:
            raise ValueError(f"{word!r} has the range {part!r}, which runs backwards")
        if high - low >= MOST:
            raise ValueError(f"{word!r} names more than {MOST} nodes")
        found += [f"{number:0{len(first)}d}" for number in range(low, high + 1)]
    return found


def block_hosts(
    environ: Mapping[str, str], *, flux_first: bool, here: str, read: Read, ask: Ask
) -> tuple[str, list[str]]:
    """What told of the nodes, and their names, each once, in the scheduler's order.

    Args:
        environ: the environment of the block's first process.
        flux_first: whether a Flux instance counts more than the job that it may run in.
        here: what this machine is called, where there is no scheduler.
        read: reads a file.
        ask: runs a command, and returns what it prints.

    Raises:
        NoList: what should name them cannot be read; the message says why.
    """
    ways = [_slurm, _pbs, _cobalt, _grid_engine, _lsf]
    ways.insert(0 if flux_first else len(ways), _flux)
    for way in ways:
        source, names = way(environ, read, ask)
        if source:
            once = list(dict.fromkeys(names))
            if not once:
                raise NoList(source, "it names no node")
            return source, once
    return "this machine", [here]


_Found = tuple[str, Sequence[str]]
_NOT: Final[_Found] = ("", ())


def _in_brackets(source: str, text: str) -> _Found:
    try:
        return source, expanded(text.strip())
    except ValueError as trouble:
        raise NoList(source, str(trouble)) from trouble


def _slurm(environ: Mapping[str, str], _read: Read, _ask: Ask) -> _Found:
    for name in ("SLURM_JOB_NODELIST", "SLURM_NODELIST"):
        if environ.get(name):
            return _in_brackets(name, environ[name])
    return _NOT


def _flux(environ: Mapping[str, str], _read: Read, ask: Ask) -> _Found:
    if not environ.get("FLUX_URI"):
        return _NOT
    source = " ".join(FLUX_QUESTION[:3])
    try:
        # A line for each state that nodes are in.
        lines = [line.strip() for line in ask(FLUX_QUESTION).splitlines()]
    except OSError as trouble:
        raise NoList(source, str(trouble)) from trouble
    return _in_brackets(source, ",".join(filter(None, lines)))


def _lines(name: str, environ: Mapping[str, str], read: Read) -> list[str] | None:
    path = environ.get(name)
    if not path:
        return None
    try:
        return [line.strip() for line in read(path).splitlines() if line.strip()]
    except (OSError, ValueError) as trouble:
        raise NoList(f"{name}={path}", f"the file cannot be read: {trouble}") from trouble


def _firsts(lines: Iterable[str]) -> list[str]:
    return [line.split()[0] for line in lines]


def _from_file(name: str) -> Callable[[Mapping[str, str], Read, Ask], _Found]:
    def way(environ: Mapping[str, str], read: Read, _ask: Ask) -> _Found:
        lines = _lines(name, environ, read)
        return _NOT if lines is None else (name, _firsts(lines))

    return way


_pbs = _from_file("PBS_NODEFILE")
_cobalt = _from_file("COBALT_NODEFILE")
_grid_engine = _from_file("PE_HOSTFILE")


def _lsf(environ: Mapping[str, str], read: Read, _ask: Ask) -> _Found:
    lines = _lines("LSB_DJOB_HOSTFILE", environ, read)
    if lines is not None:
        return "LSB_DJOB_HOSTFILE", _firsts(lines)
    if environ.get("LSB_MCPU_HOSTS"):
        return "LSB_MCPU_HOSTS", environ["LSB_MCPU_HOSTS"].split()[::2]
    if environ.get("LSB_HOSTS"):
        return "LSB_HOSTS", environ["LSB_HOSTS"].split()
    return _NOT
