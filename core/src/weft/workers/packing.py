"""Which slots of a node a task gets: pure, with no clock and no process.

A node is divided into slots, one for each worker. A slot has an equal share of the node's cores and
memory, and, where workers are pinned, processors and accelerators of its own.

    slots of a node    [0: gpu 0] [1: gpu 1] [2] [3]
    a task of 1 core                          ▲
    a task of 1 GPU        ▲
    a task of 2 GPUs       ▲────────▲

A task gets one slot, or as many as it takes to have what it needs; nobody else gets a part of those
meanwhile, so nothing is ever given twice. A task that needs half a slot has a whole one.
"""

from __future__ import annotations

from math import inf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from weft.values.task import Resources

__all__ = ["PLAIN", "Slot", "chosen", "covered", "cpus_of", "divided", "merged"]


class Slot:
    """A part of a node.

    Attributes:
        index: counts the slots of a node, from 0; several that were merged have that of the first.
        cores: how many; infinitely many where they are not counted.
        memory: bytes; as with cores.
        accelerators: their names, as the variables for them want them.
        cpus: the processors that its worker may run on; all if it is empty.
    """

    __slots__ = ("accelerators", "cores", "cpus", "index", "memory")

    def __init__(
        self,
        index: int = 0,
        cores: float = inf,
        memory: float = inf,
        accelerators: tuple[str, ...] = (),
        cpus: tuple[int, ...] = (),
    ) -> None:
        self.index, self.cores, self.memory = index, cores, memory
        self.accelerators, self.cpus = accelerators, cpus

    def __repr__(self) -> str:
        return f"Slot({self.index}, {self.cores}, {self.memory}, {self.accelerators}, {self.cpus})"


PLAIN = Slot()
"""A slot of a node of which nothing is counted."""


def divided(
    count: int,
    cores: float | None = None,
    memory: int | None = None,
    accelerators: Sequence[str] = (),
    cpus: Sequence[tuple[int, ...]] = (),
    *,
    accelerators_each: int | None = None,
) -> tuple[Slot, ...]:
    """A node divided into slots.

    Args:
        count: how many slots.
        cores: of the node, or ``None`` if they are not counted.
        memory: bytes of the node, or ``None`` if they are not counted.
        accelerators: names; those that occur twice are shared by two.
        cpus: the processors of each slot, or nothing.
        accelerators_each: how many a slot gets, as long as there are any; spread evenly when left
            out.
    """
    total = len(accelerators)
    slots = []
    for at in range(count):
        if accelerators_each is None:
            own = accelerators[at * total // count : (at + 1) * total // count]
        else:
            own = accelerators[at * accelerators_each : (at + 1) * accelerators_each]
        slots.append(
            Slot(
                at,
                inf if cores is None else cores / count,
                inf if memory is None else memory / count,
                tuple(own),
                cpus[at] if cpus else (),
            )
        )
    return tuple(slots)


def cpus_of(
    affinity: str | Sequence[Sequence[int]], count: int, cpus: Sequence[int]
) -> list[tuple[int, ...]]:
    """The processors of each of ``count`` workers.

    Args:
        affinity: ``none``: all of them, for each; ``block``: neighbours, the first worker has the
            first ones; ``block-reverse``: neighbours, the first worker has the last ones;
            ``alternating``: each worker has every ``count``-th; or the processors of each worker,
            from the first one again where there are more workers.
        count: how many workers.
        cpus: the processors that there are, in order.

    Where there are more workers than processors, several share one. With a ``block``, the
    processors that remain after an equal division are nobody's.
    """
    if not isinstance(affinity, str):
        return [tuple(affinity[at % len(affinity)]) for at in range(count)]
    if affinity == "none" or not cpus:
        return []
    if count >= len(cpus):
        order = cpus[::-1] if affinity == "block-reverse" else cpus
        return [(order[at % len(cpus)],) for at in range(count)]
    if affinity == "alternating":
        return [tuple(cpus[at::count]) for at in range(count)]
    size = len(cpus) // count
    blocks = [tuple(cpus[at * size : (at + 1) * size]) for at in range(count)]
    if affinity == "block-reverse":
        rest = len(cpus) - size * count
        blocks = [tuple(cpus[rest + at * size : rest + (at + 1) * size]) for at in range(count)]
        blocks.reverse()
    return blocks


def covered(needs: Resources, slots: Sequence[Slot]) -> bool:
    """Whether these slots together have what is needed."""
    return (
        len(_accelerators(slots)) >= (needs.accelerators or 0)
        and sum(slot.memory for slot in slots) >= (needs.memory or 0)
        and sum(slot.cores for slot in slots) >= (needs.cores or 0) - 1e-9
    )


def chosen(needs: Resources, free: Sequence[Slot]) -> list[Slot] | None:
    """The slots that a task should get of those that are free; ``None`` if they do not suffice.

    Never more than it takes: without any one of them, what is needed would not be there.
    """
    alone = [slot for slot in free if covered(needs, (slot,))]
    if alone:  # the one that is the least loss for others
        return [min(alone, key=_worth)]
    taken: list[Slot] = []
    rest = list(free)
    for slot in sorted(rest, key=lambda slot: -len(slot.accelerators)):
        have = _accelerators(taken)
        if len(have) >= (needs.accelerators or 0):
            break
        if not have.issuperset(slot.accelerators):
            taken.append(slot)
            rest.remove(slot)
    rest.sort(key=_worth)
    while rest and not covered(needs, taken):
        taken.append(rest.pop(0))
    if not taken or not covered(needs, taken):
        return None
    for slot in list(taken):
        fewer = [other for other in taken if other is not slot]
        if covered(needs, fewer):
            taken = fewer
    taken.sort(key=lambda slot: slot.index)
    return taken


def _accelerators(slots: Sequence[Slot]) -> set[str]:
    # One that several slots share is there once.
    return {name for slot in slots for name in slot.accelerators}


def _worth(slot: Slot) -> tuple[int, float, float, int]:
    return len(slot.accelerators), slot.cores, slot.memory, slot.index


def merged(slots: Sequence[Slot]) -> Slot:
    """Several slots as one, which has the index of the first."""
    if len(slots) == 1:
        return slots[0]
    return Slot(
        slots[0].index,
        sum(slot.cores for slot in slots),
        sum(slot.memory for slot in slots),
        tuple(dict.fromkeys(name for slot in slots for name in slot.accelerators)),
        tuple(sorted({cpu for slot in slots for cpu in slot.cpus})),
    )
