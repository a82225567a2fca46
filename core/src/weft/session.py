"""A session: opens the parts of a configuration in order, and closes them in reverse.

    open:   check ─▶ run folder ─▶ hooks ─▶ monitors ─▶ checkpoint ─▶ kernel ─▶ executors
    close:  wait or cancel ─▶ executors ─▶ kernel ─▶ checkpoint ─▶ pool ─▶ stagers ─▶ monitors
            ─▶ hooks

The session has no thread of its own, and no state but which one is current. Leaving its ``with``
block waits for all tasks; leaving it by an exception, or Ctrl-C while it waits, cancels what has
not begun and gives what runs ``close_timeout`` seconds; a second Ctrl-C ends at once.
"""

from __future__ import annotations

import atexit
import os
import pwd
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from weft.configuration.config import Config
from weft.configuration.registry import Registry, default_registry
from weft.dataflow.kernel import Kernel
from weft.dataflow.lanes import Lane
from weft.dataflow.lifecycle import Limits
from weft.dataflow.rules import Deciders, Rules
from weft.dataflow.staging import Staging
from weft.errors import (
    ExecutorFailed,
    RunFolderError,
    SessionActive,
    SessionError,
    StagingError,
    WeftError,
)
from weft.interfaces.executor import Executor
from weft.interfaces.stager import Place, Stager, Transfer, Way
from weft.monitoring import Monitoring
from weft.pool import ThreadPool, blocking
from weft.serializers import Serializers
from weft.status import Status
from weft.values.events import (
    BlockChanged,
    Event,
    ExecutorStarted,
    ExecutorStopped,
    FileMoving,
    LogLine,
    Notice,
    ResourceSample,
    RunEnded,
    RunStarted,
)
from weft.values.files import File
from weft.values.plugin import Component, Kind, Support
from weft.values.settings import ExecutorSettings, MonitorSettings, Settings, StagerSettings
from weft.values.states import TaskState
from weft.values.task import Needs, Outcome, Task, TaskSpec, TaskView
from weft.values.watch import LEVELS, Watch
from weft.workers.waiting import Once

if TYPE_CHECKING:
    from concurrent.futures import Future

    from weft.configuration.hooks import Hooks
    from weft.data.cache import Cache
    from weft.data.haul import Haul
    from weft.data.sandbox import SandboxPlan
    from weft.dataflow.checkpoint import CheckpointWriter
    from weft.dataflow.futures import AppFuture
    from weft.values.choice import Choice

__all__ = ["Session", "Status", "ambient_session", "current", "load", "opened", "set_ambient"]

opened: list[Callable[[Session], None]] = []
"""Called with each session after it has opened.

For programs around the script, such as ``weft run``.
"""


class _NoHooks:
    """What a session has when no package has hooks: pluggy is not even loaded."""

    def active(self, name: str) -> bool:
        return False

    def observe(self, name: str, /, **arguments: Any) -> None: ...

    def first(self, name: str, /, **arguments: Any) -> None: ...

    def close(self) -> None: ...


_NO_HOOKS = _NoHooks()


class _Context:
    """What a component gets when it is started."""

    def __init__(self, session: Session, source: str, folder: Path) -> None:
        self._session, self._source = session, source
        self.run_id, self.folder, self.program = session.run_id, folder, session.program

    def tell(self, event: Event) -> None:
        self._session._monitoring.tell(event)
        if isinstance(event, BlockChanged):
            self._session._hooks.observe("weft_block_changed", event=event)

    def notice(self, level: str, text: str) -> None:
        self._session._notice(level, self._source, text)

    def part(self, kind: Kind, settings: Settings | None, default: str = "") -> object:
        registry = self._session._registry
        return registry.open(settings if settings is not None else registry.settings(kind, default))


class _StagerContext(_Context):
    """What a stager gets besides."""

    def __init__(self, session: Session, source: str, folder: Path) -> None:
        super().__init__(session, source, folder)
        self._told: dict[tuple[Way, str], float] = {}
        self.stands_for = session._stands_for

    def progress(self, transfer: Transfer, done: int, total: int | None = None) -> None:
        while (other := self.stands_for.get(id(transfer))) is not None:
            transfer = other
        if not self._session._staging.is_wanted(transfer):
            raise StagingError(
                transfer.file.url, transfer.way, "Nobody waits for this transfer any more."
            )
        self._session._staging.sizes.told(transfer, done, total)
        if total == 0 or FileMoving not in self._session._monitoring.wants:
            return
        key, now = (transfer.way, transfer.file.url), time.monotonic()
        whole = total is not None and done >= total
        if not whole and now - self._told.get(key, float("-inf")) < _BETWEEN:
            return
        if whole:
            self._told.pop(key, None)
        else:
            self._told[key] = now
        self.tell(
            FileMoving(
                time.time(), transfer.file.url, transfer.way, transfer.place.executor, done, total
            )
        )


