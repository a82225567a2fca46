"""What events come to as spans.

    run ─┬─ task 0 ─── try 1
         ├─ task 1 ─┬─ try 1          links: task 1 ──▶ task 0, which it needed
         │          └─ try 2
         └─ …

The run may itself be in a span of whoever started it, and is then of that trace.

A span is made when it ends, since only then all of it is known. Its number comes from the run's
and the task's, so that a link can be made to a task that has long ended, or whose span was lost,
without anything being kept of it. What is kept are the tasks that have not ended.

Knows no network, no thread and no clock. One thread uses it.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

import attrs
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from weft.interfaces.monitor import Interest
from weft.values.events import (
    Event,
    Notice,
    RunEnded,
    RunStarted,
    TaskMoved,
    TaskSubmitted,
    TryEnded,
)
from weft.values.states import FINAL, TaskState
from weft.values.task import TaskId

__all__ = ["INTERESTS", "Spans"]

INTERESTS: Final[frozenset[Interest]] = frozenset(
    {RunStarted, TaskSubmitted, TaskMoved, TryEnded, Notice, RunEnded}
)
"""What ``Spans.take`` is told; other events change nothing."""

_LONGEST: Final = 4096
_MOST_EVENTS: Final = 128
_MOST_LINKS: Final = 1024

Attributes = Mapping[str, str | int | float]
Moment = tuple[float, str, Attributes]
"""Something that happened within a span: when, what, and what is known of it."""


@attrs.define(eq=False)
class _Open:
    """A task that has not ended."""

    app: str
    submitted: float
    needs: Sequence[TaskId] = ()
    state: TaskState = TaskState.PENDING
    launched: float = 0.0
    executor: str = ""
    moments: list[Moment] = attrs.Factory(list)
    unsaid: int = 0

    def happened(self, moment: Moment) -> None:
        if len(self.moments) < _MOST_EVENTS:
            self.moments.append(moment)
        else:
            self.unsaid += 1


class _Given(IdGenerator):
    """Gives the numbers that were decided upon."""

    def __init__(self) -> None:
        self.next: SpanContext | None = None

    def generate_span_id(self) -> int:
        assert self.next is not None
        return self.next.span_id

    def generate_trace_id(self) -> int:
        assert self.next is not None
        return self.next.trace_id


class _Made(SpanProcessor):
    """Keeps the spans that have ended until they are taken."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


