"""``weft run``: a script, run here, with a configuration from outside and its progress on stderr.

The script is ``__main__`` of this very process, as if Python had been started with it; only
``weft.load()`` without a configuration finds the one that was asked for here.

    weft run ─┬─ set_ambient(config) ──▶ weft.session ◀── load() ── script
              ├─ opened ◀── session            └──▶ Progress (see progress.py) ──▶ stderr
              └─ Ctrl-C ──▶ KeyboardInterrupt in the script; see _Signals for its thread
"""

import ast
import concurrent.futures
import contextlib
import difflib
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

import attrs
import click

if TYPE_CHECKING:
    from rich.console import Console

    from weft.cli.progress import Outlet, Progress
    from weft.configuration.config import Config
    from weft.session import Session, Status
    from weft.values.choice import Choice
    from weft.values.settings import ExecutorSettings

__all__ = ["configuration", "executor_from", "own_frames_hidden", "run"]

INTERRUPTED: Final = 130
"""The exit code after Ctrl-C, as shells have it: 128 and the number of the signal."""
LEFT_OUT: Final = 3
"""The exit code of a script that ended because of a task that ``--only`` leaves out."""
LONG: Final = 10.0
"""Seconds from which on a run is worth a word about where its time went."""
PATIENCE: Final = 5.0
"""Seconds from the second Ctrl-C to the end of the process, whatever is still in the way."""
NUDGE: Final = 0.1
"""Seconds after which a signal that was not handled is brought to mind again."""
NUDGES: Final = 50
"""How often that is done."""

_HELP: Final = """
Run SCRIPT as Python would, with the configuration given here wherever it calls weft.load() without
one. Words after SCRIPT belong to the script.

Exit codes: that of the script; 1 if it ends with an exception; 2 if this command is used wrongly;
3 if it ends with that of a task which --only leaves out; 130 after Ctrl-C. Tasks that fail do not
change the exit code of a script that goes on to its end, unless --fail-on-task-failure is given.

Ctrl-C once cancels what has not begun and waits for what runs; twice stops at once.
"""


@attrs.frozen(kw_only=True)
class Wishes:
    """What the command line says about the configuration."""

    config: Path | None = None
    executors: Sequence[str] = ()
    run_dir: Path | None = None
    resume: bool = False
    retries: float | None = None
    only: Sequence[str] = ()


@click.command(
    "run",
    help=_HELP,
    context_settings={"allow_interspersed_args": False, "help_option_names": ["-h", "--help"]},
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A Python file that makes `config`; it takes the place of the script's own configuration.",
)
@click.option(
    "--executor",
    "executors",
    multiple=True,
    metavar="NAME[:OPTION=VALUE,...]",
    help="Where tasks run, such as processes:max_workers=4. May be given more than once.",
)
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the run's folder is made. [default: weft-runs]",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Use what apps with cache=True returned in earlier runs, as far as those got.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="APP",
    help="With --resume: execute only calls of this app, and what needs their results; all others "
    "are answered from earlier runs, or left out. May be given more than once. 'weft runs retry' "
    "also gives 'call:…' for a task of an earlier run, and 'was:…' for a function as it was then.",
)
@click.option(
    "--retries",
    type=click.FloatRange(min=0),
    metavar="N",
    help="How often a task that failed is tried again.",
)
@click.option(
    "--progress",
    type=click.Choice(["auto", "rich", "plain", "none"]),
    default="auto",
    show_default=True,
    help="A live table on a terminal (rich), a line now and then (plain), or nothing.",
)
@click.option(
    "--summary/--no-summary",
    "full",
    default=None,
    help="Say at the end where the time went, or nothing. When left out: what became of the tasks, "
    "and of a run of 10 s or more where the time went.",
)
@click.option(
    "--fail-on-task-failure",
    is_flag=True,
    help="Exit with 1 if any task failed, even if the script ended well.",
)
@click.option("--debug", is_flag=True, help="Show weft's own frames in tracebacks.")
@click.argument("script", type=click.Path(path_type=Path))
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def run(
    *,
    script: Path,
    args: tuple[str, ...],
    progress: str,
    full: bool | None,
    fail_on_task_failure: bool,
    debug: bool,
    **wishes: Any,
) -> int:
    """Run a script; the text of ``--help`` stands above."""
    code = compiled(script)
    if isinstance(code, SyntaxError):
        sys.stderr.write("".join(traceback.format_exception_only(code)))
        return 1
    wished = Wishes(**wishes)
    choice = chosen(wished)
    debug = debug or os.environ.get("WEFT_DEBUG", "0") not in {"", "0"}
    config = configuration(wished)
    with _Run(config, wished, choice, progress=progress, full=full, debug=debug) as running:
        exit_code = running.script(code, script, args[1:] if args[:1] == ("--",) else args)
    if fail_on_task_failure and not exit_code and running.any_failed:
        return 1
    return exit_code


