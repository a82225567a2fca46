"""How many nodes and ranks a task gets: pure.

Three numbers, of which any two give the third: ``nodes`` times ``ranks_per_node`` is ``num_ranks``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from weft.values.task import Resources

__all__ = ["OPTIONS", "Shape", "Unfit", "on_nodes", "plain", "shape_of"]

OPTIONS = ("nodes", "ranks_per_node", "num_ranks", "launcher_options")
"""What tasks may ask for by ``resources``."""


class Unfit(ValueError):
    """What is asked for cannot be.

    Attributes:
        todo: what to do about it.
    """

    def __init__(self, reason: str, todo: str) -> None:
        super().__init__(reason)
        self.todo = todo


@attrs.frozen
class Shape:
    """What a task gets.

    Attributes:
        nodes: how many, each of them whole.
        ranks_per_node: copies of a program on each.
        launcher_options: words for the launcher, besides those of the settings.
    """

    nodes: int = 1
    ranks_per_node: int = 1
    launcher_options: tuple[str, ...] = ()

    @property
    def ranks(self) -> int:
        """Copies of a program in all."""
        return self.nodes * self.ranks_per_node


def on_nodes(
    nodes: int | None = None,
    *,
    ranks_per_node: int | None = None,
    num_ranks: int | None = None,
    launcher_options: Sequence[str] = (),
) -> Resources:
    """What a task asks for, as ``resources`` of an app or of a call takes it.

    Args:
        nodes: how many, each of them whole; 1, or as many as follow, when left out.
        ranks_per_node: copies of a program on each; those of the executor when left out.
        num_ranks: copies in all, in place of one of the others.
        launcher_options: words for the launcher, besides those of the executor.
    """
    asked = {"nodes": nodes, "ranks_per_node": ranks_per_node, "num_ranks": num_ranks}
    options: dict[str, object] = {key: value for key, value in asked.items() if value is not None}
    if launcher_options:
        options["launcher_options"] = tuple(launcher_options)
    return Resources(options=options)


def shape_of(resources: Resources | None, *, ranks_per_node: int, most: int) -> Shape:
    """What a task gets for what it asks.

    Args:
        resources: what it asks for; ``None`` for one node.
        ranks_per_node: where it leaves that open.
        most: nodes that a block has.

    Raises:
        Unfit: it cannot be.
    """
    if resources is None:
        return Shape(1, ranks_per_node)
    options = resources.options
    for name in ("cores", "memory", "accelerators"):
        if getattr(resources, name) is not None:
            raise Unfit(
                f"It asks for {name}, and a task of this executor has its nodes whole.",
                f"Leave {name} out; how many cores a rank has is told to the launcher.",
            )
    for name in options:
        if name not in OPTIONS:
            raise Unfit(
                f"It asks for {name!r}, which this executor does not know.",
                f"The names are {', '.join(OPTIONS)}.",
            )
    nodes, each, ranks = (_count(options, name) for name in OPTIONS[:3])
    nodes, each = _completed(nodes, each, ranks, ranks_per_node)
    if nodes > most:
        raise Unfit(
            f"It asks for {nodes} nodes, and a block of this executor has {most}.",
            f"Ask for {most} at most, or set nodes_per_block={nodes}.",
        )
    return Shape(nodes, each, _words(options.get("launcher_options", ())))


def _count(options: Mapping[str, object], name: str) -> int | None:
    value = options.get(name)
    if value is None:
        return None
    if type(value) is not int or value < 1:
        raise Unfit(f"{name} is {value!r}.", f"{name} is a whole number from 1.")
    return value


def _completed(
    nodes: int | None, each: int | None, ranks: int | None, usual: int
) -> tuple[int, int]:
    """Nodes, and ranks on each, of which one may follow from the others."""
    if ranks is None:
        return nodes or 1, each or usual
    if each is None and nodes is None:
        # As few nodes as it takes with the usual number on each.
        each = min(ranks, usual)
    if each is None:
        assert nodes is not None  # else it was set above
        each, rest = divmod(ranks, nodes)
        if rest or not each:
            raise Unfit(
                f"{ranks} ranks cannot be spread evenly over {nodes} nodes.",
                f"num_ranks is a multiple of nodes, such as {nodes * max(1, each)}.",
            )
        return nodes, each
    if nodes is None:
        nodes, rest = divmod(ranks, each)
        if rest or not nodes:
            raise Unfit(
                f"{ranks} ranks do not fill nodes of {each} ranks each.",
                f"num_ranks is a multiple of ranks_per_node, such as {each * max(1, nodes)}.",
            )
        return nodes, each
    if nodes * each != ranks:
        raise Unfit(
            f"{nodes} nodes of {each} ranks each are {nodes * each} ranks, not {ranks}.",
            "Leave one of nodes, ranks_per_node and num_ranks out.",
        )
    return nodes, each


def _words(given: object) -> tuple[str, ...]:
    if isinstance(given, str):
        given = tuple(given.split())
    if not isinstance(given, Sequence):
        raise Unfit(f"launcher_options is {given!r}.", "It is a sequence of words, or one string.")
    words = tuple(given)
    for word in words:
        if not isinstance(word, str) or not plain(word):
            raise Unfit(
                f"launcher_options holds {word!r}.",
                "Each is a word that no shell would change: without blanks, quotes and $.",
            )
    return words


_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@%+=:,./-^{}")


def plain(word: str) -> bool:
    """Whether a shell that splits a variable into words leaves this one as it is."""
    return bool(word) and _PLAIN.issuperset(word)