class Spans:
    """Folds the events of one run into spans.

    Args:
        resource: what the spans are of.
        run_id: of the run.
        program: the script that runs, for people.
        one_trace: whether the run is one trace; else each task is one.
        caller: the span that the run is in, if it is in one. Whether that one is recorded does not
            matter: whoever names this monitor wants the run's.
    """

    def __init__(
        self,
        resource: Resource,
        *,
        run_id: str,
        program: str,
        one_trace: bool,
        caller: SpanContext | None = None,
    ) -> None:
        self._run_id, self._program, self._one_trace = run_id, program, one_trace
        self._caller = caller
        self._given, self._made = _Given(), _Made()
        limits = SpanLimits(
            max_span_attributes=64,
            max_events=_MOST_EVENTS,
            max_links=_MOST_LINKS,
            max_span_attribute_length=_LONGEST,
        )
        provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=resource,
            shutdown_on_exit=False,
            id_generator=self._given,
            span_limits=limits,
        )
        provider.add_span_processor(self._made)
        self._tracer = provider.get_tracer("weft")
        self._open: dict[TaskId, _Open] = {}
        self._root = _Open(program, 0.0)
        self._facts: dict[str, str | int | float] = {"weft.run.id": run_id}
        self._latest = 0.0
        self._over = False

    def take(self, events: Sequence[Event]) -> list[ReadableSpan]:
        """The spans that have ended by these events, those of tries before those of their tasks."""
        for event in events:
            taker = _TAKERS.get(type(event))
            if taker is not None:
                self._latest = max(self._latest, event.time)
                taker(self, event)
        return self._taken()

    def finish(self) -> list[ReadableSpan]:
        """What is left at the end: tasks whose end was not told, and the run, if its was not."""
        if not self._over and self._latest:
            self._end_run(self._latest, {"weft.run.told": "in part"}, "")
        return self._taken()

    def _taken(self) -> list[ReadableSpan]:
        spans, self._made.spans = self._made.spans, []
        return spans

    # ----------------------------------------------------------------------------------- numbers

    def _context(self, task: TaskId | None = None, attempt: int = 0) -> SpanContext:
        """What names a span: of the run, of a task, or of a try."""
        run, caller = self._run_id, self._caller
        of_run = self._one_trace or task is None
        part = _number(f"{run} {'' if task is None else task} {attempt}", 8)
        if caller is not None and of_run:
            return SpanContext(
                caller.trace_id,
                part,
                is_remote=False,
                trace_flags=_SAMPLED,
                trace_state=caller.trace_state,
            )
        whole = _number(run if of_run else f"{run} {task}", 16)
        return SpanContext(whole, part, is_remote=False, trace_flags=_SAMPLED)

    # -------------------------------------------------------------------------------------- spans

    def _span(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        times: tuple[float, float],
        attributes: Attributes,
        *,
        links: Sequence[SpanContext] = (),
        moments: Sequence[Moment] = (),
        error: str | None = None,
    ) -> None:
        self._given.next = context
        inside = Context()  # of no other span, whatever the script traces itself
        if parent is not None:
            inside = set_span_in_context(NonRecordingSpan(parent), inside)
        begin, end = times
        span = self._tracer.start_span(
            _text(name),
            inside,
            attributes=_texts(attributes),
            links=[Link(link) for link in links],
            start_time=_nanoseconds(begin),
            record_exception=False,
            set_status_on_exception=False,
        )
        for at, what, known in moments:
            span.add_event(_text(what), _texts(known), _nanoseconds(at))
        if error is not None:
            span.set_status(Status(StatusCode.ERROR, _text(error)))
        span.end(_nanoseconds(max(begin, end)))

    # ------------------------------------------------------------------------------------- events

    def _run_started(self, event: RunStarted) -> None:
        self._root.submitted = event.time
        self._facts.update(
            {
                "weft.version": event.weft_version,
                "weft.run.folder": event.folder,
                "host.name": event.host,
                "process.pid": event.pid,
                "process.runtime.version": event.python,
            }
        )

    def _run_ended(self, event: RunEnded) -> None:
        known: Attributes = {
            "weft.tasks.done": event.done,
            "weft.tasks.failed": event.failed,
            "weft.tasks.cancelled": event.cancelled,
            "weft.events.lost": event.lost_events,
        }
        self._end_run(event.time, known, f"{event.failed} tasks failed" if event.failed else "")

    def _end_run(self, time: float, known: Attributes, error: str) -> None:
        if self._over:
            return
        self._over = True
        for number, task in self._open.items():
            self._end_task(number, task, time, {"weft.task.state": task.state.label}, None)
        self._open.clear()
        root = self._root
        self._span(
            self._program,
            self._context(),
            self._caller,
            (root.submitted or time, time),
            {**self._facts, **known, "weft.notices.unsaid": root.unsaid},
            moments=root.moments,
            error=error or None,
        )

    def _noticed(self, event: Notice) -> None:
        known = {"weft.level": event.level, "weft.source": event.source}
        self._root.happened((event.time, event.text, known))

    def _submitted(self, event: TaskSubmitted) -> None:
        self._open[event.id] = _Open(event.app, event.time, event.needs)

    def _moved(self, event: TaskMoved) -> None:
        task = self._open.get(event.id)
        if task is None:
            task = self._open[event.id] = _Open(event.app, event.time)
        if event.state not in FINAL:
            task.state = event.state
            known: dict[str, str | int | float] = {"weft.attempt": event.attempt}
            if event.state is TaskState.LAUNCHED:
                task.launched, task.executor = event.time, event.executor
                known["weft.executor"] = event.executor
            task.happened((event.time, event.state.label, known))
            return
        del self._open[event.id]
        failed = event.detail if event.state is TaskState.FAILED else None
        if event.attempt and task.launched:
            self._end_try(event, event.attempt, task, failed)
        known = {"weft.task.state": event.state.label, "weft.task.detail": event.detail}
        if event.attempt:
            known["weft.task.attempts"] = event.attempt
        self._end_task(event.id, task, event.time, known, failed)

    def _try_ended(self, event: TryEnded) -> None:
        task = self._open.get(event.id)
        if task is None:
            task = self._open[event.id] = _Open(event.app, event.time)
        task.executor = event.executor or task.executor
        self._end_try(event, event.attempt, task, event.error, {"weft.try.ended": event.ended})
        task.launched = 0.0

    def _end_try(
        self,
        event: TaskMoved | TryEnded,
        attempt: int,
        task: _Open,
        error: str | None,
        more: Attributes | None = None,
    ) -> None:
        launched = task.launched or event.time
        begin, end = launched, event.time
        if event.seconds is not None and event.begun:
            # The clock of its node may be another: it ran between its launch and its end here.
            begin = max(launched, min(event.begun, event.time - event.seconds))
            end = min(event.time, begin + event.seconds)
        self._span(
            f"{event.app} try {attempt}",
            self._context(event.id, attempt),
            self._context(event.id),
            (begin, end),
            {
                "weft.task.id": event.id,
                "weft.app": event.app,
                "weft.attempt": attempt,
                "weft.executor": task.executor,
                "weft.place": event.place,
                **(more or {}),
            },
            error=error,
        )

    def _end_task(
        self, number: TaskId, task: _Open, time: float, known: Attributes, error: str | None
    ) -> None:
        root = self._context()
        links = [self._context(need) for need in task.needs]
        self._span(
            task.app,
            self._context(number),
            root if self._one_trace else None,
            (task.submitted, time),
            {
                "weft.run.id": self._run_id,
                "weft.task.id": number,
                "weft.app": task.app,
                "weft.executor": task.executor,
                **known,
            },
            links=links if self._one_trace else [root, *links],
            moments=task.moments,
            error=error,
        )


_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


def _number(text: str, size: int) -> int:
    """A number of so many bytes, which is not 0, for a text."""
    digest = blake2b(text.encode("utf-8", "backslashreplace"), digest_size=size).digest()
    return int.from_bytes(digest, "big") or 1


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1_000_000) * 1000  # a float tells microseconds of today, and no more


def _text(text: str) -> str:
    """The text as the wire takes it, and of bounded length."""
    return text[:_LONGEST].encode("utf-8", "replace").decode()


def _texts(attributes: Attributes) -> dict[str, str | int | float]:
    """Attributes that say something."""
    return {
        name: _text(value) if isinstance(value, str) else value
        for name, value in attributes.items()
        if value not in {"", None}
    }


# Each taker takes the class it stands beside, which a mapping cannot say.
_TAKERS: Final[Mapping[type, Callable[[Spans, Any], None]]] = {
    RunStarted: Spans._run_started,  # noqa: SLF001 - of this module
    RunEnded: Spans._run_ended,  # noqa: SLF001
    Notice: Spans._noticed,  # noqa: SLF001
    TaskSubmitted: Spans._submitted,  # noqa: SLF001
    TaskMoved: Spans._moved,  # noqa: SLF001
    TryEnded: Spans._try_ended,  # noqa: SLF001
}
