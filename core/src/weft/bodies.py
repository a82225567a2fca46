"""What runs around a user's function in a task: commands, redirection, outputs, coroutines.

A *body* is made once for each app and is the ``function`` of its tasks; it is called with the
arguments of the call, special keywords included, exactly as the user gave them:

    body(*args, inputs=…, outputs=…, stdout=…, stderr=…, walltime=…, resources=…, priority=…,
    **kwargs)

It uses the special keywords that concern it, and passes on to the function those that its signature
accepts. A special keyword that is left out takes the default that the signature gives to a
parameter of that name. An app that needs none of this (a plain function, called without special
keywords) needs no body: its function can be the task's.

Bodies are picklable wherever their function is, and import next to nothing, since every worker
loads this module.

Who kills commands: the body itself at the walltime; :func:`stop`, called by an executor for a task
that is cancelled; and :func:`stop_all`, called by a worker that ends. Executors say which task a
thread runs by ``current.task = id``.

    thread of the task   BashBody ── posix_spawn ──▶ process group of the command
                            │                             ▲
                            └── _groups[task] = group ────┴── stop(task), from any thread
"""

from __future__ import annotations

import os
import sys
from _thread import _local, allocate_lock, start_new_thread
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, TextIO

    Stream = str | os.PathLike[str] | tuple[str | os.PathLike[str], str] | None

__all__ = [
    "SPECIAL",
    "AsyncBody",
    "BashBody",
    "PythonBody",
    "current",
    "handle_of",
    "hear_records",
    "hearing",
    "on_import",
    "own_process",
    "owns_process",
    "special_parameters",
    "stop",
    "stop_all",
]

SPECIAL = ("inputs", "outputs", "stdout", "stderr", "walltime", "resources", "priority")
"""The keywords that mean something to weft itself."""

TAIL = 10_000
"""Bytes of standard error that go into an error message."""

GRACE = 2.0
"""Seconds between asking a command to end and killing it."""

_SIGTERM, _SIGKILL, _SIGPIPE, _SIGXFSZ = 15, 9, 13, 25


def handle_of(pid: int) -> int:
    """A descriptor that is readable when a child of this process has ended.

    -1 where there is no such thing: not in this Python, not in the kernel that it runs on, which
    may be older than the one it was made for, as in a container; or not for who is kept in one.

    Raises:
        OSError: there is no room for another descriptor.
    """
    if not hasattr(os, "pidfd_open"):
        return -1
    try:
        return os.pidfd_open(pid)
    except OSError as trouble:
        import errno

        if trouble.errno in {errno.ENOSYS, errno.EPERM}:
            return -1
        raise


