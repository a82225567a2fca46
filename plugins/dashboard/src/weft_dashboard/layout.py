"""Where the nodes of a graph are drawn: in layers from left to right, in linear time. Pure.

The layer of a node is the length of the longest way to it; within its layer it stands by the mean
place of those it needs (the barycentre method of Sugiyama, Tagawa and Toda, 1981, in one pass).
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

__all__ = ["placed"]

TALL: Final = 12
"""Nodes that stand above one another, at least; of a layer with more, some stand beside others."""


def placed(
    nodes: Iterable[str], edges: Iterable[tuple[str, str]]
) -> Mapping[str, tuple[int, float]]:
    """The column and the row of each node; rows are around 0.

    Args:
        nodes: in an order that counts where nothing else does.
        edges: from what is needed to what needs it. Circles may be among them.
    """
    needs: dict[str, list[str]] = {node: [] for node in nodes}
    needed_by: dict[str, list[str]] = {node: [] for node in needs}
    for before, after in edges:
        if before != after:
            needs[after].append(before)
            needed_by[before].append(after)
    layers: dict[int, list[str]] = {}
    for node, layer in _layers(needs, needed_by).items():
        layers.setdefault(layer, []).append(node)
    found: dict[str, tuple[int, float]] = {}
    column = 0
    for layer in sorted(layers):
        members = layers[layer]
        rows = {}
        for node in members:
            near = [found[need][1] for need in needs[node] if need in found]
            rows[node] = sum(near) / len(near) if near else 0.0
        members.sort(key=rows.__getitem__)  # which keeps the order of those that are equal
        beside = -(-len(members) // max(TALL, math.isqrt(len(members))))
        height = -(-len(members) // beside)
        for index, node in enumerate(members):
            row = index // beside
            found[node] = column + index % beside, row - (height - 1) / 2
        column += beside
    return found


def _layers(needs: Mapping[str, list[str]], needed_by: Mapping[str, list[str]]) -> dict[str, int]:
    """The layer of each node. A circle is opened at the node of it that comes first."""
    left = {node: len(before) for node, before in needs.items()}
    found: dict[str, int] = {}
    free = deque(node for node, number in left.items() if not number)
    waiting = iter(left)
    while len(found) < len(left):
        if not free:
            free.append(next(node for node in waiting if node not in found))
        node = free.popleft()
        if node in found:
            continue
        found[node] = 1 + max((found[n] for n in needs[node] if n in found), default=-1)
        for after in needed_by[node]:
            left[after] -= 1
            if left[after] == 0 and after not in found:
                free.append(after)
    return found
