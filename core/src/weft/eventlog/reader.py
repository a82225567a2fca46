"""Reads event logs: whole ones, ones that are being written, and several one after the other.

Whatever is damaged is passed over and counted. Events come as the classes of
:mod:`weft.values.events`; of what this version of weft does not know, classes come as
:class:`OtherEvent`, and fields are left out.
"""

import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, Final, Self, get_args

from weft.errors import EventLogError
from weft.eventlog import format as form
from weft.eventlog.batches import Batch, Begun, Done, begun_of, done_of
from weft.eventlog.columns import Damaged, Symbol
from weft.eventlog.format import Body, Header, Splitter, decode, read_header
from weft.eventlog.writer import NAME
from weft.values import events as known
from weft.values.blocks import BlockState
from weft.values.events import BEGUN, DONE, SHORT_FORMS
from weft.values.message import fields_of, message
from weft.values.states import TaskState

__all__ = ["EventLogReader", "OtherEvent", "events_of", "read_events"]

_BLOCK: Final = 2**18
"""Bytes that are read at once."""
_CLASSES: Final[Mapping[str, type]] = {one.__name__: one for one in get_args(known.Event)}


@message(eq=True)
class OtherEvent:
    """An event of a class that this version of weft does not know.

    Attributes:
        time: when it happened; 0.0 if it does not say.
        kind: the name of its class.
        fields: what it says.
    """

    time: float
    kind: str
    fields: Mapping[str, Any]