class _Arrival:
    """Among the finders of modules, one that finds none: it hears that one is imported."""

    def __init__(self, name: str, then: Callable[[Any], None]) -> None:
        self._name, self._then = name, then

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """What the other finders find, made to say when the module is there."""
        if name != self._name:
            return None
        for finder in sys.meta_path:
            seek = None if finder is self else getattr(finder, "find_spec", None)
            if seek is not None and (found := seek(name, path, target)) is not None:
                if hasattr(found.loader, "exec_module"):
                    found.loader = _Loading(found.loader, self)
                return found
        return None

    def arrived(self, module: Any) -> None:
        """It is there."""
        self.stop()
        self._then(module)

    def stop(self) -> None:
        """Hear no more."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)


class _Loading:
    """The loader of a module, which says when it has loaded it."""

    def __init__(self, loader: Any, arrival: _Arrival) -> None:
        self._loader, self._arrival = loader, arrival

    def create_module(self, spec: Any) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        module.__loader__ = module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._arrival.arrived(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


def on_import(name: str, then: Callable[[Any], None]) -> Callable[[], None]:
    """Have something done with a module when it is there: now, or once it has been imported.

    Costs nothing but a question at each import of another module. For what is to listen to a
    library that most processes never load.

    Args:
        name: of the module.
        then: gets it, in the thread that imports it, after it has run.

    Returns: what ends the wait for it.
    """
    module = sys.modules.get(name)
    arrival = _Arrival(name, then)
    if module is None:
        sys.meta_path.insert(0, arrival)
    else:
        then(module)
    return arrival.stop


class _Hearing(_local):
    """What a thread is at.

    Attributes:
        told: whether it handles a record that was passed on, so that what a handler prints of it
            is not to be passed on again.
    """

    told = False


hearing = _Hearing()


def hear_records(logging: Any, hear: Callable[[Any], bool]) -> Callable[[], None]:
    """Have each record that passes its logger's level and filters passed on before it is handled.

    ``logging`` looks as if nobody heard: a handler of the root would change what a program does,
    since ``logging.basicConfig`` and the handler of last resort look whether there is one.

    Args:
        logging: the module.
        hear: gets each record, in the thread that made it; says whether it takes it.

    Returns: what ends that. It does nothing to whoever began to listen later.
    """
    handle = logging.Logger.callHandlers

    def callHandlers(self: Any, record: Any) -> None:  # noqa: N802 - logging's name
        if not hear(record):
            handle(self, record)
            return
        before, hearing.told = hearing.told, True
        try:
            handle(self, record)
        finally:
            hearing.told = before

    logging.Logger.callHandlers = callHandlers

    def end() -> None:
        nonlocal hear
        if logging.Logger.callHandlers is callHandlers:
            logging.Logger.callHandlers = handle
        else:
            hear = _nothing

    return end


def _nothing(_record: Any) -> bool:
    """Nobody listens any more."""
    return False


class _Current(_local):
    """Which task the calling thread runs.

    Attributes:
        task: its id, or ``None``.
    """

    task: int | None = None


current = _Current()


# ------------------------------------------------------------------------------------------------
# bodies


class _Body:
    """A function, and how special keywords reach it."""

    packs_once = True  # does not change between two calls, so it travels to each worker once

    def __init__(self, function: Callable[..., Any], app: str = "") -> None:
        """Wrap ``function``; ``app`` is its name for people."""
        self.function = function
        self.app = app or getattr(function, "__name__", "app")
        self.accepted, self.defaults = special_parameters(function)

    def _split(self, kwargs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The special keywords of this call, and what the function is to be given."""
        special = dict(self.defaults)
        passed = {}
        for name, value in kwargs.items():
            if name in SPECIAL:
                special[name] = value
                if name not in self.accepted:
                    continue
            passed[name] = value
        return special, passed

    def _check_outputs(self, outputs: Any) -> None:
        missing = [str(output) for output in outputs or () if not _is_there(output)]
        if missing:
            from weft.errors import MissingOutputs

            raise MissingOutputs(self.app, missing, _folder())


