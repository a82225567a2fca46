"""A call packed, run, and its outcome unpacked: the one home of the wire format.

Every executor whose workers are other processes uses this, whatever carries the bytes. Nothing here
knows a socket, a queue or a thread.

    client                                           worker
    Packer.pack(function, args, kwargs) → Call
    calls_message([(seq, call), …]) ── parts ──▶  Runner.accept(parts) → jobs
                                                  Runner.run(job) → Result
    opened(parts) → (seq, …)       ◀── parts ──   results_message([…])
    value_of / error_of

An executor that carries each call by itself needs three of these functions alone:
:func:`pack_call`, :func:`run_call` and :func:`outcome_of`; or two, and the command
``python -m weft.calls``.

A *message* is a sequence of buffers ("parts"): the first is small and describes the rest, the
others are large payloads left where they were. Carriers must keep the parts of a message together
and in order, and need not look into them.

* Functions are packed once, and go to each worker once: by reference where a worker can import
  them, else by value.
  What a function of the main script uses (its globals, classes, other functions) goes with it, into
  a mirror of that module on the worker; so instances of the script's classes keep their class on
  the way there and on the way back.
* Arguments and results are pickled by protocol 5, each call by itself: one bad payload harms one
  future. Neither large buffers nor large bytes and texts are copied for it.
* Exceptions travel as text and as themselves; the text always arrives.

The names are loaded when they are touched, so that a worker loads only its own half.
"""

from __future__ import annotations

TYPE_CHECKING = (
    False  # known to type checkers by this name; `typing` itself is not loaded on workers
)
if TYPE_CHECKING:
    from weft.calls.batches import calls_message, opened, results_message
    from weft.calls.budget import Budget
    from weft.calls.call import Call, Definition
    from weft.calls.failures import RemoteTraceback, error_of, explained, pack_error
    from weft.calls.packing import Packer
    from weft.calls.running import Result, Runner, value_of
    from weft.calls.sharing import Shared, shared
    from weft.calls.single import outcome_of, pack_call, run_call

__all__ = [
    "Budget",
    "Call",
    "Definition",
    "Packer",
    "RemoteTraceback",
    "Result",
    "Runner",
    "Shared",
    "calls_message",
    "error_of",
    "explained",
    "opened",
    "outcome_of",
    "pack_call",
    "pack_error",
    "results_message",
    "run_call",
    "shared",
    "value_of",
]

_HOMES = {
    "batches": ("calls_message", "opened", "results_message"),
    "budget": ("Budget",),
    "call": ("Call", "Definition"),
    "failures": ("RemoteTraceback", "error_of", "explained", "pack_error"),
    "packing": ("Packer",),
    "running": ("Result", "Runner", "value_of"),
    "sharing": ("Shared", "shared"),
    "single": ("outcome_of", "pack_call", "run_call"),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            import importlib

            found: object = getattr(importlib.import_module(f"weft.calls.{home}"), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module 'weft.calls' has no attribute {name!r}")