# ------------------------------------------------------------------- what the command line says


def chosen(wishes: Wishes) -> "Choice | None":
    """What alone is to be executed; ``None`` for all.

    Raises:
        click.UsageError: the command line does not say it well.
    """
    if not wishes.only:
        return None
    if not wishes.resume:
        raise click.UsageError(
            "--only needs --resume: without what earlier runs returned, all but the chosen tasks "
            "would be left out."
        )
    from weft.values.choice import choice_of

    try:
        return choice_of(wishes.only)
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="--only") from None


def configuration(wishes: Wishes) -> "Config":
    """The configuration that the command line asks for.

    Raises:
        WeftError: the file, or an executor, is not right.
    """
    from weft.configuration.check import load_config
    from weft.configuration.config import Config

    # What cached apps return is kept in any case, so that a run which nobody meant to stop can be
    # resumed.
    given = wishes.config
    config = load_config(given) if given is not None else Config(checkpoint="write")
    return adjusted(config, wishes)


def adjusted(config: "Config", wishes: Wishes) -> "Config":
    """A configuration with those options that the command line may change in any."""
    changes: dict[str, Any] = {}
    if wishes.executors:
        changes["executors"] = [executor_from(text) for text in wishes.executors]
    if wishes.run_dir is not None:
        changes["run_dir"] = wishes.run_dir
    if wishes.retries is not None:
        changes["retries"] = wishes.retries
    if wishes.resume:
        changes["checkpoint"] = True
    return attrs.evolve(config, **changes) if changes else config


def executor_from(text: str) -> "ExecutorSettings":
    """The executor that ``NAME:option=value,…`` describes.

    Values are numbers, ``true``, ``false``, ``none``, or text.

    Raises:
        click.BadParameter: an option has no value.
        WeftError: there is no such executor, or no such option, or not that value.
    """
    from weft.configuration.registry import executor

    name, _, rest = text.partition(":")
    options = {}
    for part in filter(None, rest.split(",")):
        option, equals, value = part.partition("=")
        if not equals:
            raise click.BadParameter(
                f"{part!r} in {text!r} is not OPTION=VALUE.", param_hint="--executor"
            )
        options[option.strip().replace("-", "_")] = _value(value.strip())
    return executor(name, **options)


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text.capitalize() if text.lower() in _WORDS else text)
    except (ValueError, SyntaxError):
        return text


_WORDS: Final = frozenset({"true", "false", "none"})


