"""What travels between client, interchange and managers: the one home of htex's wire format.

    client ◀──▶ interchange ◀──▶ manager ◀──▶ workers (weft.workers, a format of its own)

Every message is a list of frames. The first byte of the first frame says what kind it is.

**Control** messages are JSON objects with exactly the fields of one of the classes below; a field
too many, too few or of the wrong type makes the message bad, and a bad message from a manager
ends that manager's registration, nothing else.

**Bulk** messages (tasks, results) are rows behind each other in the first frame, and large
payloads in frames of their own behind it, in the order in which rows mention them. A row begins
with its own length, so the interchange takes rows apart and puts them into other messages without
looking at their payloads; it never unpickles anything, and has no module that could.

    TASK    total u32, id u64, attempt u16, frames u16, flags u8, head u32,
            priority i32, walltime f64 (0: none), digests u8, app u16, needs u16
            + digests × 16 bytes, app (UTF-8), needs (JSON), head (unless it travels in a frame)
    RESULT  total u32, id u64, attempt u16, kind u8, frames u16, flags u8, worker u16, seconds f32,
            head u32 + begun f64 (flag 2, since minor 1) + head (unless it travels in a frame)

Numbers are little-endian. ``frames`` counts the frames that belong to the row, the head's own
among them (flag 1). ``begun`` is in seconds since the epoch. From ``priority`` to ``needs`` stands
what tasks of one app have in common, so whoever reads many rows reads that part once
(:func:`task_rows`, :func:`manner_of`). A row of the kind 255 is no result, and comes from the
interchange alone: its head says whose the rows behind it are (:func:`source_bytes`).

**Definitions** travel once to each process that needs them, ahead of the first tasks that do. Who
lacks one says so by :class:`Missing`: a manager to the interchange, the interchange to the
client.

**Size.** No frame is larger than ``FRAME`` bytes; sockets refuse what is, before they know who
sent it. A message with larger frames, or with more in all than ``FRAME``, travels in pieces:
several messages that carry them, and a last one that says how they make up the frames. Signs of
life fit in between, and every piece is one. So a peer sends with ``for parts in
messages_out(frames)``, and puts all that it receives through :class:`Whole`, one for each peer,
which gives messages back as they were.

**Life of a manager.** It connects, sends :class:`Register`, and gets :class:`Welcome` or
:class:`Refused`. Both sides send :class:`Beat`; any message is a sign of life. A manager that is
told :class:`Refused` while it works was unknown to the interchange: its connection broke and came
back, or it was silent for too long. It may register again, with the name it had in ``resumes``
and what it still holds in ``holds``: what the interchange dealt and it does not hold is lost
then, what it holds and the interchange does not expect is cancelled, all else goes on.
:class:`Drain` makes it send :class:`Ends` with ``returned`` for what has not begun, finish the
rest, and say :class:`Close`, with which it leaves. :class:`Close` to a manager: the same, without
giving back.

**Versions.** ``VERSION`` is (major, minor). A manager says its own when it registers and is told
the smaller minor of both sides, which both then speak: a field that came with a later minor says
so in its class (``since``) and is left out for a peer that speaks an earlier one. Another
major, or another major.minor of Python, is refused with a sentence that names both.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Final, get_args, get_origin, get_type_hints

from weft.values.message import as_mapping, fields_of, message

__all__ = [
    "BULK",
    "CONTROL",
    "DEFINE",
    "FRAME",
    "HOWS",
    "LARGE",
    "PIECE",
    "PIECES",
    "RESULTS",
    "TASKS",
    "TOLD_SINCE",
    "VERSION",
    "Admit",
    "BadMessage",
    "Beat",
    "Cancel",
    "Close",
    "Control",
    "Cut",
    "Drain",
    "Drop",
    "Ends",
    "Hello",
    "Missing",
    "News",
    "Refused",
    "Register",
    "ResultRow",
    "Row",
    "Told",
    "Unfit",
    "Welcome",
    "Whole",
    "check_told",
    "control_in",
    "control_out",
    "definitions_in",
    "definitions_out",
    "kind_of",
    "manner_of",
    "messages_out",
    "payload_of",
    "result_bytes",
    "result_rows",
    "rows_in",
    "rows_out",
    "source_bytes",
    "task_bytes",
    "task_rows",
    "version_of",
]

VERSION: Final = (1, 2)

BEGUN_SINCE: Final = 1
"""The minor version from which on results say when they began."""

TOLD_SINCE: Final = 2
"""The minor version from which on what tasks log, print and use is told."""

LARGE: Final = 65536
"""Bytes from which a payload travels in a frame of its own."""

FRAME: Final = 4 * 1024 * 1024
"""Bytes of payload that one message may carry; more travels in pieces."""

CONTROL, TASKS, RESULTS, DEFINE, PIECE, PIECES = b"C", b"T", b"R", b"D", b"P", b"Q"
BULK: Final = frozenset({TASKS, RESULTS})

HOWS: Final = frozenset({"lost", "killed", "timeout", "cancelled", "dropped", "returned"})
"""How a try may end without a result; see :class:`Ends`."""

_TASK = struct.Struct("<IQHHBIidBHH")
_MANNER = struct.Struct("<idBHH")
_COMMON = _TASK.size - _MANNER.size
_RESULT = struct.Struct("<IQHBHBHfI")
_RESULT_BEGUN = struct.Struct("<IQHBHBHfId")
_MOMENT = struct.Struct("<d")
_FLAGS = 16  # where a task's flags are in its row
_IN_FRAME, _BEGUN = 1, 2
_SOURCE = 255  # the kind of a row that is no result
_DIGEST = 16  # of weft.calls.call
_NAMED = 1000


class BadMessage(ValueError):
    """A message that is not of this format. Whoever sent it is not to be believed."""


# --------------------------------------------------------------------------------------------- bulk


@message
class Row:
    """A task as the interchange knows it: what it must know, and the bytes it passes on.

    Attributes:
        id, attempt: which try of which task; together they name it everywhere.
        priority: lower is sooner.
        walltime: seconds it may take, or 0.
        digests: the definitions it needs, its function's first.
        app: the app's name, for people and for learning durations.
        needs: resources, as JSON text; empty for none.
        data: the whole row.
        frames: the large payloads that belong to it.
        head: where its packed arguments begin in ``data``; meaningless when they travel in a frame.
    """

    id: int
    attempt: int
    priority: int
    walltime: float
    digests: tuple[bytes, ...]
    app: str
    needs: str
    data: bytes
    frames: Sequence[Any]
    head: int
    head_in_frame: bool

    @property
    def arguments(self) -> Any:
        """The packed arguments."""
        return self.frames[0] if self.head_in_frame else self.data[self.head :]

    @property
    def buffers(self) -> Sequence[Any]:
        """What travels beside them."""
        return self.frames[1:] if self.head_in_frame else self.frames


@message
class ResultRow:
    """How one try ended, as a worker said it.

    Attributes:
        id, attempt: which try.
        kind: what the worker's result says of itself; see ``weft.calls.running``.
        worker: the number of the worker.
        seconds: how long it took.
        head, buffers: the packed value or error.
        data, frames: the whole row, to be passed on.
        begun: when it began, in seconds since the epoch; 0 if that was not said.
        source: whose it is, in the interchange's words; empty before that has said so.
    """

    id: int
    attempt: int
    kind: int
    worker: int
    seconds: float
    head: Any
    buffers: Sequence[Any]
    data: bytes
    frames: Sequence[Any]
    begun: float = 0.0
    source: str = ""


def task_bytes(
    id: int,  # noqa: A002
    attempt: int,
    head: Any,
    *,
    priority: int = 0,
    walltime: float = 0.0,
    digests: Sequence[bytes] = (),
    app: bytes = b"",
    needs: bytes = b"",
    buffers: Sequence[Any] = (),
) -> tuple[bytes, Sequence[Any]]:
    """A task's row and its frames."""
    size = len(head)
    in_frame = size >= LARGE
    frames: Sequence[Any] = [head, *buffers] if in_frame else buffers
    total = _TASK.size + _DIGEST * len(digests) + len(app) + len(needs) + (0 if in_frame else size)
    start = _TASK.pack(
        total, id, attempt, len(frames), in_frame, size,
        priority, walltime, len(digests), len(app), len(needs),
    )  # fmt: skip
    return b"".join((start, *digests, app, needs, b"" if in_frame else head)), frames


