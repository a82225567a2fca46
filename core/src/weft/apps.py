"""Apps: functions whose calls are tasks.

    @python_app                  the function runs on an executor; the future has its result
    @bash_app                    the function runs on an executor and returns a command, which
                                 bash runs; the result is 0
    @join_app                    the function runs beside the session and returns futures; the
                                 result is theirs

Each decorator works with and without options. Seven keywords of a call mean something to weft
itself: ``inputs``, ``outputs``, ``stdout``, ``stderr``, ``walltime``, ``resources`` and
``priority``. The function gets those that its signature accepts, and a default in the signature
counts as if it were given.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from types import MethodType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

import attrs

from weft import bodies, session
from weft.dataflow.futures import AppFuture
from weft.errors import CallError, NoSession
from weft.values.files import File
from weft.values.settings import SerializerSettings
from weft.values.task import NEEDS_NOTHING, Needs, Resources, TaskSpec, changed

if TYPE_CHECKING:
    from concurrent.futures import Future
    from typing import Protocol

    from weft.session import Session

    # A future, or the containers in which futures are most often passed.
    _Promised = (
        Future[Any]
        | Sequence[Future[Any]]
        | Mapping[Any, Future[Any]]
        | Sequence[Sequence[Future[Any]]]
        | Mapping[Any, Sequence[Future[Any]]]
    )

    class _PythonDecorator(Protocol):
        @overload
        def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> App[P, R]: ...
        @overload
        def __call__(self, function: Callable[P, R], /) -> App[P, R]: ...

    class _BashDecorator(Protocol):
        def __call__(self, function: Callable[P, str | Sequence[Any]], /) -> App[P, int]: ...

    class _JoinDecorator(Protocol):
        @overload
        def __call__(self, function: Callable[P, Future[R]], /) -> App[P, R]: ...
        # A list of AppFutures is no list of Futures for a type checker, so both are said.
        @overload
        def __call__(self, function: Callable[P, list[AppFuture[R]]], /) -> App[P, list[R]]: ...
        @overload
        def __call__(self, function: Callable[P, list[Future[R]]], /) -> App[P, list[R]]: ...
        @overload
        def __call__(
            self, function: Callable[P, dict[K, AppFuture[R]]], /
        ) -> App[P, dict[K, R]]: ...
        @overload
        def __call__(self, function: Callable[P, Any], /) -> App[P, Any]: ...


__all__ = ["App", "bash_app", "join_app", "python_app"]

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C")
K = TypeVar("K")

_SPECIAL = frozenset(bodies.SPECIAL)
_NEEDS = ("walltime", "resources", "priority")


class App(Generic[P, R]):
    """A function whose calls are tasks. Made by the decorators.

    Calling it returns an :class:`AppFuture` at once; nothing is run in the calling thread.

    Attributes:
        __wrapped__: the function itself, for calling it without weft.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        spec: TaskSpec,
        body: Callable[..., Any],
        *,
        session: Session | None = None,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        self.__qualname__ = self.__name__ = type(
            self
        ).__name__  # for callables that have no name of their own
        functools.update_wrapper(self, function)
        self._function = function
        self._body = body
        self._session = session
        self._accepted, signed = bodies.special_parameters(function)
        self._defaults: Mapping[str, Any] = {**signed, **(defaults or {})}
        # Special keywords that stand in the signature or in options() make every call one with
        # special keywords.
        self._always = bool(self._defaults)
        self._spec = spec

    @property
    def name(self) -> str:
        """The app's name."""
        return self._spec.name

    # What a type checker is told: a call fits the function's own signature, or has futures where it
    # has values. That can be said for the first places, and for `inputs`; a future by keyword needs
    # a parameter that is annotated for it.
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> AppFuture[R]: ...
    @overload
    def __call__(self, a: _Promised, /, *args: Any, **kwargs: Any) -> AppFuture[R]: ...
    @overload
    def __call__(self, a: Any, b: _Promised, /, *args: Any, **kwargs: Any) -> AppFuture[R]: ...
    @overload
    def __call__(
        self, a: Any, b: Any, c: _Promised, /, *args: Any, **kwargs: Any
    ) -> AppFuture[R]: ...
    @overload
    def __call__(self, *args: Any, inputs: Sequence[Any], **kwargs: Any) -> AppFuture[R]: ...
    def __call__(self, *args: Any, **kwargs: Any) -> AppFuture[R]:
        """Submit a task.

        Raises:
            NoSession: nothing is loaded.
            CallError: the call cannot work; see the errors of that family.
        """
        run = self._session or session._current
        if run is None:
            run = session.ambient_session()
            if run is None:
                raise NoSession(self._spec.name)
        if self._always or (kwargs and not _SPECIAL.isdisjoint(kwargs)):
            return self._call_specially(run, args, kwargs)
        return run._kernel.submit(self._spec, args, kwargs)

    def _call_specially(
        self, run: Session, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> AppFuture[R]:
        given: dict[str, Any] = dict(self._defaults)
        passed: dict[str, Any] = {}
        for key, value in kwargs.items():
            if key in _SPECIAL:
                given[key] = value
            else:
                passed[key] = value
        spec = self._spec
        if spec.join:
            idle = [
                key for key in _NEEDS if given.get(key) is not None and key not in self._accepted
            ]
            if idle:
                raise CallError(
                    f"The join app {spec.name!r} was given {' and '.join(idle)}.",
                    why="It runs beside the session, on no executor that could honour that.",
                    todo="Give it to the apps that the join app calls.",
                )
            passed.update({key: value for key, value in given.items() if key in self._accepted})
            return run._kernel.submit(spec, args, passed)
        outputs = _files(spec.name, given.get("outputs"))
        if outputs:
            given["outputs"] = list(outputs)
        elif given.get("outputs") is not None:
            given["outputs"] = []
        asked = {key: given[key] for key in _NEEDS if given.get(key) is not None}
        asked_for = changed(
            spec,
            function=self._body,
            needs=_needs(spec.name, asked) if asked else spec.needs,
            outputs=outputs,
        )
        # What only weft needs to know does not travel, unless the function wants to know it too.
        passed |= {
            key: value
            for key, value in given.items()
            if value is not None and (key not in ("resources", "priority") or key in self._accepted)
        }
        return run._kernel.submit(asked_for, args, passed, given.get("stdout"), given.get("stderr"))

    def options(
        self,
        *,
        executors: Sequence[str] | str | None = None,
        session: Session | None = None,
        walltime: float | None = None,
        resources: Resources | None = None,
        priority: int | None = None,
        stdout: Any = None,
        stderr: Any = None,
        name: str | None = None,
        serializer: SerializerSettings | None = None,
    ) -> App[P, R]:
        """The same app with other options; those left out stay as they are.

        The app itself is not changed.
        """
        special = {
            "walltime": walltime,
            "resources": resources,
            "priority": priority,
            "stdout": stdout,
            "stderr": stderr,
        }
        spec = changed(
            self._spec,
            name=name or self._spec.name,
            executors=self._spec.executors if executors is None else _labels(executors),
            serializer=self._spec.serializer if serializer is None else serializer,
        )
        return App(
            self._function,
            spec,
            self._body,
            session=session or self._session,
            defaults={
                **self._defaults,
                **{key: value for key, value in special.items() if value is not None},
            },
        )

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        # As a function in a class does: what is called is bound to the instance, which becomes the
        # first argument.
        return self if instance is None else MethodType(self, instance)

    def __reduce_ex__(self, protocol: Any) -> Any:
        # By its name, where the name leads to it: so a function that mentions an app can travel.
        found: Any = sys.modules.get(self.__module__)
        for part in self.__qualname__.split("."):
            found = getattr(found, part, None)
        if found is self and self.__module__ != "__main__":
            return self.__qualname__
        return super().__reduce_ex__(protocol)

    def __weft_memo__(self) -> object:
        """What stands for an app in the memory of others: its function."""
        return self._function

    def __repr__(self) -> str:
        return f"<app {self._spec.name}>"


@overload
# A class is callable too, and is taken as a class first.
def python_app(function: type[C], /) -> type[C]: ...  # type: ignore[overload-overlap]
@overload
def python_app(function: Callable[P, Coroutine[Any, Any, R]], /) -> App[P, R]: ...
@overload
def python_app(function: Callable[P, R], /) -> App[P, R]: ...
@overload
def python_app(
    *,
    executors: Sequence[str] | str | None = ...,
    cache: bool = ...,
    version: str | None = ...,
    ignore_for_cache: Collection[str] = ...,
    returns: int | None = ...,
    serializer: SerializerSettings | None = ...,
    session: Session | None = ...,
) -> _PythonDecorator: ...
def python_app(function: Any = None, /, **options: Any) -> Any:  # noqa: D417 - as users write it
    """Make a function an app: each call runs on an executor.

    Works on functions, ``async def`` functions, methods, and classes with a ``__call__``, whose
    instances are apps then.

    Args:
        executors: labels of the executors it may run on; any when left out.
        cache: whether a call with the same arguments is answered from memory.
        version: stands for the source of the function in its memory; change it when results change.
        ignore_for_cache: names of arguments that do not change the result.
        returns: how many results it returns, so that its future can be unpacked into as many
            futures.
        serializer: what packs its calls and their results for workers, made by
            ``weft.serializer``; what the executor names when left out.
        session: the session it belongs to; the current one when left out.
    """
    return _decorate(function, options, _python_body)


@overload
def bash_app(function: Callable[P, str | Sequence[Any]], /) -> App[P, int]: ...
@overload
def bash_app(
    *,
    executors: Sequence[str] | str | None = ...,
    cache: bool = ...,
    version: str | None = ...,
    ignore_for_cache: Collection[str] = ...,
    serializer: SerializerSettings | None = ...,
    session: Session | None = ...,
) -> _BashDecorator: ...
def bash_app(function: Any = None, /, **options: Any) -> Any:
    """Make a function an app whose result is the exit code of a command.

    The function runs on an executor and returns the command: a string, which ``/bin/bash -c`` runs,
    or a list of arguments, which runs without a shell. The result is 0; any other exit code fails
    the task with :class:`~weft.errors.BashExit`. ``stdout`` and ``stderr`` of the call say where
    its output goes. Options are those of :func:`python_app`.
    """
    return _decorate(function, options, _bash_body)


@overload
def join_app(function: Callable[P, Future[R]], /) -> App[P, R]: ...
@overload
def join_app(function: Callable[P, list[AppFuture[R]]], /) -> App[P, list[R]]: ...
@overload
def join_app(function: Callable[P, list[Future[R]]], /) -> App[P, list[R]]: ...
@overload
def join_app(function: Callable[P, dict[K, AppFuture[R]]], /) -> App[P, dict[K, R]]: ...
@overload
def join_app(function: Callable[P, Any], /) -> App[P, Any]: ...
@overload
def join_app(
    *,
    cache: bool = ...,
    version: str | None = ...,
    ignore_for_cache: Collection[str] = ...,
    returns: int | None = ...,
    session: Session | None = ...,
) -> _JoinDecorator: ...
def join_app(function: Any = None, /, **options: Any) -> Any:
    """Make a function an app that decides, once its inputs are there, which further apps to call.

    The function runs on a thread of the session and returns a future, or lists, tuples and dicts of
    futures, nested as you like. The task ends when all of those have, with their values in the same
    structure. It is not retried itself: the apps it calls are. Options are those of
    :func:`python_app`, but for ``executors`` and ``serializer``.
    """
    return _decorate(function, options, None)


def _python_body(
    function: Callable[..., Any], name: str
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """What runs for a plain call, and what runs for a call with special keywords."""
    if inspect.iscoroutinefunction(function):
        body: Callable[..., Any] = bodies.AsyncBody(function, name)
        return body, body
    return function, bodies.PythonBody(function, name)


def _bash_body(
    function: Callable[..., Any], name: str
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    body = bodies.BashBody(function, name)
    return body, body


def _decorate(
    function: Any,
    options: Mapping[str, Any],
    make_body: Callable[[Callable[..., Any], str], tuple[Callable[..., Any], Callable[..., Any]]]
    | None,
) -> Any:
    _check_options(options, join=make_body is None)
    if function is None:
        return lambda later: _decorate(later, options, make_body)
    if isinstance(function, type):
        call = function.__dict__.get("__call__")
        if call is None:
            raise TypeError(
                f"the class {function.__name__} has no __call__ of its own, "
                "so its instances cannot be apps"
            )
        setattr(function, "__call__", _made(call, function.__name__, options, make_body))  # noqa: B010 - see mypy
        return function
    if not callable(function):
        raise TypeError(f"an app is made of a function, not of {function!r}")
    name = getattr(function, "__name__", None) or type(function).__name__
    return _made(function, name, options, make_body)


def _made(
    function: Callable[..., Any],
    name: str,
    options: Mapping[str, Any],
    make_body: Callable[[Callable[..., Any], str], tuple[Callable[..., Any], Callable[..., Any]]]
    | None,
) -> App[..., Any]:
    plain, body = (function, function) if make_body is None else make_body(function, name)
    identity = call_names = None
    if options.get("cache"):
        from weft.dataflow.memo_keys import CallKeys

        keys = CallKeys(
            function,
            version=options.get("version"),
            ignored=tuple(options.get("ignore_for_cache", ())),
        )
        identity, call_names = keys.key, keys.names
    executors = options.get("executors")
    spec = TaskSpec(
        name=name,
        function=plain,
        join=make_body is None,
        executors=None if executors in (None, "all") else _labels(executors),
        needs=NEEDS_NOTHING,
        returns=options.get("returns"),
        cache=bool(options.get("cache")),
        identity=identity,
        serializer=options.get("serializer"),
        call_names=call_names,
    )
    return App(function, spec, body, session=options.get("session"))


_OPTIONS = (
    "executors",
    "cache",
    "version",
    "ignore_for_cache",
    "returns",
    "serializer",
    "session",
)
_NOT_OF_JOINS = ("executors", "serializer")


def _check_options(options: Mapping[str, Any], *, join: bool) -> None:
    known = [name for name in _OPTIONS if not (join and name in _NOT_OF_JOINS)]
    for name in options:
        if name not in known:
            import difflib

            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(known)}"
            raise TypeError(f"{'join_app' if join else 'an app'} has no option {name!r}{hint}")
    serializer = options.get("serializer")
    if serializer is not None and not isinstance(serializer, SerializerSettings):
        name = serializer if isinstance(serializer, str) else "cloudpickle"
        raise TypeError(f"serializer is made by weft.serializer({name!r}), not {serializer!r:.80}")
    returns = options.get("returns")
    if returns is not None and (not isinstance(returns, int) or returns < 1):
        raise ValueError(f"returns is the number of results, 1 or more, not {returns!r}")


def _labels(executors: Sequence[str] | str) -> tuple[str, ...]:
    return (executors,) if isinstance(executors, str) else tuple(executors)


def _files(app: str, outputs: Any) -> tuple[File, ...]:
    if outputs is None:
        return ()
    if isinstance(outputs, (str, bytes)) or not isinstance(outputs, Iterable):
        raise CallError(
            f"The app {app!r} was given outputs={outputs!r}.",
            why="outputs is a list, with an entry for each file that the task makes.",
            todo=f"Write outputs=[{outputs!r}].",
        )
    try:
        return tuple(output if isinstance(output, File) else File(output) for output in outputs)
    except TypeError as error:
        raise CallError(
            f"The app {app!r} was given something in outputs that is no file: {error}.",
            todo="Give Files, paths or URLs; a DataFuture belongs in inputs.",
        ) from error


def _needs(app: str, asked: Mapping[str, Any]) -> Needs:
    try:
        resources = asked.get("resources")
        if isinstance(resources, Mapping):
            named = {field.name for field in attrs.fields(Resources)} - {"options"}
            known = {key: value for key, value in resources.items() if key in named}
            other = {key: value for key, value in resources.items() if key not in named}
            resources = Resources(**known, options=other)
        return Needs(
            resources=resources, walltime=asked.get("walltime"), priority=asked.get("priority", 0)
        )
    except (TypeError, ValueError) as error:
        shown = ", ".join(f"{key}={value!r}" for key, value in asked.items())
        raise CallError(
            f"The app {app!r} was given {shown}, which cannot be asked for.",
            why=str(error.args[0]) if error.args else str(error),
            todo="walltime is a positive number of seconds, priority a whole number, resources a "
            "weft.Resources.",
        ) from error