def compiled(script: Path) -> CodeType | SyntaxError:
    """The script's code, or what is wrong with it.

    Raises:
        click.UsageError: there is no such file, or it cannot be read.
    """
    try:
        source = script.read_bytes()
    except FileNotFoundError:
        raise click.UsageError(f"There is no script {str(script)!r}.{_near(script)}") from None
    except IsADirectoryError:
        raise click.UsageError(
            f"{str(script)!r} is a folder; name the script in it that is to be run."
        ) from None
    except OSError as error:
        raise click.UsageError(f"{str(script)!r} cannot be read: {error.strerror}.") from None
    try:
        # Not inherited: what this module imports from __future__ is no business of the script.
        return compile(source, str(script), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        return error if isinstance(error, SyntaxError) else SyntaxError(f"{script}: {error}")


def _near(script: Path) -> str:
    try:
        names = [entry.name for entry in script.parent.iterdir() if entry.suffix == ".py"]
    except OSError:
        return ""
    near = difflib.get_close_matches(script.name, names, 1)
    return f" Did you mean {str(script.parent / near[0])!r}?" if near else ""


# --------------------------------------------------------------------------- the run


class _Run:
    """What surrounds the script: ambient configuration, progress, Ctrl-C, and the last words."""

    def __init__(
        self,
        config: "Config",
        wishes: Wishes,
        choice: "Choice | None",
        *,
        progress: str,
        full: bool | None,
        debug: bool,
    ) -> None:
        from weft.cli.console import console

        self._config, self._wishes, self._debug = config, wishes, debug
        self._choice = choice
        self._quiet = progress == "none"
        self._full = full
        self._outlet = _outlet(progress)
        self._console: Console = console(self._outlet.terminal if self._outlet else sys.stderr)
        self._sessions: list[Session] = []
        self._progress: Progress | None = None
        self._last: dict[int, Status] = {}
        self._presses = 0
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> Self:
        from weft import session

        session.set_ambient(
            self._config,
            override=self._wishes.config is not None,
            adjust=self._adjust,
            only=self._choice,
        )
        session.opened.append(self._on_open)
        self._undo.callback(session.opened.remove, self._on_open)
        self._undo.callback(session.set_ambient, None)
        self._undo.enter_context(_attribute(session, "say", self._say))
        # A session that is to tell its summary leaves that to the last words here.
        self._undo.enter_context(_attribute(session, "tell_summary", lambda _session: None))
        if self._outlet is not None:
            self._outlet.open()
            self._undo.callback(self._outlet.close)
        handlers = {signal.SIGINT: self._interrupt, signal.SIGTERM: self._terminate}
        self._signals = self._undo.enter_context(_Signals(handlers))
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def _adjust(self, config: "Config") -> "Config":
        """The script's own configuration, with what the command line says about any."""
        if self._wishes.executors and config.executors:
            self._say(
                "weft: the executors given on the command line are used in place of the "
                "script's own"
            )
        return adjusted(config, self._wishes)

    # ----------------------------------------------------------------------- the script

    def script(self, code: CodeType, script: Path, args: Sequence[str]) -> int:
        """Run the script to its end, and everything it started; returns the exit code."""
        error: BaseException | None = None
        try:
            _execute(code, script, args)
        except BaseException as raised:  # noqa: BLE001 - whatever ends the script ends here
            error = raised
        error = self._close_sessions(error)
        self._stop_progress()
        if self._outlet is not None:
            self._outlet.close()
        exit_code = self._exit_code(error)
        self._last_words(ended_well=exit_code == 0)
        return exit_code

    def _close_sessions(self, error: BaseException | None) -> BaseException | None:
        """Close what the script left open, waiting if it ended well; says which error to report."""
        failed = error is not None and not (isinstance(error, SystemExit) and not error.code)
        for session in self._sessions:
            try:
                session.close(cancel=failed or session.config.on_exit == "cancel", because=error)
            except BaseException as raised:  # noqa: BLE001 - Ctrl-C, and others are to close
                error, failed = error or raised, True
        return error

    def _exit_code(self, error: BaseException | None) -> int:
        sys.stdout.flush()
        if error is None:
            return 0
        if isinstance(error, SystemExit):
            if error.code is None or isinstance(error.code, int):
                return error.code or 0
            sys.stderr.write(f"{error.code}\n")
            return 1
        if isinstance(error, KeyboardInterrupt):
            if self._debug:
                _print_error(error, hide=False)
            return INTERRUPTED
        _print_error(error, hide=not self._debug)
        return LEFT_OUT if self._choice is not None and left_out(error) else 1

    # ----------------------------------------------------------- sessions and what is shown

    def _on_open(self, session: "Session") -> None:
        from weft.cli.progress import Progress

        self._stop_progress()
        self._sessions.append(session)
        if not self._quiet:
            self._progress = Progress(session.status, self._console, self._outlet)
            self._progress.start()

    def _stop_progress(self) -> None:
        if self._progress is not None:
            self._progress.close()
            if self._progress.last.closed:
                self._last[len(self._sessions) - 1] = self._progress.last
            self._progress = None

    def _say(self, line: str) -> None:
        from weft.cli.progress import say

        if self._progress is not None:
            self._progress.say(line)
        else:
            say(self._console, line)

    @property
    def any_failed(self) -> bool:
        """Whether a task of any session failed."""
        return any(session.status().failures for session in self._sessions)

    def _last_words(self, *, ended_well: bool) -> None:
        from weft.cli.progress import causes_of, summary
        from weft.eventlog.runs import ending

        if (self._quiet and not self._full) or self._full is False:
            return
        if not self._sessions and ended_well:
            self._say("weft: the script called no app, so there was nothing for weft to do")
        for number, session in enumerate(self._sessions):
            wanted = session.config.summary if self._full is None else self._full
            if wanted is False:
                continue
            last = self._last.get(number) or session.status()
            times = wanted or (last.elapsed >= LONG and session.config.event_log)
            told = ending(session.run_folder) if times or last.failures else None
            causes = causes_of(last, told.figures if told is not None else None)
            self._console.print(summary(last, causes))
            if times and told is not None:
                for line in told.times():
                    self._say(line)

    # ----------------------------------------------------------------------- signals

    def _interrupt(self) -> NoReturn:
        self._presses += 1
        # What is waited for is said by the session, when the exception reaches it.
        if self._presses == 2:
            # Whatever still holds on, such as a finally of the script, does not hold for long.
            timer = threading.Timer(PATIENCE, self._end)
            timer.daemon = True
            timer.start()
        if self._presses > 2:
            self._end()
        raise KeyboardInterrupt

    def _end(self) -> NoReturn:
        if self._outlet is not None:
            self._console.show_cursor()
        os._exit(INTERRUPTED)

    def _terminate(self) -> NoReturn:
        """A batch system asks for the end, which is as orderly as after Ctrl-C."""
        self._say("weft: told to terminate")
        raise SystemExit(128 + signal.SIGTERM)


def left_out(error: BaseException) -> bool:
    """Whether an error is that of a task which was left out, or of one that needed only such."""
    from weft.errors import DependencyError, JoinError, LeftOut

    while isinstance(error, JoinError):
        error = error.root
    if isinstance(error, DependencyError):
        # As many roots as it holds: of the very many others, these are an example.
        return all(map(left_out, error.roots))
    return isinstance(error, LeftOut)


class _Signals:
    """Handles signals while entered, and sees to it that none is overlooked.

    Python runs a handler when its main thread comes to it. A signal that arrives in the moment
    before that thread begins to wait for a lock, as in ``future.result()``, is handled only when
    the wait ends, which may be never. So the thread ``weft-signals`` hears of each signal too, and
    interrupts the wait, by a signal that means nothing, until the handler has run.

        signal ──▶ pipe ──▶ weft-signals ──SIGURG──▶ main thread: handler
    """

    def __init__(self, handlers: Mapping[signal.Signals, Callable[[], object]]) -> None:
        self._handlers = handlers
        self._handled = threading.Event()
        self._main = threading.get_ident()
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> Self:
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        for number in self._handlers:
            self._set(number, self._handle)
        self._set(signal.SIGURG, lambda *_: None)
        thread = threading.Thread(
            target=self._watch, args=(reading,), daemon=True, name="weft-signals"
        )
        thread.start()
        before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        self._undo.callback(thread.join)
        self._undo.callback(os.close, writing)
        self._undo.callback(signal.set_wakeup_fd, before)
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def _set(self, number: int, handler: Callable[[int, FrameType | None], object]) -> None:
        # What was to be ignored, as in the background of some shells, stays so.
        if signal.getsignal(number) is not signal.SIG_IGN:
            self._undo.callback(signal.signal, number, signal.signal(number, handler))

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self._handled.set()
        self._handlers[signal.Signals(number)]()

    def _watch(self, reading: int) -> None:
        with open(reading, "rb", buffering=0) as heard:
            while number := heard.read(1):
                if number[0] in self._handlers:
                    self._make_heard()

    def _make_heard(self) -> None:
        # Not for ever: the script may have a handler of its own, or be busy in compiled code.
        for _ in range(NUDGES):
            if self._handled.wait(NUDGE):
                break
            signal.pthread_kill(self._main, signal.SIGURG)
        self._handled.clear()


def _outlet(progress: str) -> "Outlet | None":
    """What a live table needs, where one is wanted and can be shown."""
    if progress not in {"auto", "rich"} or not sys.stderr.isatty():
        return None
    if os.environ.get("TERM", "") in {"", "dumb", "unknown"}:
        return None
    from weft.cli.progress import Outlet

    return Outlet()


@contextlib.contextmanager
def _attribute(owner: ModuleType, name: str, value: Callable[..., Any]) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _execute(code: CodeType, script: Path, args: Sequence[str]) -> None:
    """Run code as ``__main__``, with everything where a script looks for it."""
    main = ModuleType("__main__")
    main.__dict__.update(__file__=str(script), __builtins__=__builtins__, __cached__=None)
    sys.modules["__main__"] = main
    sys.argv = [str(script), *args]
    folder = str(script.resolve().parent)
    if sys.flags.safe_path:
        sys.path.insert(0, folder)
    else:
        # Where Python has the folder of the script, it has that of the program `weft` so far.
        sys.path[:1] = [folder]
    exec(code, main.__dict__)  # noqa: S102 - to run a script is what this is for


# --------------------------------------------------------------------------- tracebacks


def _print_error(error: BaseException, *, hide: bool) -> None:
    if sys.excepthook is not sys.__excepthook__:
        # The script wants its errors shown in another way.
        sys.excepthook(type(error), error, error.__traceback__)
        return
    told = traceback.TracebackException.from_exception(error)
    if hide:
        own_frames_hidden(told, error)
    # Where no frame is left, the line that announces frames goes too.
    sys.stderr.write(
        re.sub(r"(?m)^([ |]*)Traceback \(most.*\n(?!\1  )", "", "".join(told.format()))
    )


def own_frames_hidden(told: traceback.TracebackException, error: BaseException) -> None:
    """Leave out the frames of weft and of the library's futures, in every error of the chain.

    Not where one of weft's own lines raised what it should not: those frames are what is wanted.
    """
    pending: list[tuple[traceback.TracebackException | None, BaseException | None]] = [
        (told, error)
    ]
    seen: set[int] = set()
    while pending:
        shown, raised = pending.pop()
        if shown is None or raised is None or id(shown) in seen:
            continue
        seen.add(id(shown))
        if not _stumbled(shown.stack, raised):
            kept = [frame for frame in shown.stack if not frame.filename.startswith(_HIDDEN)]
            shown.stack = traceback.StackSummary.from_list(kept)
        pending += [
            (shown.__cause__, raised.__cause__),
            (shown.__context__, raised.__context__),
        ]
        if isinstance(raised, BaseExceptionGroup):
            pending += zip(shown.exceptions or (), raised.exceptions, strict=False)


def _stumbled(stack: Sequence[traceback.FrameSummary], error: BaseException) -> bool:
    from weft.errors import WeftError

    expected = (WeftError, KeyboardInterrupt)
    return bool(stack) and stack[-1].filename.startswith(_OWN) and not isinstance(error, expected)


_OWN: Final = f"{Path(__file__).parents[1]}{os.sep}"
_FUTURES: Final = f"{Path(concurrent.futures.__file__).parent}{os.sep}"
_HIDDEN: Final = (_OWN, _FUTURES, "<frozen importlib", "<frozen runpy")