class _ExecutorContext(_Context):
    """What an executor gets besides."""

    def __init__(self, session: Session, label: str, folder: Path) -> None:
        super().__init__(session, label, folder)
        self.label = label
        self.watch = session._watch()
        # Called for every task, so without a step between; what checks classes sees the method.
        self.report = session._kernel.report  # type: ignore[method-assign]

    def report(self, outcomes: Sequence[Outcome]) -> None:
        self._session._kernel.report(outcomes)

    def failed(self, error: BaseException) -> None:
        self._session._kernel.executor_failed(self.label, error)


class _Services:
    """What a haul gets of the session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def stager(self, scheme: str) -> Stager | None:
        return self._session._stager(scheme)

    def bare_stager(self, scheme: str) -> Stager | None:
        self._session._stager(scheme)
        return self._session._bare_stagers.get(scheme)

    @contextmanager
    def standing_for(self, made: Transfer, transfer: Transfer) -> Iterator[None]:
        self._session._stands_for[id(made)] = transfer
        try:
            yield
        finally:
            del self._session._stands_for[id(made)]

    def settings(self, scheme: str) -> StagerSettings | None:
        from weft.errors import UnknownScheme

        try:
            return self._session._registry.stager_for(scheme, self._session.config.stagers)
        except UnknownScheme:
            return None

    def capabilities(self, scheme: str) -> frozenset[str]:
        settings = self.settings(scheme)
        if settings is None:
            return frozenset()
        registry = self._session._registry
        component = registry.manifest(registry.offer_of(settings))
        can = (Support.FULL, Support.PARTIAL)
        # One of a former interface is known to this process alone.
        old = bool(registry.adaptation(component))
        return frozenset(
            name
            for name, support in component.capabilities.items()
            if support in can and not (old and name == "anywhere")
        )

    def factory(self, settings: StagerSettings) -> tuple[str, str]:
        offer = self._session._registry.offer_of(settings)
        return self._session._registry.manifest(offer).factory, offer.dist

    def run(
        self,
        labels: Sequence[str],
        name: str,
        function: Callable[..., Any],
        args: tuple[Any, ...],
    ) -> Future[Any]:
        # Before the tasks that wait for what it brings.
        spec = TaskSpec(
            name=name, function=function, executors=tuple(labels), needs=Needs(priority=_FIRST)
        )
        return self._session._kernel.submit(spec, args, {})


class Session:
    """A run: the parts of one configuration, open.

    Use :func:`load` in a script; make one directly only to have several at once
    (``app.options(session=...)``).

    Args:
        config: what to open; the embedded configuration when left out.
        registry: where names are looked up; the installed packages when left out.

    Attributes:
        config: the configuration.
        run_id: unique for this run.
        run_folder: where the run's files are.
        program: the script, for people.

    Raises:
        InvalidConfig: the configuration has problems; all of them are listed.
        RunFolderError: the run folder cannot be made.
        WeftError: a part cannot start; what had started before it has been closed.
    """

    def __init__(self, config: Config | None = None, *, registry: Registry | None = None) -> None:
        self.config = config = config if config is not None else Config()
        self._registry = registry = (registry or default_registry()).restricted(config)
        self._check()
        self.run_id = os.urandom(16).hex()
        self.program = config.name or _program()
        self.run_folder = _new_run_folder(config.run_dir)
        self._began, self._ended = time.monotonic(), 0.0
        self._closing, self._retrying = threading.Lock(), threading.Lock()
        self._closed = False
        self._lanes: list[Lane] = []
        self._stagers: dict[str, Stager | None] = {}
        self._bare_stagers: dict[str, Stager] = {}
        # For a transfer that is made for another one, by its identity while that lasts, the other.
        self._stands_for: dict[int, Transfer] = {}
        self._staging_lock = threading.Lock()
        self._cache: Cache | Literal[False] | None = None
        self._writer: CheckpointWriter | None = None
        self._hooks: Hooks | _NoHooks = _NO_HOOKS
        self._started: RunStarted | None = None
        self._monitoring = Monitoring(report=self._say)
        self._pool: ThreadPool[Callable[[], None]] = ThreadPool(
            "work", config.work_threads, _run, self.run_id
        )
        self._transfer_pool: ThreadPool[Callable[[], None]] = ThreadPool(
            "transfer", config.transfer_threads, _run, self.run_id
        )
        self._haul = self._make_haul()
        can = _Services(self).capabilities
        self._staging = Staging(
            self._stager, self._schemes, self._place, self._haul, lambda of: "folders" in can(of)
        )
        self._serializers = Serializers(registry, self.run_id, self._notice)
        try:
            self._hooks = self._open_hooks()
            self._open_monitors(self._hooks)
            self._kernel = Kernel(
                rules=self._rules(),
                pool=self._pool,
                monitoring=self._monitoring,
                staging=self._staging,
                transfer_pool=self._transfer_pool,
                store=self._open_checkpoint(),
                deciders=self._deciders(self._hooks),
                serializers=self._serializers,
            )
            for settings in self._executor_settings():
                self._open_executor(settings)
            if self._haul is not None:
                self._haul.start(_StagerContext(self, "sites", self._folder("sites")))
            self._kernel.start(self._lanes, self._writer)
            self._hooks.observe("weft_run_started", run=self._started)
        except BaseException:
            self._shut(0.0)
            raise
        _sessions.append(self)
        for callback in opened:
            callback(self)

    # -------------------------------------------------------------------------------------- opening

    def _check(self) -> None:
        from weft.configuration.check import check

        self._warnings = check(self.config, self._registry)

    def _rules(self) -> Rules:
        config = self.config
        return Rules(
            limits=Limits(retries=config.retries, losses=config.losses),
            backoff=config.backoff,
            deep=config.resolver == "deep",
            raise_unknown=config.unknown_arguments == "raise",
            max_pending=config.max_pending,
            raise_when_full=config.when_full == "raise",
            memoize=config.memoize,
            transfer_retries=config.transfer_retries,
            transfer_backoff=config.transfer_backoff,
            transfer_timeout=config.transfer_timeout,
            values=config.task_values,
            only=_only,
        )

    def _executor_settings(self) -> Sequence[ExecutorSettings]:
        given: Sequence[ExecutorSettings] = self.config.executors
        return given or (
            cast("ExecutorSettings", self._registry.settings(Kind.EXECUTOR, "threads")),
        )

    def _open_hooks(self) -> Hooks | _NoHooks:
        if not self._registry.hook_offers() and not self._registry.hook_plugins:
            return _NO_HOOKS
        from weft.configuration.hooks import Hooks

        return Hooks.open(
            self.config,
            self._registry,
            notice=lambda level, text: self._notice(level, "hooks", text),
        )

    def _open_event_log(self) -> None:
        if not self.config.event_log:
            return
        from weft import __version__
        from weft.eventlog.writer import NAME, EventLogWriter
        from weft.values.events import VERSION

        log = EventLogWriter(
            self.run_folder / NAME,
            {"events": VERSION, "weft": __version__, "run": self.run_id},
            lambda text: self._notice("warning", "event log", text),
        )
        self._monitoring.record("event log", log.write, log.close)

    def _open_monitors(self, hooks: Hooks | _NoHooks) -> None:
        self._open_event_log()
        monitors: Sequence[MonitorSettings] = self.config.monitors or (
            cast("MonitorSettings", self._registry.settings(Kind.MONITOR, "log")),
        )
        for number, settings in enumerate(monitors):
            monitor = self._registry.open(settings)
            name = settings.plugin
            # The log belongs at the top of the run folder; others get a folder of their own.
            folder = self.run_folder if name == "log" else self._folder(f"monitor-{number}-{name}")
            self._monitoring.attach(name, monitor, _Context(self, name, folder))
        if hooks.active("weft_task_events"):
            self._monitoring.observe(
                lambda events: hooks.observe("weft_task_events", events=events), name="hooks"
            )
        self._monitoring.start()
        from weft import __version__

        self._started = RunStarted(
            time.time(),
            self.run_id,
            str(self.run_folder),
            self.program,
            __version__,
            host=os.uname().nodename,
            user=_user(),
            pid=os.getpid(),
            python=".".join(map(str, sys.version_info[:3])),
            command=tuple(sys.orig_argv),
            cwd=_cwd(),
        )
        self._monitoring.tell(self._started)

    def _open_checkpoint(self) -> Any:
        if not self.config.checkpoint:
            return None
        from weft.dataflow.checkpoint import open_checkpoint

        serializer = self.config.serializer
        store, self._writer = open_checkpoint(
            self.config.run_dir,
            self.run_folder,
            serializer=None
            if serializer is None
            else self._serializers.open(serializer).serializer,
            recorded=lambda tickets: self._kernel.recorded(tickets),  # noqa: PLW0108 - made later
            notice=lambda level, text: self._notice(level, "checkpoint", text),
        )
        return None if self.config.checkpoint == "write" else store

    def _open_executor(self, settings: ExecutorSettings) -> None:
        label = settings.called
        executor: Executor = self._registry.open(settings)
        offer = self._registry.offer_of(settings)
        component = self._registry.manifest(offer)
        if offer.dist != "weft":
            # What weft brings itself came with the trust in weft; reading the ledger for it costs
            # every start.
            from weft.configuration.maturity import notice

            told = notice(component, self._registry.rating(offer))
            if told:
                self._notice("info", "maturity", told)
        self._say_what_is_not_told(label, component)
        chosen = None
        if settings.serializer is not None:
            chosen = self._serializers.open(settings.serializer)
        try:
            executor.start(_ExecutorContext(self, label, self._folder(label)))
        except BaseException as error:
            executor.close(0.0)
            if isinstance(error, WeftError) or not isinstance(error, Exception):
                raise
            raise ExecutorFailed(
                label, f"It did not start: {type(error).__name__}: {error}"
            ) from error
        self._lanes.append(
            Lane(
                label,
                executor,
                component.capabilities,
                executor.status(),
                chosen,
                sandbox=self._sandbox(settings),
            )
        )
        started = ExecutorStarted(time.time(), label, settings.plugin)
        self._monitoring.tell(started)
        self._hooks.observe("weft_executor_started", info=started)

    def _say_what_is_not_told(self, label: str, component: Component) -> None:
        """Of what was asked for by name, and what an executor cannot tell of tasks."""
        asked = {"samples": self.config.resource_samples, "logs": self.config.task_prints}
        words = {"samples": "takes no samples of what tasks use", "logs": "tells of no prints"}
        for name, wanted in asked.items():
            can = component.capabilities.get(name) in {Support.FULL, Support.PARTIAL}
            if wanted and not can:
                self._notice("info", label, f"The executor {label!r} {words[name]}.")

    def _watch(self) -> Watch:
        """What executors are to tell of tasks while they run: what was asked for, and is heard."""
        config, wants = self.config, self._monitoring.wants
        level, prints, period = config.task_logs, config.task_prints, config.resource_samples
        return Watch(
            LEVELS[level] if level is not None and LogLine in wants else 0,
            prints and LogLine in wants,
            period if period is not None and ResourceSample in wants else 0.0,
        )

    def _sandbox(self, settings: ExecutorSettings) -> SandboxPlan | None:
        """The working folders of tasks of an executor, without their names; ``None`` for none."""
        if settings.sandbox == "off":
            return None
        from weft.data.layout import SANDBOXES
        from weft.data.sandbox import SandboxPlan

        # Beside the run folders, where the next run finds what a killed one left; for a site of its
        # own, there.
        site = settings.site
        folder = (site.node_folder or site.folder) if site else self.run_folder.parent
        base = Path(folder, SANDBOXES).absolute()
        return SandboxPlan(
            os.fspath(base), self.run_id, settings.sandbox == "keep", settings.sandbox_inputs
        )

    def _folder(self, name: str) -> Path:
        folder = self.run_folder / name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    # ------------------------------------------------------------------------- what the kernel asks

    def _stager(self, scheme: str) -> Stager | None:
        try:
            return self._stagers[scheme]
        except KeyError:
            pass
        with self._staging_lock:
            if scheme not in self._stagers:
                self._stagers[scheme] = self._open_stager(scheme)
            return self._stagers[scheme]

    def _open_stager(self, scheme: str) -> Stager | None:
        from weft.errors import UnknownScheme

        try:
            settings = self._registry.stager_for(scheme, self.config.stagers)
        except UnknownScheme:
            return None
        stager = self._registry.open(settings)
        name = f"stager-{settings.plugin}"
        context = _StagerContext(self, name, self._folder(name))
        stager.start(context)
        self._bare_stagers[scheme] = stager
        return self._keeping(settings, stager, context)

    def _keeping(self, settings: StagerSettings, stager: Stager, context: _StagerContext) -> Stager:
        """The stager, or one before it that keeps what it brings to this machine."""
        if not self.config.cache:
            return stager
        component = self._registry.manifest(self._registry.offer_of(settings))
        has = {
            name
            for name, support in component.capabilities.items()
            if support in {Support.FULL, Support.PARTIAL}
        }
        # What is a file of this machine already is at hand; what two others move between
        # themselves does not come by.
        if component.schemes == ("file",) or "validator" not in has or "third-party" in has:
            return stager
        from weft.data.kept import KeptStager

        cache = self._opened_cache()
        return stager if cache is None else KeptStager(stager, cache, context, context.stands_for)

    def _opened_cache(self) -> Cache | None:
        """The cache; ``None`` if it cannot be used, which is said once. Under the staging lock."""
        from weft.data.cache import Cache, cache_folder

        if self._cache is None:
            try:
                self._cache = Cache(
                    self.config.cache_dir or cache_folder(),
                    limit=self.config.cache_size,
                    notice=lambda level, text: self._notice(level, "cache", text),
                )
            except OSError as error:
                self._cache = False
                self._notice("warning", "cache", f"No files are kept: {error}.")
        return self._cache or None

    def _schemes(self) -> Sequence[str]:
        return tuple(self._registry.schemes())

    def _make_haul(self) -> Haul | None:
        """What moves files to the sites of executors, if any has one."""
        self._sites = {
            settings.called: settings.site
            for settings in self._executor_settings()
            if settings.site is not None
        }
        if not self._sites:
            return None
        from weft.data.errand import Limits as TransferLimits
        from weft.data.haul import Haul, ground_of

        config = self.config
        return Haul(
            {label: ground_of(label, site) for label, site in self._sites.items()},
            _Services(self),
            self.run_folder / "sites",
            self.run_id,
            TransferLimits(
                config.transfer_retries + 1, config.transfer_backoff.first, config.transfer_timeout
            ),
        )

    def _place(self, label: str) -> Place:
        if self._haul is not None and label in self._sites:
            return self._haul.place(label)
        folder = self._folder(label) / "files"
        folder.mkdir(mode=0o700, exist_ok=True)
        return Place(executor=label, folder=folder)

    def _deciders(self, hooks: Hooks | _NoHooks) -> Deciders:
        """Hooks and the retry handler, where there are any."""
        handler = self.config.retry_handler
        hooked = hooks.active("weft_retry_decision")

        def price(task: TaskView, error: BaseException) -> float | None:
            cost = (
                hooks.first("weft_retry_decision", task=task, error=error, attempt=task.attempt)
                if hooked
                else None
            )
            return cost if cost is not None or handler is None else handler(error, task)

        def choose(task: TaskView, labels: Sequence[str]) -> str | None:
            chosen = hooks.first("weft_choose_executor", task=task, candidates=labels)
            if chosen is not None and chosen not in labels:
                self._notice(
                    "warning",
                    "hooks",
                    f"weft_choose_executor chose {chosen!r}, which is none of {labels}.",
                )
            return chosen if isinstance(chosen, str) else None

        def key(task: Task) -> bytes | None:
            from hashlib import blake2b

            given = hooks.first("weft_result_key", task=task)
            return None if given is None else blake2b(str(given).encode(), digest_size=32).digest()

        def plan(task: TaskView, file: File) -> Transfer | None:
            made = hooks.first("weft_transfer_plan", task=task, file=file)
            return made if isinstance(made, Transfer) else None

        return Deciders(
            choose=choose if hooks.active("weft_choose_executor") else None,
            price=price if hooked or handler is not None else None,
            key=key if hooks.active("weft_result_key") else None,
            plan=plan if hooks.active("weft_transfer_plan") else None,
        )

    # --------------------------------------------------------------------------------- for the user

    def status(self) -> Status:
        """How the run is now. Quick, from any thread, also after the session has closed."""
        seen = self._kernel.snapshot()
        return Status(
            counts=seen.counts,
            apps=seen.apps,
            from_memory=seen.from_memory,
            executors=seen.executors,
            failures=seen.failures,
            elapsed=(self._ended or time.monotonic()) - self._began,
            run_folder=self.run_folder,
            closed=self._closed,
            program=self.program,
        )

    def tasks(self) -> Sequence[TaskView]:
        """A view of every unfinished task, in the order of submission."""
        return self._kernel.tasks()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until no task is unfinished, at most ``timeout`` seconds. Whether that came in time.

        Raises:
            SessionError: a task of the session waits for all tasks, itself among them, and without
            a timeout.
        """
        if timeout is None:
            self._refuse_own_tasks()
        return self._kernel.wait_idle(timeout)

    def retry(
        self,
        failed: Iterable[AppFuture[Any]] | None = None,
        *,
        with_: Any = None,
        arguments: Mapping[AppFuture[Any], tuple[Sequence[Any], Mapping[str, Any]]] | None = None,
    ) -> Mapping[AppFuture[Any], AppFuture[Any]]:
        """Run what has failed again, and what failed because of it; all else keeps its value.

        A failed future stays as it is: it tells what happened. The task that is submitted in its
        place has a future of its own, here and as ``failed.retried_as``. Only tasks whose futures
        are still held can be found, with all that could not start because of them.

        Args:
            failed: futures of the tasks to run again, and with them the tasks whose failure kept
                them from starting; all tasks that failed and were not cancelled, when left out.
            with_: an app to be called in place of the one that failed, or of the one of its name
                where several apps failed; several apps; or a mapping from apps, or their names, to
                apps.
            arguments: for tasks that are to get other arguments, these: positional, and by keyword.
                What weft reads itself, such as ``outputs`` and ``walltime``, stays as it was; only
                together with another app it can be given anew.

        Returns:
            For each failed future whose task runs again, the new one; in the order of submission.

        Raises:
            CannotRetry: a future is named whose task has not failed, or needs what does not run
                again; or an app is given for no task that runs again.
            ForeignFuture: a future is one of another session.
            SessionClosed: the session takes no more tasks.
        """
        from weft.dataflow import retrying

        given = arguments or {}
        with self._retrying:
            named = None
            if failed is not None or given:
                named = retrying.check_named([*(failed or ()), *given], self._kernel)
            again = {retrying.latest(future): asked for future, asked in given.items()}
            plan = retrying.order(named, self._kernel.dead(), again)
            apps = retrying.replacements(with_, plan)
            return {
                future: self._submit_again(future, apps.get(future.app), again.get(future))
                for future in plan
            }

    def _submit_again(
        self,
        future: AppFuture[Any],
        app: Any,
        given: tuple[Sequence[Any], Mapping[str, Any]] | None,
    ) -> AppFuture[Any]:
        from weft.dataflow.retrying import arguments_again, given_again

        extra = future._extra
        assert extra is not None
        assert extra.call is not None
        args, kwargs = arguments_again(extra.call)
        if given is not None:
            args, kwargs = given_again(future, kwargs, given, whole=app is not None)
        if app is not None:
            successor: AppFuture[Any] = app.options(session=self)(*args, **kwargs)
        else:
            successor = self._kernel.submit(future._spec, args, kwargs, extra.stdout, extra.stderr)
        extra.successor = successor
        return successor

    def _refuse_own_tasks(self) -> None:
        if blocking.owner == self.run_id:
            raise SessionError(
                "A task cannot close the session that runs it, nor wait for all of its tasks.",
                why="It would wait for itself.",
                todo="Close the session where it was opened; in a task, wait for the futures that "
                "it needs.",
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        self.close(cancel=kind is not None or self.config.on_exit == "cancel", because=error)

    def close(self, *, cancel: bool = False, because: BaseException | None = None) -> None:
        """End the run and leave nothing behind. Twice is allowed.

        Args:
            cancel: cancel what has not begun, and give what runs ``close_timeout`` seconds; else
                wait for all tasks.
            because: what brought the session down, for the message.

        Raises:
            SessionError: a task of the session calls it.
        """
        self._refuse_own_tasks()
        with self._closing:
            if self._closed:
                return
            interrupt = because if isinstance(because, KeyboardInterrupt) else None
            if not cancel:
                try:
                    self._kernel.wait_idle()
                    self._tidy_sites()
                except KeyboardInterrupt as pressed:
                    interrupt, cancel = pressed, True
            self._kernel.refuse("The session is closing." if cancel else "The session was closed.")
            try:
                if cancel:
                    self._cancel(interrupted=interrupt is not None)
                self._shut(self.config.close_timeout)
            except KeyboardInterrupt as pressed:
                interrupt = pressed
                self._say("stopping at once")
                self._shut(0.0)
            _forget(self)
            if self.config.summary:
                tell_summary(self)
            if interrupt is not None and because is None:
                raise interrupt

    def _tidy_sites(self) -> None:
        """Have removed what the run has put at sites, if no task of the user failed."""
        if self._haul is None:
            return
        bad = (TaskState.FAILED, TaskState.CANCELLED)
        apps = self._kernel.snapshot().apps
        if any(
            counts[state]
            for name, counts in apps.items()
            if not name.startswith("weft.")
            for state in bad
        ):
            return
        lanes = {lane.label: lane for lane in self._lanes}

        def ready(label: str) -> bool:
            lane = lanes[label]
            return lane.broken is None and lane.status().workers > 0

        self._haul.tidy(ready, self.config.close_timeout)

    def _cancel(self, *, interrupted: bool) -> None:
        running = self._kernel.cancel_waiting()
        if not running:
            return
        names = ", ".join(
            f"{app} ×{count}" if count > 1 else app for app, count in sorted(running.items())
        )
        how = (
            "interrupted; press Ctrl-C again to stop at once. Waiting"
            if interrupted
            else "closing; waiting"
        )
        self._say(
            f"{how} up to {self.config.close_timeout:g} s for {sum(running.values())} running: "
            f"{names}"
        )

    def _shut(self, timeout: float) -> None:
        """Close the parts in the reverse of their order.

        Interrupted half-way, it may be called again.
        """
        self._close_executors(timeout)
        kernel: Kernel | None = getattr(self, "_kernel", None)
        if kernel is not None:
            kernel.close(max(timeout, 5.0))
        if self._writer is not None:
            self._writer.close()
        left = self._pool.close(timeout) + self._transfer_pool.close(timeout)
        if left:
            self._notice(
                "warning",
                "session",
                f"{', '.join(left)} did not end and will end with the program.",
            )
        for stager in self._stagers.values():
            if stager is not None:
                try:
                    stager.close()
                except Exception as error:  # noqa: BLE001 - a plugin's; the others are closed too
                    self._notice(
                        "error",
                        "session",
                        f"A stager failed while it closed: {type(error).__name__}",
                    )
        self._serializers.close()
        counts = kernel.snapshot().counts if kernel is not None else dict.fromkeys(TaskState, 0)
        if kernel is not None and kernel.unmet and not self._closed:
            self._notice(
                "warning",
                "session",
                f"{kernel.unmet} of the calls chosen by --only were not made: the script did not "
                "come to them, or makes them with other arguments now. Choose their app by its "
                "name.",
            )
        if not self._closed:
            self._closed, self._ended = True, time.monotonic()
            ended = RunEnded(
                time.time(),
                self.run_id,
                counts[TaskState.DONE],
                counts[TaskState.FAILED],
                counts[TaskState.CANCELLED],
            )
            self._monitoring.tell(ended)
            self._monitoring.close()
            if self._started is not None:
                self._hooks.observe("weft_run_finished", run=self._started, summary=ended)
            self._hooks.close()

    def _close_executors(self, timeout: float) -> None:
        """All at the same time, so that the slowest decides how long it takes."""
        if timeout <= 0 or len(self._lanes) == 1:
            for lane in self._lanes:
                self._close_executor(lane, timeout)
            return
        closers = []
        for lane in self._lanes:
            over = Once()
            closer = threading.Thread(
                target=self._close_and_say,
                args=(lane, timeout, over),
                name=f"weft-close-{lane.label}",
                daemon=True,
            )
            closer.start()
            closers.append((closer, over))
        deadline = time.monotonic() + timeout + _FORCE
        for closer, over in closers:
            if over.wait(deadline - time.monotonic()):
                closer.join()

    def _close_and_say(self, lane: Lane, timeout: float, over: Once) -> None:
        try:
            self._close_executor(lane, timeout)
        finally:
            over.happen()

    def _close_executor(self, lane: Lane, timeout: float) -> None:
        try:
            lane.executor.close(timeout)
        except Exception as error:  # noqa: BLE001 - a plugin's; the others are closed too
            self._notice(
                "error",
                lane.label,
                f"The executor failed while it closed: {type(error).__name__}: {error}",
            )
        stopped = ExecutorStopped(time.time(), lane.label)
        self._monitoring.tell(stopped)
        self._hooks.observe("weft_executor_stopped", info=stopped)

    def _notice(self, level: str, source: str, text: str) -> None:
        told = Notice(time.time(), level, source, text)
        self._monitoring.tell(told)
        if level in ("warning", "error"):
            self._say(f"{source}: {text}")
            if source != "hooks":
                self._hooks.observe("weft_error", report=told)

    def _say(self, text: str) -> None:
        """One line for the person at the terminal."""
        say(f"weft: {text}")

    def _repr_html_(self) -> str:
        """The session as notebooks show it, as it is now: nothing is waited for."""
        from weft.display import status_html

        return status_html(self.status())

    def __repr__(self) -> str:
        return f"<Session in {self.run_folder}, {'closed' if self._closed else 'open'}>"


_FIRST = -1_000_000
"""The priority of tasks that move files."""

_BETWEEN = 1.0
"""Seconds between two words about how far one transfer is."""

_FORCE = 5.0
"""Seconds that an executor may take to end by force what did not end in time."""


def tell_summary(session: Session) -> None:
    """Say what became of a session that has closed. ``weft run`` says it in its own way instead."""
    from weft.eventlog.runs import ending

    for line in ending(session.run_folder).report():
        say(line)


def say(line: str) -> None:
    """Write a line to the terminal's error stream; replaced by programs that draw there."""
    # In one write, since several threads have something to say.
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _run(work: Callable[[], None]) -> None:
    work()


def _program() -> str:
    name = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else ""
    return name or "python"


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container, users may have no names
        return str(os.getuid())


def _cwd() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - it may have been removed, and is not used as a path
    except OSError:
        return ""


def _new_run_folder(base: Path) -> Path:
    """A new numbered folder in ``base``, which is made if need be; both for their owner alone."""
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        numbers = [int(entry.name) for entry in base.iterdir() if entry.name.isdigit()]
        number = max(numbers, default=-1) + 1
        while True:
            folder = base / f"{number:04d}"
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                number += 1  # another run was quicker
            else:
                return folder.absolute()
    except OSError as error:
        raise RunFolderError(
            str(base), f"{type(error).__name__}: {error.strerror or error}"
        ) from error


# ---------------------------------------------------------------------------------- the current one

_sessions: list[Session] = []
_current: Session | None = None
_ambient: Config | None = None
_override = False
_adjust: Callable[[Config], Config] | None = None
_only: Choice | None = None
_lock = threading.Lock()


def load(config: Config | None = None) -> Session:
    """Open a session and make it the current one, which apps use.

    Args:
        config: what to open. Without it the configuration of ``weft run`` is used, or the embedded
            one: threads of this process, nothing to install.

    Returns:
        The session; best used as ``with weft.load(config) as session:``.

    Raises:
        SessionActive: one is current already.
        InvalidConfig: the configuration has problems; all of them are listed.
    """
    global _current
    with _lock:
        if _current is not None:
            raise SessionActive(str(_current.run_folder))
        if _override and _ambient is not None:
            if config is not None:
                say(
                    "weft: the configuration given on the command line is used in place of the "
                    "script's own"
                )
            config = _ambient
        elif config is None:
            config = _ambient
        elif _adjust is not None:
            config = _adjust(config)
        _current = Session(config)
        return _current


def current() -> Session | None:
    """The session that apps use, or ``None``."""
    return _current


def set_ambient(
    config: Config | None,
    *,
    override: bool = False,
    adjust: Callable[[Config], Config] | None = None,
    only: Choice | None = None,
) -> None:
    """Say what ``load()`` opens; for programs around a script.

    Args:
        config: for a script that gives none.
        override: whether it takes the place of a script's own as well.
        adjust: what is changed in a script's own configuration that stays.
        only: what alone is executed of what memory does not answer; ``None`` for all of it.
    """
    global _ambient, _override, _adjust, _only
    _ambient, _override, _adjust, _only = config, override, adjust, only


def ambient_session() -> Session | None:
    """The current session; under ``weft run`` one is opened if there is none."""
    if _current is None and _ambient is not None:
        return load()
    return _current


def _forget(session: Session) -> None:
    global _current
    with _lock:
        if _current is session:
            _current = None
        if session in _sessions:
            _sessions.remove(session)


@atexit.register
def _close_all() -> None:
    """At the end of the program: close the sessions that nobody closed.

    They wait for their tasks, unless the program failed.
    """
    failed = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    for session in list(_sessions):  # noqa: PERF101 - each one leaves the list as it closes
        session.close(
            cancel=failed is not None or session.config.on_exit == "cancel", because=failed
        )