def result_bytes(
    id: int,  # noqa: A002
    attempt: int,
    kind: int,
    head: Any,
    *,
    worker: int = 0,
    seconds: float = 0.0,
    begun: float = 0.0,
    buffers: Sequence[Any] = (),
) -> tuple[bytes, Sequence[Any]]:
    """A result's row and its frames. ``begun`` is left out when it is 0, as for earlier minors."""
    size = len(head)
    in_frame = size >= LARGE
    frames: Sequence[Any] = [head, *buffers] if in_frame else buffers
    own = 0 if in_frame else size
    if begun:
        start = _RESULT_BEGUN.pack(
            _RESULT_BEGUN.size + own, id, attempt, kind, len(frames), in_frame | _BEGUN, worker,
            seconds, size, begun,
        )  # fmt: skip
    else:
        start = _RESULT.pack(
            _RESULT.size + own, id, attempt, kind, len(frames), in_frame, worker, seconds, size
        )
    return (start if in_frame else start + bytes(head)), frames


def source_bytes(source: str) -> bytes:
    """A row that says whose results follow it in its message."""
    return result_bytes(0, 0, _SOURCE, source.encode("utf-8", "replace")[:_NAMED])[0]


def rows_out(kind: bytes, rows: Iterable[tuple[bytes, Sequence[Any]]]) -> list[Any]:
    """The frames of a bulk message that carries these rows."""
    data: list[Any] = [kind]
    frames: list[Any] = []
    for row, own in rows:
        data.append(row)
        if own:
            frames.extend(own)
    return [b"".join(data), *frames]


