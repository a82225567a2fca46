"""How many blocks tasks need that get several nodes each. Pure: numbers in, numbers out."""

from collections.abc import Mapping

__all__ = ["blocks_for", "tasks_per_block"]


def blocks_for(asked: Mapping[int, int], nodes: int, most: int) -> int:
    """Blocks in which all of these tasks can run at once.

    One block after another is filled, the largest tasks first: "first fit decreasing", which comes
    close to the fewest that there could be.

    Args:
        asked: for a number of nodes, how many tasks get so many.
        nodes: that a block has.
        most: tasks that it runs at once, however small they are.
    """
    left = {min(size, nodes): 0 for size in sorted(asked, reverse=True)}
    for size, count in asked.items():
        left[min(size, nodes)] += count
    blocks = 0
    while any(left.values()):
        room, places = nodes, most
        chosen: dict[int, int] = {}
        for size, count in left.items():
            if fit := min(count, room // size, places):
                chosen[size] = fit
                room, places = room - fit * size, places - fit
        # Then come blocks that are filled in the same way, as far as there are tasks for it.
        alike = min(left[size] // fit for size, fit in chosen.items())
        blocks += alike
        for size, fit in chosen.items():
            left[size] -= fit * alike
    return blocks


def tasks_per_block(asked: Mapping[int, int], nodes: int, most: int) -> float:
    """How many of these tasks a block runs at once, on average; arguments as above."""
    return sum(asked.values()) / max(1, blocks_for(asked, nodes, most))
