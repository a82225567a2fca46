"""One call as bytes: for executors that give each task a process, a job or a place in a pool.

    client                                       wherever it runs
    pack_call(function, args, kwargs) ─ bytes ─▶ run_call(bytes)
    outcome_of(bytes)                 ◀─ bytes ─

``python -m weft.calls`` is the right half as a command: a call comes on its standard input, the
outcome goes to its standard output. What the task itself prints goes to standard error.

Each call brings the definitions that it needs. An executor with workers that stay, and much to do,
sends messages of many calls instead, and each definition once.
"""

from __future__ import annotations

from _pickle import dumps, loads  # as in running.py

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from weft.calls.chosen import Chosen

__all__ = ["outcome_of", "pack_call", "run_call"]


def pack_call(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    subject: str = "the task",
    *,
    chosen: Chosen | None = None,
    task: int | None = None,
) -> bytes:
    """One call with all that it needs, as bytes. From any thread.

    Args:
        function: what to call.
        args: its positional arguments.
        kwargs: its keyword arguments.
        subject: what an error message calls this call, such as ``"'align' (task 3)"``.
        chosen: what is to pack it; ``None`` for the default way.
        task: the number of the task, for what was chosen.

    Raises:
        SerializationError: a part of it cannot be packed; the error names the part.
    """
    from weft.calls.batches import calls_message
    from weft.calls.packing import Packer

    call = Packer().pack(function, args, kwargs, subject, chosen=chosen, task=task)
    return _joined(calls_message([(0, call)], {}))


def run_call(packed: bytes) -> bytes:
    """Run a call that was packed by :func:`pack_call`. Returns its outcome, as bytes.

    Raises nothing that the call raises: that is its outcome.
    """
    from weft.calls.batches import opened_calls, results_message
    from weft.calls.running import Runner

    _, definitions, calls = opened_calls(loads(packed))
    runner = Runner()
    for name, blob in definitions:
        runner.define(name, blob)
    ((number, digest, needs, head, buffers),) = calls
    result = runner.run(digest, needs, head, buffers)
    return _joined(results_message([(number, result, 0, 0.0)]))


def outcome_of(packed: bytes) -> Any:
    """What a call returned, from what :func:`run_call` gave.

    Raises:
        BaseException: what the call raised, whatever it was, with the traceback of where it ran as
            its cause.
        SerializationError: the value cannot be opened here.
    """
    from weft.calls.batches import opened
    from weft.calls.failures import error_of
    from weft.calls.running import ERROR, value_of

    _, ((_, kind, head, buffers, *_),) = opened(loads(packed))
    if kind == ERROR:
        raise error_of(head)
    return value_of(head, buffers)


def _joined(parts: Sequence[Any]) -> bytes:
    solid = [
        # What could be written to before can be written to afterwards.
        (bytes(part) if part.readonly else bytearray(part))
        if isinstance(part, memoryview)
        else part
        for part in parts
    ]
    return dumps(solid, 5)