class PythonBody(_Body):
    """Runs a function, with its output redirected and its outputs looked for, as the call asks.

    In a process that runs one task at a time the file descriptors are redirected, so what compiled
    code and child processes write is caught too. Among threads, only what Python code of the task's
    own thread writes to ``sys.stdout`` and ``sys.stderr`` is.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the function returns."""
        special, passed = self._split(kwargs)
        stdout, stderr = special.get("stdout"), special.get("stderr")
        if stdout is None and stderr is None:
            value = self._called(args, passed)
        else:
            with _Redirected(stdout, stderr):
                value = self._called(args, passed)
        if special.get("outputs"):
            self._check_outputs(special["outputs"])
        return value

    def _called(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        return self.function(*args, **kwargs)


class AsyncBody(PythonBody):
    """As :class:`PythonBody`, for ``async def``; each call has an event loop of its own."""

    def _called(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        import asyncio

        return asyncio.run(self.function(*args, **kwargs))


class BashBody(_Body):
    """Runs the command that a function returns.

    A string is run by ``/bin/bash -c``; a list of arguments without a shell.

    Returns:
        0, the command's exit code.

    Raises:
        BashExit: the command ended with another code; the error has the tail of its standard error.
        BashReturnType: the function returned something that is not a command.
        TaskTimeout: it took longer than its walltime, and was ended with all that it had started.
        MissingOutputs: it ended well, but did not make the files that the call declares.
    """

    times_out_itself = (
        True  # an executor that stops late tasks should give this one time to say what it was doing
    )

    def __call__(self, *args: Any, **kwargs: Any) -> int:
        """The exit code of the command, which is 0."""
        special, passed = self._split(kwargs)
        command = self.function(*args, **passed)
        arguments, shown = self._arguments(command)
        self._run(arguments, shown, special)
        if special.get("outputs"):
            self._check_outputs(special["outputs"])
        return 0

    def _arguments(self, command: Any) -> tuple[list[str | bytes], str]:
        if isinstance(command, str) and command.strip():
            return ["/bin/bash", "-c", command], command
        if isinstance(command, (list, tuple)) and command:
            try:
                arguments: list[str | bytes] = [os.fspath(argument) for argument in command]
            except TypeError:
                wrong = next(
                    part for part in command if not isinstance(part, (str, bytes, os.PathLike))
                )
                raise self._not_a_command(
                    f"a list that holds {_described(wrong)}; its parts must be strings or paths"
                ) from None
            return arguments, " ".join(_quoted(argument) for argument in arguments)
        raise self._not_a_command(_described(command))

    def _not_a_command(self, found: str) -> Exception:
        from weft.errors import BashReturnType

        return BashReturnType(self.app, found)

    def _run(self, arguments: list[str | bytes], shown: str, special: Mapping[str, Any]) -> None:
        walltime = special.get("walltime")
        out, err = _Target(special.get("stdout")), _Target(special.get("stderr"))
        try:
            command = _Command(arguments, out, err, walltime)
        except OSError as trouble:
            out.close()
            err.close()
            from weft.errors import BashExit

            raise BashExit(
                self.app, 127, shown, stdout=out.path, stderr=err.path, tail=str(trouble)
            ) from trouble
        code, late = command.waited()
        tail = command.tail() if code or late else ""
        command.close()
        if late:
            from weft.errors import TaskTimeout

            said = f" The last lines of its standard error:\n{tail}" if tail.strip() else ""
            raise TaskTimeout(
                f"The app {self.app!r}", walltime or 0, f"Its command was: {shown}.{said}"
            )
        if code:
            from weft.errors import BashExit

            raise BashExit(self.app, code, shown, stdout=out.path, stderr=err.path, tail=tail)


def special_parameters(function: Any) -> tuple[frozenset[str], dict[str, Any]]:
    """The special keywords that a function accepts, and their defaults in its signature."""
    import inspect

    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a function of compiled code that does not say
        return frozenset(), {}
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        accepted = frozenset(SPECIAL)
    else:
        accepted = frozenset(
            p.name for p in parameters if p.name in SPECIAL and p.kind is not p.POSITIONAL_ONLY
        )
    defaults = {
        p.name: p.default
        for p in parameters
        if p.name in SPECIAL and p.default is not p.empty and p.default is not None
    }
    return accepted, defaults


def _is_there(output: Any) -> bool:
    try:
        return os.path.exists(os.fspath(output))  # noqa: PTH110 - pathlib is not loaded on workers
    except (
        TypeError,
        ValueError,
    ):  # not a file of this machine: whoever brings it away will look for it
        return True


def _folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - as above
    except OSError as trouble:
        return f"(not known: {trouble})"


def _described(thing: Any) -> str:
    if thing is None:
        return "None"
    text = repr(thing)
    return f"{text if len(text) <= 80 else text[:77] + '...'} (of type {type(thing).__name__})"


def _quoted(argument: str | bytes) -> str:
    import shlex

    return shlex.quote(os.fsdecode(argument))


# -----------------------------------------------------------------------------------------------
# commands

_groups: dict[int, int] = {}
_stopped: set[int] = set()
_lock = allocate_lock()
_watcher: Callable[[int], None] | None = None
_owns_process = False


def own_process(watcher: Callable[[int], None] | None = None) -> None:
    """Say that this process runs one task at a time, which may redirect file descriptors.

    Args:
        watcher: called with the process group of a command that has started, and with 0 at its end.
    """
    global _owns_process, _watcher
    _owns_process, _watcher = True, watcher


def owns_process() -> bool:
    """Whether this process runs one task at a time."""
    return _owns_process


def stop(task: int) -> bool:
    """End the command that a task runs, with all it started: asked first, killed soon after.

    Does not block, and may be called from any thread. Returns whether there was such a command.
    """
    with _lock:
        group = _groups.get(task)
        if group is None:
            return False
        _signal_group(group, _SIGTERM)
    start_new_thread(_kill_later, (task, group))
    return True


def stop_all() -> None:
    """Kill the commands of all tasks of this process at once."""
    with _lock:
        for group in _groups.values():
            _signal_group(group, _SIGKILL)


def _kill_later(task: int, group: int) -> None:
    from time import sleep

    sleep(GRACE)
    with _lock:
        if _groups.get(task) == group:
            _signal_group(group, _SIGKILL)


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # ended already
        return


class _Target:
    """Where one stream of a command or a task goes.

    Attributes:
        path: the file, or ``None`` if it is not redirected.
        fd: the open file, or -1.
        begin: its size before the task wrote.
    """

    __slots__ = ("begin", "fd", "path")

    def __init__(self, where: Stream) -> None:
        self.path: str | None = None
        self.fd, self.begin = -1, 0
        if where is None:
            return
        mode = "a"
        if isinstance(where, tuple):
            where, mode = where
        self.path = os.fspath(where)
        folder = os.path.dirname(self.path)  # noqa: PTH120 - pathlib is not loaded on workers
        if folder:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - as above
        self.fd = os.open(self.path, _flags(mode), 0o666)
        self.begin = os.fstat(self.fd).st_size

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _flags(mode: str) -> int:
    how = mode.replace("b", "").replace("t", "").replace("+", "")
    more = {
        "a": os.O_APPEND | os.O_CREAT,
        "w": os.O_TRUNC | os.O_CREAT,
        "x": os.O_EXCL | os.O_CREAT,
    }
    if how not in more:
        raise ValueError(
            f"the mode {mode!r} of a redirected stream is not one for writing: 'a', 'w' or 'x'"
        )
    return os.O_WRONLY | os.O_CLOEXEC | more[how]


class _Command:
    """A command in a process group of its own, from its start until it has been waited for."""

    def __init__(
        self, arguments: list[str | bytes], out: _Target, err: _Target, walltime: float | None
    ) -> None:
        self._out, self._err = out, err
        self._deadline = None if walltime is None else monotonic() + walltime
        self._said = bytearray()
        self._pipe = -1
        actions: list[tuple[Any, ...]] = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
        if out.fd >= 0:
            actions.append((os.POSIX_SPAWN_DUP2, out.fd, 1))
        writer = err.fd
        if writer < 0:
            self._pipe, writer = os.pipe()
            os.set_blocking(self._pipe, False)
        actions.append((os.POSIX_SPAWN_DUP2, writer, 2))
        _flush()
        try:
            self._pid = os.posix_spawnp(
                arguments[0],
                arguments,
                os.environ,
                file_actions=actions,
                setpgroup=0,
                setsigmask=(),
                setsigdef=(_SIGPIPE, _SIGXFSZ),
            )
        except BaseException:
            if self._pipe >= 0:
                os.close(self._pipe)
            raise
        finally:
            if writer != err.fd:
                os.close(writer)
        self._task = current.task if current.task is not None else -self._pid
        with _lock:
            _groups[self._task] = self._pid
        if _watcher is not None:
            _watcher(self._pid)

    def waited(self) -> tuple[int, bool]:
        """The exit code, and whether the command was late and had to be ended."""
        try:
            if self._deadline is None and self._pipe < 0:
                _, status = os.waitpid(self._pid, 0)
                return os.waitstatus_to_exitcode(status), False
            return self._watched()
        except BaseException:  # such as KeyboardInterrupt: the command must not outlive its task
            _signal_group(self._pid, _SIGKILL)
            os.waitpid(self._pid, 0)
            raise
        finally:
            with _lock:
                _groups.pop(self._task, None)
            if _watcher is not None:
                _watcher(0)

    def _watched(self) -> tuple[int, bool]:
        late = False
        deadline = self._deadline
        for _ in self._events():
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._read()
                if late:  # what the command started may have outlived it
                    _signal_group(self._pid, _SIGKILL)
                return os.waitstatus_to_exitcode(status), late
            if deadline is not None and monotonic() >= deadline:
                _signal_group(self._pid, _SIGKILL if late else _SIGTERM)
                late, deadline = True, monotonic() + GRACE
            self._deadline = deadline
        raise AssertionError("the events of a command do not end before the command")

    def _events(self) -> Iterator[None]:
        """Comes back whenever there may be news: the command's end, its words, its deadline."""
        import select

        poll = select.poll()
        handle = handle_of(self._pid)
        if handle >= 0:
            poll.register(handle, select.POLLIN)
        if self._pipe >= 0:
            poll.register(self._pipe, select.POLLIN)
        open_pipe = self._pipe >= 0
        try:
            while True:
                wait = None
                if self._deadline is not None:
                    wait = max(0.0, self._deadline - monotonic()) * 1000 + 1
                if handle < 0:  # no handle for a process here: look again and again
                    wait = min(wait or 20.0, 20.0)
                for fd, _ in poll.poll(wait):
                    if fd == self._pipe and open_pipe and not self._read():
                        poll.unregister(self._pipe)
                        open_pipe = False
                yield
        finally:
            if handle >= 0:
                os.close(handle)

    def _read(self) -> bool:
        """Take what the command said on stderr, and pass it on. Returns whether more may come."""
        if self._pipe < 0:
            return False
        while True:
            try:
                data = os.read(self._pipe, 65536)
            except BlockingIOError:
                return True
            if not data:
                return False
            _pass_on(data)
            self._said += data
            if len(self._said) > 4 * TAIL:
                del self._said[:-TAIL]

    def tail(self) -> str:
        """The last of what it said on its standard error."""
        data = bytes(self._said[-TAIL:]) if self._err.path is None else _end_of_file(self._err)
        return data.decode("utf-8", "replace")

    def close(self) -> None:
        self._out.close()
        self._err.close()
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1


def _end_of_file(target: _Target) -> bytes:
    try:
        with open(target.path or "", "rb") as file:  # noqa: PTH123 - pathlib is not loaded on workers
            size = os.fstat(file.fileno()).st_size
            file.seek(max(target.begin if size > target.begin else 0, size - TAIL))
            return file.read(TAIL)
    except OSError as trouble:
        return f"(cannot be read: {trouble})".encode()


def _pass_on(data: bytes) -> None:
    """What a command says on a stderr that nobody redirected is seen, as without us."""
    try:
        sys.stderr.write(data.decode("utf-8", "replace"))
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):  # closed, or none: then nobody wants to see it
        return


# ---------------------------------------------------------------------------------------------
# redirection


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # closed, or none
            continue


class _Redirected:
    """While it is entered, what the task prints goes to files."""

    def __init__(self, stdout: Stream, stderr: Stream) -> None:
        self._targets = [_Target(stdout), _Target(stderr)]
        self._saved: list[tuple[int, int]] = []
        self._files: list[TextIO | None] = []

    def __enter__(self) -> None:
        if _owns_process:
            _flush()
            for number, target in enumerate(self._targets, 1):
                if target.fd >= 0:
                    self._saved.append((number, os.dup(number)))
                    os.dup2(target.fd, number)
            return
        self._files = [
            None if target.fd < 0 else os.fdopen(os.dup(target.fd), "w", encoding="utf-8")
            for target in self._targets
        ]
        _router.enter(self._files[0], self._files[1])

    def __exit__(self, *failure: object) -> None:
        if _owns_process:
            _flush()
            for number, saved in self._saved:
                os.dup2(saved, number)
                os.close(saved)
        else:
            _router.leave()
            for file in self._files:
                if file is not None:
                    file.close()
        for target in self._targets:
            target.close()


class _Routed:
    """Stands in for ``sys.stdout`` or ``sys.stderr``: each thread writes where its task wants."""

    def __init__(self, usual: TextIO, which: int) -> None:
        self._usual, self._which = usual, which

    def _target(self) -> TextIO:
        files: tuple[TextIO | None, TextIO | None] = getattr(_mine, "files", (None, None))
        return files[self._which] or self._usual

    def write(self, text: str) -> int:
        return self._target().write(text)

    def writelines(self, lines: Any) -> None:
        self._target().writelines(lines)

    def flush(self) -> None:
        self._target().flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target(), name)


_mine = _local()


class _Router:
    """Puts stand-ins in place with the first task that redirects, and away with the last."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._tasks = 0
        self._usual: tuple[Any, Any] = (None, None)
        self._placed: tuple[Any, Any] = (None, None)

    def enter(self, stdout: TextIO | None, stderr: TextIO | None) -> None:
        with self._lock:
            self._tasks += 1
            if sys.stdout is not self._placed[0] or sys.stderr is not self._placed[1]:
                self._usual = (sys.stdout, sys.stderr)
                self._placed = (_Routed(sys.stdout, 0), _Routed(sys.stderr, 1))
                sys.stdout, sys.stderr = self._placed
        _mine.files = (stdout, stderr)

    def leave(self) -> None:
        _mine.files = (None, None)
        with self._lock:
            self._tasks -= 1
            if self._tasks == 0:
                if sys.stdout is self._placed[0]:
                    sys.stdout = self._usual[0]
                if sys.stderr is self._placed[1]:
                    sys.stderr = self._usual[1]
                self._placed = (None, None)


_router = _Router()