def rows_in(parts: Sequence[Any]) -> Iterator[Row] | Iterator[ResultRow]:
    """The rows of a bulk message.

    Raises:
        BadMessage: it is not one; rows before the bad place have been given by then.
    """
    first = bytes(parts[0])
    return _task_rows(parts) if first[:1] == TASKS else _result_rows(first, parts)


def task_rows(
    parts: Sequence[Any],
) -> Iterator[tuple[int, int, bytes, bytes, Sequence[Any]]]:
    """The rows of a message of tasks, for who only passes them on.

    Yields: id, attempt, manner (for :func:`manner_of`; equal for tasks of one app, called in one
    way), the row, and its frames.

    Raises:
        BadMessage: it is not one; rows before the bad place have been given by then.
    """
    first = bytes(parts[0])
    at, end, frame, count = 1, len(first), 1, len(parts)
    unpack, size = _TASK.unpack_from, _TASK.size
    while at < end:
        if end - at < size:
            raise BadMessage("a task's row is cut short")
        total, task, attempt, frames, flags, head, _, _, digests, app, needs = unpack(first, at)
        arguments = at + size + _DIGEST * digests + app + needs
        after = at + total
        if arguments + (0 if flags & _IN_FRAME else head) != after or after > end:
            raise BadMessage("a task's row does not have the length that it says")
        if frames:
            if frame + frames > count:
                raise BadMessage("a task's row has more frames than there are")
            own: Sequence[Any] = parts[frame : frame + frames]
            frame += frames
        elif flags & _IN_FRAME:
            raise BadMessage("a task's arguments are said to be in a frame, and there is none")
        else:
            own = ()
        yield task, attempt, first[at + _COMMON : arguments], first[at:after], own
        at = after
    if frame != count:
        raise BadMessage("there are frames that belong to no task")