class EventLogReader:
    """An event log, from its beginning on.

    Each call of :meth:`new` yields what has been written since the one before, so that a log can be
    followed while it is written: nothing is missing, and nothing comes twice.

    Args:
        path: the file, or the run folder that it is in.

    Attributes:
        path: the file.
        header: what its first line says; ``None`` until that is there, or where it is damaged.
        damaged: bodies of chunks that were whole, and could not be understood.

    Raises:
        EventLogError: there is no such file, it cannot be opened, or it is no log of this major.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        found = Path(path)
        self.path = found / NAME if found.is_dir() else found
        self.header: Header | None = None
        self.damaged = 0
        self._splitter = Splitter()
        self._begun = False
        self._offset = 0
        try:
            self._file = self.path.open("rb", buffering=0)
        except FileNotFoundError:
            raise EventLogError(
                str(self.path),
                "There is no such file: the run wrote none (Config(event_log=False)), or this is "
                "no run's folder.",
            ) from None
        except OSError as error:
            raise EventLogError(str(self.path), f"{error.strerror or error}.") from error
        try:
            self._begin(final=False)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def offset(self) -> int:
        """How many bytes of the file have been read."""
        return self._offset

    @property
    def status(self) -> os.stat_result:
        """The status of the file that is open."""
        return os.fstat(self._file.fileno())

    @property
    def missing(self) -> int:
        """Chunks that are not there, or were not understood."""
        return self._splitter.missing + self.damaged

    @property
    def skipped(self) -> int:
        """Bytes that belong to no chunk that is whole."""
        return self._splitter.skipped

    def new(self, *, final: bool = False) -> Iterator[Any]:
        """The events that were not read yet, in their order: those that are there by now.

        Args:
            final: whether nothing more will be written, so that what is cut at the end is damage.
        """
        return _events_in(self._bodies(final=final))

    def batches(self, *, final: bool = False) -> Iterator[Batch]:
        """The same as :meth:`new`, a chunk at a time, and by columns what is told of every task."""
        return map(_batch, self._bodies(final=final))

    def _bodies(self, *, final: bool) -> Iterator[Body]:
        """The chunks that were not read yet, as far as they can be understood."""
        if not self._begun and not self._begin(final=final):
            return
        # A run may write faster than its log is read: what it adds meanwhile is left for next time.
        end = os.fstat(self._file.fileno()).st_size
        while self._offset < end:
            # Never blocks: beyond the end of a file there is nothing to read.
            data = os.pread(self._file.fileno(), min(_BLOCK, end - self._offset), self._offset)
            if not data:
                break
            self._offset += len(data)
            yield from _decoded(self._splitter.feed(data), self._stumbled)
        if final:
            yield from _decoded(self._splitter.finish(), self._stumbled)

    def _begin(self, *, final: bool) -> bool:
        """Deal with the first line. Returns whether that is done."""
        data = os.pread(self._file.fileno(), form.HEADER_AT_MOST, 0)
        if not data:
            return False
        self.header = read_header(data)
        if self.header is not None:
            if self.header.version[0] != 1:
                raise EventLogError(
                    str(self.path),
                    "It is of the format "
                    f"{'.'.join(map(str, self.header.version))}, and this version of weft reads "
                    f"{form.VERSION}.",
                    "Read it with the weft that wrote it"
                    f" ({self.header.about.get('weft', 'which it does not name')}), or a newer "
                    "one.",
                )
            self._offset = data.index(b"\n") + 1
            self._begun = True
        elif final or b"\n" in data or len(data) == form.HEADER_AT_MOST:
            # The first line is damaged; its chunks can be read all the same.
            if not data.startswith(form.WORDS[:4]) and form.MARK not in data:
                raise EventLogError(str(self.path), "It is no event log of weft.")
            self._begun = True
        return self._begun

    def _stumbled(self) -> None:
        self.damaged += 1


def events_of(
    bodies: Iterator[bytes], stumbled: Callable[[], None] = lambda: None
) -> Iterator[Any]:
    """The events of the bodies of chunks.

    Args:
        bodies: in their order.
        stumbled: called for each that cannot be understood.
    """
    return _events_in(_decoded(bodies, stumbled))


def _decoded(bodies: Iterator[bytes], stumbled: Callable[[], None]) -> Iterator[Body]:
    for data in bodies:
        try:
            body = decode(data, _symbol)
        except Damaged:
            stumbled()
        else:
            yield body


def _events_in(bodies: Iterable[Body]) -> Iterator[Any]:
    return chain.from_iterable(map(_events, bodies))


def _events(body: Body) -> Iterator[Any]:
    rows = [_rows(table) for table in body.tables]
    if len(rows) == 1:
        return chain.from_iterable(rows[0])
    return chain.from_iterable(next(rows[number]) for number in body.order)


def _batch(body: Body) -> Batch:
    """A chunk as a batch: of each short form one table by columns, and the rest as events."""
    begun: Begun | None = None
    done: Done | None = None
    rest = []
    for number, table in enumerate(body.tables):
        if begun is None and table.kind == BEGUN and (columns := _short(table)) is not None:
            begun = begun_of(columns)
            if begun is not None:
                continue
        elif done is None and table.kind == DONE and (columns := _short(table)) is not None:
            done = done_of(columns)
            if done is not None:
                continue
        rest.append(number)
    others: Sequence[Any] = ()
    if rest:
        rows = {number: _rows(body.tables[number]) for number in rest}
        others = list(
            chain.from_iterable(next(rows[number]) for number in body.order if number in rows)
        )
    return Batch(begun, others, done, lambda: _events(body))


def read_events(*paths: str | os.PathLike[str]) -> Iterator[Any]:
    """The events of logs that are not written any more, one log after the other.

    Args:
        paths: files, or the run folders that they are in.

    Raises:
        EventLogError: one of them cannot be read.
    """
    for path in paths:
        with EventLogReader(path) as reader:
            yield from reader.new(final=True)


def _symbol(kind: str, label: str) -> Any:
    try:
        if kind == "TaskState":
            return TaskState[label.upper()]
        if kind == "BlockState":
            return BlockState(label)
    except (KeyError, ValueError):
        pass
    return Symbol(kind, label)


def _rows(table: form.Table) -> Iterator[tuple[Any, ...]]:
    """For each row of a table its events, made as they are asked for."""
    columns = _short(table)
    if columns is not None:
        return map(SHORT_FORMS[table.kind].made, *columns)
    there = dict(zip(table.fields, table.columns, strict=True))
    kind = _CLASSES.get(table.kind)
    if kind is not None:
        fields, needed = _shape(kind)
        names = [name for name in fields if name in there]
        if needed <= set(names):
            columns = [there[name] for name in names]
            if names == list(fields[: len(names)]):
                return zip(map(kind, *columns), strict=True)
            return zip(_by_name(kind, names, columns), strict=True)
    return zip(_others(table), strict=True)


def _short(table: form.Table) -> list[Sequence[Any]] | None:
    """The columns of a short form, in the order of its fields; ``None`` of what is none."""
    short = SHORT_FORMS.get(table.kind)
    if short is None or not set(short.fields) <= set(table.fields):
        return None
    there = dict(zip(table.fields, table.columns, strict=True))
    return [there[name] for name in short.fields]


def _by_name(
    kind: Callable[..., Any], names: Sequence[str], columns: Sequence[Sequence[Any]]
) -> Iterator[Any]:
    for values in zip(*columns, strict=True):
        yield kind(**dict(zip(names, values, strict=True)))


def _others(table: form.Table) -> Iterator[OtherEvent]:
    for index in range(table.count):
        fields = {
            name: column[index] for name, column in zip(table.fields, table.columns, strict=True)
        }
        time = fields.get("time", 0.0)
        yield OtherEvent(time if isinstance(time, float) else 0.0, table.kind, fields)


@lru_cache(maxsize=64)
def _shape(kind: type) -> tuple[tuple[str, ...], frozenset[str]]:
    """The fields of a class of events, and those that have no default."""
    given = inspect.signature(kind).parameters.values()
    needed = frozenset(one.name for one in given if one.default is inspect.Parameter.empty)
    return fields_of(kind), needed
