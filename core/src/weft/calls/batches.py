"""Messages of many calls, and of many results.

A message is a list of parts. The first is a pickle of plain tuples, numbers and bytes that
describes all calls or results and holds their small payloads; larger payloads, and buffers that
pickle left out of line, are the parts that follow, in the order in which the description mentions
them. A part is a buffer; or, from a packer or a runner that makes such, the :class:`Chunks` of one.
"""

from __future__ import annotations

from _pickle import dumps, loads  # `pickle` itself would load regular expressions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from weft.calls.call import Call, Definition
    from weft.calls.running import Result

    CallRow = tuple[int, bytes | None, tuple[bytes, ...], bytes | None, int]
    ResultRow = tuple[int, int, Any, int, int, float]

__all__ = ["calls_message", "opened", "opened_calls", "results_message"]

_LARGE = 65536


def calls_message(
    calls: Iterable[tuple[int, Call]],
    sent: dict[bytes, int],
    extra: Any = None,
) -> list[Any]:
    """The parts of a message that carries calls, each with its number.

    Args:
        calls: numbers and calls.
        sent: digests of the definitions that the receiver has, and how many bytes each of them is;
            what this message brings is added.
        extra: plain data of the carrier that goes along.
    """
    rows: list[CallRow] = []
    definitions: list[tuple[bytes, bytes]] = []
    parts: list[Any] = [b""]

    def with_definition(definition: Definition) -> bytes:
        digest = definition.digest
        if digest not in sent:
            sent[digest] = len(definition.blob)
            definitions.append((digest, definition.blob))
        return digest

    for number, call in calls:
        function, buffers = call.function, call.buffers
        head: Any = call.head
        digest = None if function is None else function.digest
        if function is not None and digest not in sent:
            with_definition(function)
        needs = tuple([with_definition(need) for need in call.needs]) if call.needs else ()
        if len(call.head) >= _LARGE:
            parts.append(head)
            head = None
        if buffers:
            parts.extend([buffer.raw() for buffer in buffers])
        rows.append((number, digest, needs, head, len(buffers)))
    parts[0] = dumps((extra, definitions, rows), 5)
    return parts


def opened_calls(
    parts: Sequence[Any],
) -> tuple[
    Any, list[tuple[bytes, bytes]], list[tuple[int, bytes | None, tuple[bytes, ...], Any, Any]]
]:
    """What a message of calls carries: the extra, the definitions, the calls with payloads."""
    extra, definitions, rows = loads(parts[0])
    if len(parts) == 1:  # nothing travels beside it, so the rows are complete
        return extra, definitions, rows
    at = 1
    whole = []
    for number, digest, needs, head, count in rows:
        if head is None:
            head = parts[at]  # noqa: PLW2901 - the payload takes its place
            at += 1
        whole.append((number, digest, needs, head, parts[at : at + count]))
        at += count
    return extra, definitions, whole


def results_message(
    results: Iterable[tuple[int, Result, int, float]], extra: Any = None
) -> list[Any]:
    """The parts of a message of results.

    Args:
        results: of each call its number, its result, the microseconds it took, and when it began,
            in seconds since the epoch.
        extra: plain data of the carrier that goes along.
    """
    rows: list[ResultRow] = []
    parts: list[Any] = [b""]
    for number, result, took, begun in results:
        head, buffers = result.head, result.buffers
        if len(head) >= _LARGE:
            parts.append(head)
            rows.append((number, result.kind, None, len(buffers), took, begun))
        else:
            rows.append((number, result.kind, head, len(buffers), took, begun))
        if buffers:
            parts.extend([buffer.raw() for buffer in buffers])
    parts[0] = dumps((extra, rows), 5)
    return parts


def opened(parts: Sequence[Any]) -> tuple[Any, list[tuple[int, int, Any, Any, int, float]]]:
    """The extra of a message of results; and what each says.

    Returns: the extra, and for each result: number, kind, head, buffers, the microseconds it took,
    and when it began, in seconds since the epoch.
    """
    extra, rows = loads(parts[0])
    if len(parts) == 1:
        return extra, [(n, kind, head, (), took, begun) for n, kind, head, _, took, begun in rows]
    at = 1
    whole = []
    for number, kind, head, count, took, begun in rows:
        if head is None:
            head = parts[at]  # noqa: PLW2901 - the payload takes its place
            at += 1
        whole.append((number, kind, head, parts[at : at + count], took, begun))
        at += count
    return extra, whole