def manner_of(manner: bytes) -> tuple[int, float, tuple[bytes, ...], str, str]:
    """Priority, walltime, digests, app and needs of tasks of this manner.

    Raises:
        BadMessage: they are not what they should be.
    """
    priority, walltime, digests, app, needs = _MANNER.unpack_from(manner)
    names = _MANNER.size + _DIGEST * digests
    if not 0 <= walltime < math.inf or len(manner) != names + app + needs:
        raise BadMessage("a task's walltime or names are malformed")
    try:
        return (
            priority,
            walltime,
            tuple([manner[at : at + _DIGEST] for at in range(_MANNER.size, names, _DIGEST)]),
            manner[names : names + app].decode(),
            manner[names + app :].decode(),
        )
    except UnicodeDecodeError:
        raise BadMessage("a task's names are not UTF-8") from None


def payload_of(manner: bytes, data: bytes, frames: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
    """The packed arguments of a task, and what travels beside them."""
    if frames and data[_FLAGS] & _IN_FRAME:
        return frames[0], frames[1:]
    return data[_COMMON + len(manner) :], frames


def _task_rows(parts: Sequence[Any]) -> Iterator[Row]:
    manners: dict[bytes, tuple[int, float, tuple[bytes, ...], str, str]] = {}
    for task, attempt, manner, data, frames in task_rows(parts):
        known = manners.get(manner)
        if known is None:
            known = manners[manner] = manner_of(manner)
        yield Row(
            task, attempt, *known, data, frames,
            _COMMON + len(manner), bool(data[_FLAGS] & _IN_FRAME),
        )  # fmt: skip


def _result_rows(first: bytes, parts: Sequence[Any]) -> Iterator[ResultRow]:
    at, end, frame = 1, len(first), 1
    unpack, fixed = _RESULT.unpack_from, _RESULT.size
    source = ""
    while at < end:
        if end - at < fixed:
            raise BadMessage("a result's row is cut short")
        total, task, attempt, kind, frames, flags, worker, seconds, head = unpack(first, at)
        in_frame = flags & _IN_FRAME
        size = _RESULT_BEGUN.size if flags & _BEGUN else fixed
        if (
            size + (0 if in_frame else head) != total
            or at + total > end
            or frame + frames > len(parts)
        ):
            raise BadMessage("a result's row does not have the length that it says")
        if in_frame and not frames:
            raise BadMessage("a result is said to be in a frame, and there is none")
        if kind == _SOURCE:
            source = first[at + size : at + total].decode("utf-8", "replace")
            at += total
            frame += frames
            continue
        own: Sequence[Any] = parts[frame : frame + frames] if frames else ()
        yield ResultRow(
            task,
            attempt,
            kind,
            worker,
            seconds,
            own[0] if in_frame else first[at + size : at + total],
            own[1:] if in_frame else own,
            first[at : at + total],
            own,
            _MOMENT.unpack_from(first, at + fixed)[0] if flags & _BEGUN else 0.0,
            source,
        )
        at += total
        frame += frames
    if frame != len(parts):
        raise BadMessage("there are frames that belong to no result")


def result_rows(parts: Sequence[Any]) -> list[tuple[int, int, float, int, int, int, int]]:
    """The rows of a message of results, for who only passes them on.

    Returns: for each row: id, attempt, seconds, where it begins and ends in the first frame, and
    which frames are its own, from and to.

    Raises:
        BadMessage: it is not one.
    """
    first = parts[0]
    at, end, frame, count = 1, len(first), 1, len(parts)
    unpack, fixed, with_begun = _RESULT.unpack_from, _RESULT.size, _RESULT_BEGUN.size
    rows = []
    while at < end:
        if end - at < fixed:
            raise BadMessage("a result's row is cut short")
        total, task, attempt, kind, frames, flags, _, seconds, head = unpack(first, at)
        if kind == _SOURCE:
            raise BadMessage("a manager does not say whose results are")
        after = at + total
        size = with_begun if flags & _BEGUN else fixed
        if size + (0 if flags & _IN_FRAME else head) != total or after > end:
            raise BadMessage("a result's row does not have the length that it says")
        if flags & _IN_FRAME and not frames:
            raise BadMessage("a result is said to be in a frame, and there is none")
        rows.append((task, attempt, seconds, at, after, frame, frame + frames))
        at = after
        frame += frames
    if frame != count:
        raise BadMessage("a message of results has not the frames that its rows mention")
    return rows


def definitions_out(definitions: Mapping[bytes, bytes]) -> list[Any]:
    """A message that brings definitions, by their digests."""
    return [DEFINE + b"".join(definitions), *definitions.values()]


def definitions_in(parts: Sequence[Any]) -> dict[bytes, bytes]:
    """What a message of definitions brings.

    Raises:
        BadMessage: it is not one.
    """
    digests = bytes(parts[0])[1:]
    if len(digests) != _DIGEST * (len(parts) - 1):
        raise BadMessage("a message of definitions has not as many digests as definitions")
    return {
        digests[at * _DIGEST : (at + 1) * _DIGEST]: bytes(blob) for at, blob in enumerate(parts[1:])
    }


def kind_of(parts: Sequence[Any]) -> bytes:
    """What kind of message it is.

    Raises:
        BadMessage: none that there is.
    """
    kind = bytes(parts[0][:1]) if parts else b""
    if kind not in (CONTROL, TASKS, RESULTS, DEFINE, PIECE, PIECES):
        raise BadMessage(f"there is no message of the kind {kind!r}")
    return kind


# ------------------------------------------------------------------------------------------- pieces


def messages_out(parts: Sequence[Any]) -> list[Sequence[Any]]:
    """A message as it may travel: itself, or, when it is too large, the messages that carry it."""
    if len(parts) == 1 and len(parts[0]) <= FRAME:
        return [parts]
    total = 0
    for part in parts:
        total += part.size if type(part) is Cut else memoryview(part).nbytes
    if total <= FRAME:
        return [parts]
    messages: list[Sequence[Any]] = []
    counts, small = [], []
    for part in parts:
        cut = part.pieces if type(part) is Cut else None
        if cut is None and (nbytes := memoryview(part).nbytes) > LARGE:
            view = memoryview(part).cast("B")
            cut = [view[at : at + FRAME] for at in range(0, nbytes, FRAME)]
        counts.append(len(cut) if cut is not None else 0)
        if cut is None:
            small.append(part)
        else:
            messages += [(PIECE, piece) for piece in cut]
    # Many small frames may be too much together. They are few in any sane message.
    messages.append([PIECES + struct.pack(f"<{len(counts)}I", *counts), *small])
    return messages


class Cut:
    """A frame that came in pieces and goes on in pieces: nobody put it together.

    Attributes:
        pieces: they.
        size: their bytes.
    """

    __slots__ = ("pieces", "size")

    def __init__(self, pieces: Sequence[Any]) -> None:
        self.pieces = pieces
        self.size = sum(len(piece) for piece in pieces)

    def __len__(self) -> int:
        return self.size


class Whole:
    """Puts messages of one peer together that travelled in pieces.

    Args:
        most: bytes that may wait for their end; more is a bad message.
        join: whether frames are put together; else they stay :class:`Cut`, but for the first.
    """

    def __init__(self, most: int = 1 << 34, *, join: bool = True) -> None:
        self._most, self._join = most, join
        self._pieces: list[Any] = []
        self._size = 0

    def take(self, parts: Sequence[Any]) -> Sequence[Any] | None:
        """What a message that came amounts to: a whole message, or nothing yet.

        Raises:
            BadMessage: it is neither.
        """
        kind = bytes(parts[0][:1]) if parts else b""
        if kind == PIECE:
            if len(parts) != 2:
                raise BadMessage("a piece is not one frame")
            self._size += len(parts[1])
            if self._size > self._most:
                raise BadMessage(f"pieces of more than {self._most} bytes wait for their end")
            self._pieces.append(parts[1])
            return None
        if kind != PIECES:
            return parts
        pieces, self._pieces, self._size = self._pieces, [], 0
        head = bytes(parts[0])
        if len(head) % 4 != 1:
            raise BadMessage("the end of pieces is malformed")
        counts = struct.unpack(f"<{len(head) // 4}I", head[1:])
        if sum(counts) != len(pieces) or counts.count(0) != len(parts) - 1:
            raise BadMessage("pieces do not make up the message that they should")
        whole: list[Any] = []
        at, small = 0, iter(parts[1:])
        for count in counts:
            if not count:
                whole.append(next(small))
                continue
            own = pieces[at : at + count]
            at += count
            whole.append(b"".join(own) if self._join or not whole else Cut(own))
        return whole


# ------------------------------------------------------------------------------------------ control


class Control:
    """A control message; its fields are what travels.

    Attributes:
        name: on the wire.
        since: the minor version that brought a field, for those that the first one had not.
    """

    __slots__ = ()
    name: ClassVar[str] = ""
    since: ClassVar[Mapping[str, int]] = {}


@message(eq=True)
class Register(Control):
    """Manager → interchange, first of all: who it is, and what it has.

    Attributes:
        version: of the protocol, (major, minor).
        python: of its workers, such as ``"3.11.7"``.
        weft: the version of weft there.
        packages: of plugins and the like that matter, by name.
        block: the block it belongs to.
        host, pid: where it is.
        workers: tasks it can run at once.
        cores, memory, accelerators: what it packs tasks into; memory in bytes.
        ends: seconds until the block's walltime is over, or 0 if it has none.
        resumes: the name it had before its connection broke, or nothing.
        holds: ``[id, attempt]`` of what it still has then: tasks, and results not yet sent.
    """

    name = "register"
    version: tuple[int, int]
    python: str
    weft: str
    packages: dict[str, str]
    block: str
    host: str
    pid: int
    workers: int
    cores: float
    memory: int
    accelerators: int
    ends: float
    resumes: str = ""
    holds: Sequence[list[int]] = ()


@message(eq=True)
class Welcome(Control):
    """Interchange → manager: it may work.

    Attributes:
        version: that both speak.
        manager: the name it has from now on.
        beat: seconds between signs of life, both ways.
        lost: seconds of silence after which either side gives the other up.
    """

    name = "welcome"
    version: tuple[int, int]
    manager: str
    beat: float
    lost: float


@message(eq=True)
class Refused(Control):
    """Interchange → manager: it may not, and why, for people on both sides."""

    name = "refused"
    why: str


@message(eq=True)
class Beat(Control):
    """A sign of life, either way. A manager says what it does; the interchange leaves that empty.

    Attributes:
        running: the ids of the tasks that run now.
        workers: the number and the process of the worker of each of those.
        waiting: how many wait at the manager.
    """

    name = "beat"
    running: Sequence[int] = ()
    workers: Sequence[tuple[int, int]] = ()
    waiting: int = 0


@message(eq=True)
class Missing(Control):
    """Manager → interchange → client: definitions it lacks, as hexadecimal digests."""

    name = "missing"
    digests: list[str]


@message(eq=True)
class Ends(Control):
    """Tries that ended without a result: manager → interchange → client.

    Each is ``[id, attempt, how, why, place]``; ``how`` is one of

    - ``lost``: something broke under it before it began, or nobody knows whether it had begun;
    - ``killed``: it ran when its worker, or its manager, died;
    - ``timeout``: its walltime was over;
    - ``cancelled``, ``dropped``: someone asked for that;
    - ``returned``, by managers alone: it has not begun and will not, since the manager drains. The
      interchange deals it to another, and the client never hears of it.

    Attributes:
        ends: they.
        ran: for each of them ``[begun, seconds]``: when it began, in seconds since the epoch, and
            for how long it ran; 0 and 0 for one that did not begin, or of which that is not known.
            Empty if that holds for all.
    """

    name = "ends"
    since = MappingProxyType({"ran": 1})
    ends: list[list[Any]]
    ran: Sequence[list[float]] = ()


@message(eq=True)
class Told(Control):
    """What tasks have logged, printed and used: manager → interchange → client, since minor 2.

    Said before the results and the ends of the tries that it is of, by who speaks an earlier minor
    not at all.

    Attributes:
        lines: each ``[id, attempt, time, level, logger, text, dropped]``, as the fields of
            :class:`weft.values.events.LogLine` are.
        samples: each ``[id, attempt, time, last, user, system, resident, virtual, peak, read,
            written, processes, gpu_memory]``, as those of
            :class:`weft.values.events.ResourceSample`.
    """

    name = "told"
    lines: list[list[Any]]
    samples: list[list[Any]]


_LINE_TYPES: Final = ((int,), (int,), (float,), (str,), (str,), (str,), (int,))
_SECONDS: Final = (float, type(None))
_AMOUNT: Final = (int, type(None))
_SAMPLE_TYPES: Final = (
    (int,), (int,), (float,), (bool,), _SECONDS, _SECONDS, *[_AMOUNT] * 5, (int,), _AMOUNT,
)  # fmt: skip


def check_told(said: Told) -> None:
    """See that lines and samples have the fields that they must have.

    Raises:
        BadMessage: one has not.
    """
    for rows, types, what in (
        (said.lines, _LINE_TYPES, "a line"),
        (said.samples, _SAMPLE_TYPES, "a sample"),
    ):
        for row in rows:
            if len(row) != len(types) or any(
                type(part) not in kinds or (type(part) is float and not math.isfinite(part))
                for part, kinds in zip(row, types, strict=True)
            ):
                raise BadMessage(f"{what} that is told does not have the fields that it must have")


@message(eq=True)
class Cancel(Control):
    """Client → interchange → manager: stop these tasks wherever they are."""

    name = "cancel"
    ids: list[int]


@message(eq=True)
class Drop(Control):
    """Client → interchange: these tasks are not to begin; those that run may go on."""

    name = "drop"
    ids: list[int]


@message(eq=True)
class Drain(Control):
    """Client → interchange → managers of a block: finish what runs, give back the rest, and go."""

    name = "drain"
    block: str


@message(eq=True)
class Close(Control):
    """Client → interchange → managers: end, giving what runs this many seconds.

    Manager → interchange: it ends now, and has sent all that it had.
    """

    name = "close"
    timeout: float


@message(eq=True)
class Hello(Control):
    """Interchange → client, first of all: where managers find it.

    Attributes:
        addresses: ``tcp://`` addresses, the likeliest first.
        doors: where managers on the same machine are to knock first; see :mod:`weft_htex.door`.
        key: its public key, in Z85.
        pid: its process.
    """

    name = "hello"
    addresses: list[str]
    key: str
    pid: int
    doors: Sequence[str] = ()


@message(eq=True)
class Admit(Control):
    """Client → interchange: which block may connect with which public key (Z85).

    An empty key ends that: what connects with the key is refused from then on, and what the block's
    managers hold is lost at once.
    """

    name = "admit"
    block: str
    key: str


@message(eq=True)
class Unfit(Control):
    """Interchange → client: tasks that no manager there is can ever run. They go on waiting.

    The client may ask for another block, or drop them and say why.

    Attributes:
        ids: the tasks, each told once.
        time: whether it is for lack of time, so that a fresh block might do; else for lack of
            cores, memory or accelerators.
        why: a sentence.
    """

    name = "unfit"
    ids: list[int]
    time: bool
    why: str


@message(eq=True)
class News(Control):
    """Interchange → client: what it knows of its managers, whenever that changes.

    What they run and how silent they are is only told now and then; but that one has a task which
    was said to have none is told at once, for idle blocks are given back.

    Attributes:
        managers: for each, by name: block, host, pid, workers, python, packages, state
            (``working``, ``draining``), held (tasks it has), running (ids), at (number and process
            of the worker of each of those), idle (seconds for which it has had no task; 0 if it has
            one, or had one since the last signs of life were looked for), silent (seconds since its
            last sign of life), left (seconds until its block ends, or 0).
        waiting: tasks that no manager has.
        ignored: how many messages of strangers, or malformed ones, were ignored.
        gone: managers that are gone since the last news, each as [name, state, why]; the state is
            ``ended`` or ``lost``. One that came since then, too, is told of here alone.
        told: sentences for people since the last news, each as [level, text]; the level is
            ``info``, ``warning``, ``refused`` (a manager may not work) or ``lost`` (one was lost).
    """

    name = "news"
    since = MappingProxyType({"gone": 1})
    managers: dict[str, dict[str, Any]]
    waiting: int
    ignored: int
    told: Sequence[list[str]] = ()
    gone: Sequence[list[str]] = ()


_CONTROLS: Final[Mapping[str, type[Control]]] = {
    one.name: one
    for one in (
        Register,
        Welcome,
        Refused,
        Beat,
        Missing,
        Ends,
        Told,
        Cancel,
        Drop,
        Drain,
        Close,
        Hello,
        Admit,
        News,
        Unfit,
    )
}
_HINTS: Final[dict[tuple[type[Control], int], dict[str, Any]]] = {}


def control_out(said: Control, minor: int = VERSION[1]) -> list[bytes]:
    """A control message as frames, for a peer that speaks this minor version."""
    since = said.since
    fields = {
        field: value for field, value in as_mapping(said).items() if since.get(field, 0) <= minor
    }
    return [CONTROL + json.dumps([said.name, fields], separators=(",", ":")).encode()]


def control_in(parts: Sequence[Any], minor: int = VERSION[1]) -> Control:
    """The control message that frames hold, from a peer that speaks this minor version.

    A :class:`Register` says its version itself; fields that a later minor added are left out.

    Raises:
        BadMessage: they hold none, or one with other fields or types than it must have.
    """
    try:
        if len(parts) != 1:
            raise TypeError("it has more than one frame")
        name, fields = json.loads(bytes(parts[0])[1:])
        cls = _CONTROLS[name]
        if not isinstance(fields, dict):
            raise TypeError("its fields are no object")
        hints = _hints(cls, minor)
        if cls is Register:
            later = _said_version(fields)[1] > VERSION[1]
            fields = {key: value for key, value in fields.items() if not later or key in hints}
        if fields.keys() != hints.keys():
            raise TypeError(f"its fields are {sorted(fields)}, not {sorted(hints)}")
        return cls(**{key: _checked(value, hints[key], key) for key, value in fields.items()})
    except (ValueError, TypeError, KeyError, RecursionError) as trouble:
        raise BadMessage(f"a control message is malformed: {trouble}") from trouble


def version_of(parts: Sequence[Any]) -> tuple[int, int] | None:
    """The version a registration says, whatever else is in it; ``None`` if this is none."""
    try:
        name, fields = json.loads(bytes(parts[0])[1:])
        return _said_version(fields) if name == Register.name else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _said_version(fields: Mapping[str, Any]) -> tuple[int, int]:
    version: tuple[int, int] = _checked(fields["version"], tuple[int, int], "version")
    return version


def _hints(cls: type[Control], minor: int) -> dict[str, Any]:
    hints = _HINTS.get((cls, minor))
    if hints is None:
        types = get_type_hints(cls)
        hints = _HINTS[cls, minor] = {
            field: types[field] for field in fields_of(cls) if cls.since.get(field, 0) <= minor
        }
    return hints


def _checked(value: Any, kind: Any, where: str) -> Any:
    """A value of JSON as the type it has to be. Nothing is bent, but that 1 will do for 1.0."""
    origin = get_origin(kind)
    if kind is Any:
        return value
    if origin is tuple:
        kinds = get_args(kind)
        if not isinstance(value, list) or len(value) != len(kinds):
            raise TypeError(f"{where} has not {len(kinds)} parts")
        return tuple(_checked(one, each, where) for one, each in zip(value, kinds, strict=True))
    if origin is list or origin is Sequence:
        if not isinstance(value, list):
            raise TypeError(f"{where} is no list")
        found = [_checked(one, get_args(kind)[0], where) for one in value]
        return found if origin is list else tuple(found)
    if origin is dict:
        if not isinstance(value, dict):
            raise TypeError(f"{where} is no object")
        return {key: _checked(one, get_args(kind)[1], where) for key, one in value.items()}
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise TypeError(f"{where} is {type(value).__name__}, not {kind.__name__}")
    return value
