"""What can go wrong, said for the person who reads it at midnight.

Every error of weft says *what* happened, *why*, and what to *do*; it has a stable code, under which
the documentation keeps a page, and it survives pickling with all its facts.

    WeftError
    ├── ConfigurationError        a configuration, or a part that it names, is not right
    │   ├── PluginNotFound        no installed package offers that name
    │   ├── PluginBroken          a package offers the name, but it cannot be loaded
    │   ├── PluginConflict        two packages offer the same name
    │   ├── PluginBlocked         the name is there, but an allow or block list forbids it
    │   ├── HookBroken            the hooks of a package cannot be used, and that was to be an error
    │   ├── InterfaceMismatch     the package was built for another version of an interface
    │   ├── SettingsError         an option is unknown, missing, or has a wrong value
    │   ├── InvalidConfig         one or more problems of a whole Config, all at once
    │   ├── ConfigFileError       a configuration file cannot be run, or holds no Config
    │   └── RunFolderError        the run folder cannot be made or written
    ├── BadEvidence               a file of evidence was edited, or is none
    ├── SessionError
    │   ├── NoSession             an app was called and nothing is loaded
    │   ├── SessionActive         load() while another session is current
    │   ├── SessionClosed         an app was called, or a task waited, after the session closed
    │   └── TooManyPending        max_pending tasks are unfinished and the session was told to raise
    ├── CallError                 an app was called in a way that cannot work
    │   ├── ForeignFuture         a future of another session was passed
    │   ├── UnknownScheme         no stager moves Files of this scheme
    │   ├── UnknownExecutor       an app asks for a label that is not configured
    │   ├── UnsupportedRequest    no permitted executor can give what the task asks for
    │   ├── NotUnpackable         iterating a future whose app declares no number of results
    │   ├── CannotRetry           a task is to run again that has not failed, or cannot
    │   └── UnknownIdentity       an argument of a cached app cannot be told from others of its type
    ├── TaskError                 a task did not end well
    │   ├── DependencyError       an input failed, so the task was never started
    │   ├── LeftOut               only other tasks of the run were to be executed
    │   ├── JoinError             an inner task of a join app failed
    │   ├── JoinTypeError         a join app returned something that holds no future
    │   ├── JoinCycle             a join app waits for itself
    │   ├── TaskTimeout           the task took longer than its walltime
    │   ├── TaskLost              the infrastructure lost it, more often than it may
    │   ├── PoisonTask            it was present each time a worker died
    │   ├── RemoteError           the task raised something that could not be brought back as it was
    │   ├── BashExit              the command of a bash app ended with a code other than 0
    │   ├── BashReturnType        a bash app returned something that is not a command
    │   ├── MissingOutputs        declared output files are not there after the task
    │   ├── StagingError          a file could not be brought to where it is needed
    │   └── OutputConflict        two tasks are to write one file at the same time
    ├── SerializationError        an object cannot be turned into bytes, or back
    │   └── SerializerMissing     what could turn them back is not installed where the task runs
    ├── CheckpointError           a checkpoint cannot be used
    ├── EventLogError             a file is no event log that can be read, or no run is meant
    ├── SubmitLater               a provider cannot take a job now, but may well be able to soon
    └── ExecutorFailed            an executor broke, and says why
        └── BlockFailed           its blocks of machines do not come up, one after the other
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar, NamedTuple

__all__ = [
    "BadEvidence",
    "BashExit",
    "BashReturnType",
    "BlockFailed",
    "CallError",
    "CannotRetry",
    "CheckpointError",
    "ConfigFileError",
    "ConfigurationError",
    "DependencyError",
    "EventLogError",
    "ExecutorFailed",
    "ForeignFuture",
    "HookBroken",
    "InterfaceMismatch",
    "InvalidConfig",
    "JoinCycle",
    "JoinError",
    "JoinTypeError",
    "LeftOut",
    "Link",
    "MissingOutputs",
    "NoSession",
    "NotUnpackable",
    "OutputConflict",
    "PluginBlocked",
    "PluginBroken",
    "PluginConflict",
    "PluginNotFound",
    "PoisonTask",
    "RemoteError",
    "RunFolderError",
    "SerializationError",
    "SerializerMissing",
    "SessionActive",
    "SessionClosed",
    "SessionError",
    "SettingsError",
    "StagingError",
    "SubmitLater",
    "TaskError",
    "TaskLost",
    "TaskTimeout",
    "TooManyPending",
    "UnknownExecutor",
    "UnknownIdentity",
    "UnknownScheme",
    "UnsupportedRequest",
    "WeftError",
    "WeftWarning",
]


class WeftWarning(UserWarning):
    """Something a user should know that does not stop the run."""


class WeftError(Exception):
    """The family of everything that weft raises by itself.

    Attributes:
        code: a stable name of the kind of error, such as ``W-PLG-001``.
        what: one sentence with the actual values.
        why: the likely cause, or an empty string.
        todo: the next step, or an empty string.
    """

    code: ClassVar[str] = "W-000"

    def __init__(self, what: str, *, why: str = "", todo: str = "") -> None:
        super().__init__(what)
        self.what, self.why, self.todo = what, why, todo

    def __str__(self) -> str:
        lines = [self.what]
        if self.why:
            lines.append(f"Why: {self.why}")
        if self.todo:
            lines.append(f"Do: {self.todo}")
        lines.append(f"({self.code})")
        return "\n".join(lines)

    # One way of pickling for the whole family: the facts travel, the constructor is not called
    # again.
    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.args, self.__dict__.copy()))


def _rebuild(cls: type[WeftError], args: tuple[Any, ...], state: dict[str, Any]) -> WeftError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names) if names else "none"


def _a(noun: str) -> str:
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"


# ------------------------------------------------------------------------------------ configuration


class ConfigurationError(WeftError):
    """A configuration, or a part that it names, is not right."""

    code = "W-CFG-000"


class PluginNotFound(ConfigurationError):
    """A configuration names a plugin that no installed package offers."""

    code = "W-PLG-001"

    def __init__(
        self,
        kind: str,
        name: str,
        installed: Sequence[str],
        *,
        nearest: Sequence[str] = (),
        other_kinds: Sequence[str] = (),
        package: str | None = None,
    ) -> None:
        if other_kinds:
            kinds = " and ".join(_a(other) for other in other_kinds)
            why = f"{name!r} is the name of {kinds}, not of {_a(kind)}."
            todo = f"Use weft.{other_kinds[0]}({name!r}) where {_a(other_kinds[0])} belongs."
        else:
            why = f"The installed {kind}s are: {', '.join(sorted(installed)) or 'none'}."
            # A name that nobody knows may be a slip, and 'pip install' of a slip runs a stranger's
            # code.
            install = (
                f"run 'pip install {package}'"
                if package
                else f"install the package that brings it (by convention 'weft-{name}')"
            )
            meant = " or ".join(repr(n) for n in nearest)
            todo = (
                f"Did you mean {meant}? If not, {install}."
                if nearest
                else f"{install[0].upper()}{install[1:]}."
            )
        super().__init__(f"No {kind} named {name!r} is installed.", why=why, todo=todo)
        self.kind, self.name, self.installed = kind, name, tuple(installed)
        self.nearest, self.other_kinds, self.package = tuple(nearest), tuple(other_kinds), package


class PluginBroken(ConfigurationError):
    """An installed package offers the plugin, but it cannot be loaded as what it says it is."""

    code = "W-PLG-002"

    def __init__(self, kind: str, name: str, *, dist: str, version: str, reason: str) -> None:
        super().__init__(
            f"The {kind} {name!r} of {f'{dist} {version}'.strip()} cannot be loaded.",
            why=reason,
            todo=f"Reinstall or update {dist}, or report this to its owner. "
            f"'weft plugin info {name}' shows what is known of it.",
        )
        self.kind, self.name, self.dist, self.version, self.reason = (
            kind,
            name,
            dist,
            version,
            reason,
        )


class PluginConflict(ConfigurationError):
    """Two installed packages offer the same name."""

    code = "W-PLG-003"

    def __init__(self, kind: str, name: str, dists: Sequence[str]) -> None:
        super().__init__(
            f"{len(dists)} installed packages offer {_a(kind)} named {name!r}: {', '.join(dists)}.",
            why="weft never chooses between two packages by the order in which they were found.",
            todo=f"Say which one you mean, for example weft.{kind}('{dists[0]}:{name}').",
        )
        self.kind, self.name, self.dists = kind, name, tuple(dists)


class PluginBlocked(ConfigurationError):
    """The plugin is installed, but an allow or block list forbids its package."""

    code = "W-PLG-004"

    def __init__(self, kind: str, name: str, dist: str, rule: str) -> None:
        super().__init__(
            f"The {kind} {name!r} comes from the package {dist}, which is not allowed here.",
            why=rule,
            todo=f"Change that list if you trust {dist}, or name another {kind}.",
        )
        self.kind, self.name, self.dist, self.rule = kind, name, dist, rule


class HookBroken(ConfigurationError):
    """The hooks of a package cannot be used, and the session was told to be strict about it."""

    code = "W-PLG-006"

    def __init__(self, plugin: str, reason: str) -> None:
        super().__init__(
            f"The hooks of {plugin} cannot be used.",
            why=reason,
            todo=f"Update or remove {plugin}, or switch hooks off with WEFT_HOOKS=0 or "
            "Config(hooks=False).",
        )
        self.plugin, self.reason = plugin, reason


class InterfaceMismatch(ConfigurationError):
    """A plugin was built for a version of an interface that this weft does not speak."""

    code = "W-PLG-005"

    def __init__(
        self,
        kind: str,
        name: str,
        *,
        dist: str,
        version: str,
        built_for: str,
        speaks: str,
        newer: bool = False,
    ) -> None:
        if newer:
            why = f"It may rely on what came into the {kind} interface after this weft."
            todo = f"Install a newer weft, or the version of {dist} before."
        else:
            why = "A version of an interface is spoken until a year after the next major at least."
            todo = f"Install a newer version of {dist}, or an older weft."
        super().__init__(
            f"The {kind} {name!r} ({f'{dist} {version}'.strip()}) was built for {kind} interface "
            f"{built_for}; this weft speaks {speaks}.",
            why=why,
            todo=todo,
        )
        self.kind, self.name, self.dist, self.version = kind, name, dist, version
        self.built_for, self.speaks, self.newer = built_for, speaks, newer


class SettingsError(ConfigurationError):
    """An option of a plugin is unknown, missing, or has a value that is not allowed."""

    code = "W-CFG-001"

    def __init__(
        self, owner: str, setting: str, problem: str, *, allowed: str = "", todo: str = ""
    ) -> None:
        super().__init__(f"{owner}: {problem}", why=allowed, todo=todo)
        self.owner, self.setting, self.problem, self.allowed = owner, setting, problem, allowed


class InvalidConfig(ConfigurationError):
    """A Config has one or more problems; all of them are listed."""

    code = "W-CFG-002"

    def __init__(self, problems: Sequence[str], *, source: str = "The configuration") -> None:
        count = f"{len(problems)} problem" + ("" if len(problems) == 1 else "s")
        super().__init__(
            f"{source} has {count}:\n"
            + "\n".join(f"  {n}. {p}" for n, p in enumerate(problems, 1)),
            todo="Mend what is listed; 'weft check CONFIG.py' tells whether anything is left.",
        )
        self.problems, self.source = tuple(problems), source


class ConfigFileError(ConfigurationError):
    """A configuration file cannot be run, or leaves no Config behind.

    Attributes:
        path: the file.
        line: the line of that file where it happened, or ``None``.
    """

    code = "W-CFG-004"

    def __init__(
        self, path: str, line: int | None, problem: str, *, why: str = "", todo: str = ""
    ) -> None:
        place = f"{path}, line {line}" if line is not None else path
        super().__init__(f"{place}: {problem}", why=why, todo=todo)
        self.path, self.line, self.problem = path, line, problem


class RunFolderError(ConfigurationError):
    """The run folder cannot be made, written, or trusted."""

    code = "W-CFG-003"

    def __init__(self, folder: str, reason: str) -> None:
        super().__init__(
            f"The run folder {folder!r} cannot be used.",
            why=reason,
            todo="Give Config(run_dir=...) a folder that you own and can write.",
        )
        self.folder, self.reason = folder, reason


class BadEvidence(WeftError):
    """A file of evidence cannot be believed, or not be read."""

    code = "W-MAT-001"

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(
            f"The evidence {source!r} counts for nothing.",
            why=reason,
            todo="Obtain it again: pytest --weft-evidence FILE.",
        )
        self.source, self.reason = source, reason


# ------------------------------------------------------------------------------------------ session


class SessionError(WeftError):
    """A session is missing, closed, or there already."""

    code = "W-SES-000"


class NoSession(SessionError):
    """An app was called while no session is loaded."""

    code = "W-SES-001"

    def __init__(self, app: str) -> None:
        super().__init__(
            f"The app {app!r} was called, but no session is loaded.",
            why="A task needs a session, which owns the executors that run it.",
            todo="Call it inside 'with weft.load():', or run the script with 'weft run'.",
        )
        self.app = app


class SessionActive(SessionError):
    """A session was loaded while another one is current."""

    code = "W-SES-002"

    def __init__(self, run_folder: str) -> None:
        super().__init__(
            "A session is loaded already.",
            why=f"Its run folder is {run_folder}; apps could not tell which of two sessions they "
            "belong to.",
            todo="Close the first one (leave its 'with' block, or weft.current().close()), or use "
            "weft.Session(config) and app.options(session=...) for several at once.",
        )
        self.run_folder = run_folder


class SessionClosed(SessionError):
    """An app was called on a closed session, or a task had not started when the session closed."""

    code = "W-SES-003"

    def __init__(self, app: str, *, reason: str = "The session was closed before.") -> None:
        super().__init__(
            f"The task of app {app!r} cannot run.",
            why=reason,
            todo="Call apps inside the 'with weft.load():' block, and wait for results before "
            "leaving it.",
        )
        self.app, self.reason = app, reason


class TooManyPending(SessionError):
    """As many tasks as max_pending allows are unfinished, and the session was told to raise."""

    code = "W-SES-004"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"{limit} tasks are unfinished, which is all that max_pending allows.",
            why="The session is configured with when_full='raise'.",
            todo="Wait for some results first, raise max_pending, or use when_full='block'.",
        )
        self.limit = limit


# -------------------------------------------------------------------------------------------- calls


class CallError(WeftError):
    """An app was called in a way that cannot work."""

    code = "W-APP-000"


class ForeignFuture(CallError):
    """A future that belongs to another session was passed to an app."""

    code = "W-APP-001"

    def __init__(self, app: str, future: str) -> None:
        super().__init__(
            f"The app {app!r} was given {future}, which belongs to another session.",
            why="A session waits only for its own tasks, and that other session may be closed "
            "already.",
            todo="Pass the value instead: future.result().",
        )
        self.app, self.future = app, future


class UnknownScheme(CallError):
    """A File has a scheme that no stager moves."""

    code = "W-DAT-001"

    def __init__(self, url: str, scheme: str, known: Sequence[str]) -> None:
        super().__init__(
            f"No stager can move {url!r}.",
            why=f"Its scheme is {scheme!r}; stagers are installed for: "
            f"{', '.join(sorted(known)) or 'none'}.",
            todo=f"Mend the URL, or install a stager for {scheme!r} "
            "('weft plugin list --kind stager').",
        )
        self.url, self.scheme, self.known = url, scheme, tuple(known)


class UnknownExecutor(CallError):
    """An app asks for an executor label that the configuration does not have."""

    code = "W-APP-002"

    def __init__(self, app: str, label: str, known: Sequence[str]) -> None:
        super().__init__(
            f"The app {app!r} is to run on the executor {label!r}, which is not configured.",
            why=f"The executors of this session are: {_listed(known)}.",
            todo="Mend the app's executors=[...], or give an executor of the Config that label.",
        )
        self.app, self.label, self.known = app, label, tuple(known)


class UnsupportedRequest(CallError):
    """A task asks for something that no executor it may run on can give."""

    code = "W-APP-003"

    def __init__(self, app: str, request: str, executors: Sequence[str]) -> None:
        super().__init__(
            f"The app {app!r} asks for {request}, which no executor it may run on can give.",
            why=f"It may run on: {_listed(executors)}.",
            todo="Leave the request out, or configure an executor that supports it "
            "('weft plugin info NAME' lists what each can do).",
        )
        self.app, self.request, self.executors = app, request, tuple(executors)


class NotUnpackable(CallError, TypeError):
    """A future was iterated or unpacked, and its app does not say how many results it returns."""

    code = "W-APP-004"

    def __init__(self, app: str) -> None:
        super().__init__(
            f"The future of app {app!r} cannot be unpacked or iterated.",
            why="How many results there will be is not known before the task has run.",
            todo="Declare it, as in @python_app(returns=2), or take parts by f[0], or wait for "
            "f.result().",
        )
        self.app = app


class CannotRetry(CallError):
    """A task cannot be run again, as a user asked for."""

    code = "W-APP-005"


class UnknownIdentity(CallError, TypeError):
    """An argument of a cached app cannot be told from others of its type, so the call has no key.

    Attributes:
        type_name: module and qualified name of the argument's type.
        path: where it sits, such as ``"kwargs['cfg'].handle"``.
        reason: why it has no identity.
    """

    code = "W-MEM-001"

    def __init__(self, type_name: str, path: str, reason: str = "", todo: str = "") -> None:
        super().__init__(
            f"{path} is of the type {type_name}, which has no identity for memory and checkpoint.",
            why=reason or "weft does not guess which of its attributes matter to the result.",
            todo=todo
            or "Register what stands for it, as in weft.id_for_memo.register("
            f"{type_name.rpartition('.')[2]}, lambda value: (value.name, value.size)), give the "
            "class a method __weft_memo__(self) that returns that, or name the argument in the "
            "app's ignore_for_cache.",
        )
        self.type_name, self.path, self.reason = type_name, path, reason


# -------------------------------------------------------------------------------------------- tasks


class TaskError(WeftError):
    """A task did not end well, for a reason that is not an exception of its own code."""

    code = "W-TSK-000"


class Link(NamedTuple):
    """One task of a chain of failed inputs, and the rest of the chain.

    Chains that meet share their rest.

    Attributes:
        name: such as ``"align (task 3)"``.
        below: what failed before it, or ``None`` at the root.
        length: links from here to the root, this one counted.
        root: the name at the root.
    """

    name: str
    below: "Link | None"
    length: int
    root: str

    @classmethod
    def on(cls, name: str, below: "Link | None" = None) -> "Link":
        """A link on top of a chain."""
        return (
            cls(name, below, 1, name)
            if below is None
            else cls(name, below, below.length + 1, below.root)
        )

    def names(self) -> Iterator[str]:
        """The names from here to the root."""
        link: Link | None = self
        while link is not None:
            yield link.name
            link = link.below


class DependencyError(TaskError):
    """A task was never started, because one or more of its inputs failed.

    Attributes:
        task: name and number of the task that could not start.
        roots: the errors at the ends of the chains, the first one first; at most 100 of them.
        causes: how many root causes there are in all.
    """

    code = "W-TSK-001"

    def __init__(
        self, task: str, link: Link, roots: Sequence[BaseException], causes: int | None = None
    ) -> None:
        self.task, self.link, self.roots = task, link, tuple(roots)
        self.causes = len(self.roots) if causes is None else causes
        first = roots[0] if roots else None
        # A chain may be very long, and each task in it gets an error of its own: never walk all of
        # it here.
        shown = list(islice(link.names(), 10))
        if link.length > len(shown):
            shown += [f"... {link.length - len(shown) - 1} more ...", link.root]
        more = f" ({self.causes} inputs failed at the root)" if self.causes > 1 else ""
        super().__init__(
            f"{task} was not started, because an input failed: {' <- '.join(shown)}{more}.",
            why=f"{link.root} failed with {type(first).__name__}: {_first_line(first)}",
            todo="Mend the root cause; everything that did not depend on it has run.",
        )

    @property
    def chain(self) -> tuple[str, ...]:
        """From this task down to the root of the first failed input, each as ``"app (task 3)"``."""
        return tuple(self.link.names())

    def __reduce__(self) -> tuple[Any, ...]:
        # Flat, since pickling a chain of links would recurse once for each task in it.
        state = {name: value for name, value in self.__dict__.items() if name != "link"}
        return (_rebuild_chain, (type(self), self.args, state, self.chain))


def _rebuild_chain(
    cls: type[DependencyError], args: tuple[Any, ...], state: dict[str, Any], chain: tuple[str, ...]
) -> WeftError:
    error = _rebuild(cls, args, state)
    link: Link | None = None
    for name in reversed(chain):
        link = Link.on(name, link)
    error.__dict__["link"] = link
    return error


class LeftOut(TaskError):
    """A task was not executed, since only others of its run were to be.

    Attributes:
        task: its name and number.
        app: the name of its app.
    """

    code = "W-TSK-012"

    def __init__(self, task: str, app: str, cached: bool = True) -> None:
        why = (
            "no result of this call is found: it did not end well before, or its function or its "
            "arguments are others now"
            if cached
            else "its app has no cache=True, so no result of it is kept"
        )
        super().__init__(
            f"{task} was left out by --only: nothing of it was executed, and nothing is lost.",
            why=f"It is not among what was chosen, needs nothing of that, and {why}.",
            todo=f"Choose it too, by --only {app}; or leave --only away, to have all executed that "
            "is missing.",
        )
        self.task, self.app = task, app


class JoinError(TaskError):
    """A task that a join app waits for failed."""

    code = "W-TSK-002"

    def __init__(
        self, task: str, path: str, inner: str, cause: BaseException, more: int = 0
    ) -> None:
        others = f" (and {more} more)" if more else ""
        super().__init__(
            f"{task} returned a future that failed{others}: {path} is {inner}.",
            why=f"{type(cause).__name__}: {_first_line(cause)}",
            todo=f"Mend the failure of {inner}; it is the __cause__ of this error.",
        )
        self.task, self.path, self.inner, self.more = task, path, inner, more
        self.root = cause


class JoinTypeError(TaskError, TypeError):
    """A join app returned something other than futures."""

    code = "W-TSK-003"

    def __init__(self, task: str, path: str, found: str) -> None:
        super().__init__(
            f"{task} is a join app, but {path} is {found}.",
            why="A join app returns a future, or a list, tuple or dict of futures, nested as you "
            "like.",
            todo="Return the futures of the apps you call, or make it a @python_app.",
        )
        self.task, self.path, self.found = task, path, found


class JoinCycle(TaskError):
    """A join app waits, through the futures it returned, for itself."""

    code = "W-TSK-004"

    def __init__(self, task: str, chain: Sequence[str]) -> None:
        super().__init__(
            f"{task} would wait for itself: {' <- '.join(chain)}.",
            why="The futures that it returned depend on its own result.",
            todo="Return futures that do not need the result of this join app.",
        )
        self.task, self.chain = task, tuple(chain)


class TaskTimeout(TaskError, TimeoutError):
    """A task took longer than its walltime."""

    code = "W-TSK-005"

    def __init__(self, task: str, walltime: float, detail: str = "") -> None:
        super().__init__(
            f"{task} was stopped, because it took longer than its walltime of {walltime:g} s.",
            why=detail,
            todo="Give it a longer walltime, or less to do.",
        )
        self.task, self.walltime, self.detail = task, walltime, detail


class TaskLost(TaskError):
    """The infrastructure lost a task more often than it is retried without charge."""

    code = "W-TSK-006"

    def __init__(self, task: str, losses: Sequence[str]) -> None:
        # The last loss in full; of those before it, which are mostly the same again, the first
        # lines.
        before = [loss.splitlines()[0] for loss in losses[:-1] if loss]
        last = losses[-1] if losses else ""
        super().__init__(
            f"{task} was lost {len(losses)} time{'' if len(losses) == 1 else 's'}.",
            why="\n".join([last, *(f"Before that: {one}" for one in reversed(before))]),
            todo="Look into the executor's log in the run folder; Config(losses=...) sets how "
            "often a lost task is tried again.",
        )
        self.task, self.losses = task, tuple(losses)


class PoisonTask(TaskLost):
    """A task was running each time a worker died, so it is not tried again."""

    code = "W-TSK-007"

    def __init__(self, task: str, losses: Sequence[str]) -> None:
        super().__init__(task, losses)
        self.what = (
            f"{task} was running on {len(losses)} workers when they died, and is not tried again."
        )
        self.todo = (
            "Most often such a task runs out of memory, or crashes in compiled code; "
            "run it alone to see."
        )
        self.args = (self.what,)


class RemoteError(TaskError):
    """A task raised an exception that could not be brought back as it was.

    Attributes:
        type_name: the qualified name of the original exception's class.
        message: its text.
        traceback: the remote traceback, as text.
        problem: why the object itself could not be brought back.
    """

    code = "W-TSK-008"

    def __init__(self, type_name: str, message: str, traceback: str, problem: str) -> None:
        super().__init__(
            f"{type_name}: {message}" if message else type_name,
            why=f"The task raised this; the exception itself could not be brought back: {problem}",
            todo="The traceback of the worker is in this error's .traceback and in its notes.",
        )
        self.type_name, self.message, self.traceback, self.problem = (
            type_name,
            message,
            traceback,
            problem,
        )


class BashExit(TaskError):
    """The command of a bash app ended with a code other than 0.

    Attributes:
        app: the app's name.
        exit_code: the code; negative for the number of the signal that ended it.
        command: the command that bash ran.
        stdout, stderr: the paths of the files it wrote to, where it did.
        tail: the last lines of its standard error.
    """

    code = "W-TSK-009"

    def __init__(
        self,
        app: str,
        exit_code: int,
        command: str,
        *,
        stdout: str | None,
        stderr: str | None,
        tail: str,
    ) -> None:
        ended = (
            f"was ended by signal {-exit_code}"
            if exit_code < 0
            else f"ended with exit code {exit_code}"
        )
        where = "".join(
            f"\n  {name}: {path}" for name, path in (("stdout", stdout), ("stderr", stderr)) if path
        )
        said = (
            f"\n  last lines of stderr:\n{_indented(tail)}"
            if tail.strip()
            else "\n  stderr is empty"
        )
        super().__init__(
            f"The command of bash app {app!r} {ended}.\n  command: {command}{where}{said}",
            todo="Run the command by hand in the same folder, or catch BashExit if this code is "
            "expected.",
        )
        self.app, self.exit_code, self.command = app, exit_code, command
        self.stdout, self.stderr, self.tail = stdout, stderr, tail


class BashReturnType(TaskError, TypeError):
    """A bash app returned something that is not a command."""

    code = "W-TSK-010"

    def __init__(self, app: str, found: str) -> None:
        super().__init__(
            f"The bash app {app!r} returned {found}.",
            why="A bash app returns the command to run, as a string or as a list of arguments.",
            todo="Return the command; use @python_app for a function that returns its result.",
        )
        self.app, self.found = app, found


class MissingOutputs(TaskError):
    """Files that a task declared as outputs are not there after it ended.

    Attributes:
        app: the app.
        missing: the files.
        folder: where it ran.
        there: some of what is in that folder, if it was the task's own.
    """

    code = "W-TSK-011"

    def __init__(
        self, app: str, missing: Sequence[str], folder: str, there: Sequence[str] = ()
    ) -> None:
        found = f" In it are {_listed(there)}." if there else ""
        super().__init__(
            f"The app {app!r} ended, but did not make {_listed(missing)}.",
            why=f"It ran in the folder {folder}.{found}",
            todo="Check the names, and whether the app wrote them somewhere else.",
        )
        self.app, self.missing, self.folder = app, tuple(missing), folder
        self.there = tuple(there)


class StagingError(TaskError):
    """A file could not be brought to where a task needs it, or back.

    Attributes:
        url: the file.
        direction: ``in`` or ``out``.
        reason: what the other side said.
        again: whether another try may help, as after a connection that broke.
        retry_after: seconds that the other side asked to be left alone for before that; 0 if it
            said nothing.
    """

    code = "W-DAT-002"

    def __init__(
        self,
        url: str,
        direction: str,
        reason: str,
        todo: str = "",
        *,
        again: bool = False,
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(f"{url!r} could not be staged {direction}.", why=reason, todo=todo)
        self.url, self.direction, self.reason = url, direction, reason
        self.again, self.retry_after = again, retry_after


class OutputConflict(TaskError):
    """Two tasks that may run at the same time are to write one file."""

    code = "W-DAT-003"

    def __init__(self, task: str, other: str, url: str) -> None:
        super().__init__(
            f"{task} is to write {url!r}, which {other} is to write too.",
            why="Neither waits for the other, so what is in the file in the end would be chance.",
            todo="Give each an output of its own, or pass the future of the first to the second.",
        )
        self.task, self.other, self.url = task, other, url


class SerializationError(WeftError):
    """An object cannot be turned into bytes, or bytes cannot be turned back.

    Attributes:
        subject: what was to be packed, such as ``"the arguments of 'align'"``.
        path: where inside it the trouble sits, such as ``"args[1].handle"``.
        reason: what the serializer said.
    """

    code = "W-SER-001"

    def __init__(self, subject: str, path: str, reason: str, todo: str = "") -> None:
        super().__init__(
            f"{subject} cannot be sent to a worker: {path}."
            if path
            else f"{subject} cannot be sent to a worker.",
            why=reason,
            todo=todo
            or "Pass something that can be pickled, such as a path or the data to make the object "
            "from.",
        )
        self.subject, self.path, self.reason = subject, path, reason


class SerializerMissing(SerializationError):
    """What a task needs to open its arguments is not installed where the task runs.

    Attributes:
        name: of the serializer.
        wanted: the id of its format.
        host: where it is missing.
        python: the interpreter there.
        package: what to install.
    """

    code = "W-SER-002"

    def __init__(
        self,
        name: str,
        wanted: str,
        reason: str,
        *,
        package: str = "",
        version: str = "",
        where: tuple[str, str] | None = None,
    ) -> None:
        if where is None:
            import socket
            import sys

            where = (socket.gethostname(), sys.executable)
        self.name, self.wanted, self.package = name, wanted, package
        self.host, self.python = where
        wants = f"'{package}=={version}'" if version else f"'{package}'"
        install = f"'{self.python}' -m pip install {wants}" if package else ""
        super().__init__(
            f"What the serializer {name!r} ({wanted}) packed",
            "",
            reason,
            (f"Run there: {install}. " if install else "")
            + "Or choose another serializer for the app or the executor.",
        )
        self.what = (
            f"What the serializer {name!r} ({wanted}) packed cannot be opened on {self.host}, by "
            f"{self.python}."
        )
        self.args = (self.what,)


class CheckpointError(WeftError):
    """A checkpoint file cannot be trusted or used."""

    code = "W-CKP-001"

    def __init__(self, path: str, reason: str, todo: str) -> None:
        super().__init__(f"The checkpoint {path!r} is not used.", why=reason, todo=todo)
        self.path, self.reason = path, reason


class EventLogError(WeftError):
    """A file is no event log that this version of weft can read."""

    code = "W-LOG-001"

    def __init__(self, path: str, reason: str, todo: str = "") -> None:
        super().__init__(
            f"The event log {path!r} cannot be read.",
            why=reason,
            todo=todo or "Name a run's folder, or the events.weft in it.",
        )
        self.path, self.reason = path, reason


class ExecutorFailed(WeftError):
    """An executor cannot run tasks any more; tasks that it held fail with this."""

    code = "W-EXE-001"

    def __init__(
        self, label: str, reason: str, todo: str = "", facts: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(
            f"The executor {label!r} cannot run tasks.",
            why=reason,
            todo=todo or "Its log in the run folder says more.",
        )
        self.label, self.reason, self.facts = label, reason, dict(facts or {})


class BlockFailed(ExecutorFailed):
    """Blocks of machines ended one after the other before any manager of theirs registered.

    Attributes:
        label: the executor's.
        starts: how many starts in a row failed.
        facts: what is known of the last one, by name, in the order in which it is shown: its
            ``block``, the ``command``, what the ``scheduler`` said, the ``exit code``, and the
            last lines of its ``stdout`` and ``stderr``, each as far as known.
    """

    code = "W-BLK-001"

    def __init__(
        self,
        label: str,
        starts: int,
        reason: str,
        *,
        todo: str = "",
        facts: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            label,
            reason,
            todo or "Run the command by hand on one of the machines to see what it says.",
            facts,
        )
        row = "1 block" if starts == 1 else f"{starts} blocks in a row"
        what = f"The executor {label!r} cannot run tasks: {row} ended before a manager registered."
        self.what = "\n".join(
            [
                what,
                *(_fact(name, value) for name, value in self.facts.items()),
            ]
        )
        self.args = (self.what,)
        self.starts = starts


def _fact(name: str, value: str) -> str:
    return f"  {name}: {value}" if "\n" not in value else f"  {name}:\n{_indented(value)}"


class SubmitLater(WeftError):
    """A provider cannot take a job now, but may well be able to soon.

    There are too many jobs, say, or there was no answer in time. A provider raises this from
    ``submit`` where asking again makes sense. The job is handed over again after a while, and
    again, and that does not count as a failed start.

    Attributes:
        reason: the scheduler's own words.
        after: seconds to wait at least, where the scheduler said so.
    """

    code = "W-BLK-002"

    def __init__(self, reason: str, *, after: float | None = None, todo: str = "") -> None:
        super().__init__(
            "The provider cannot take a job now.",
            why=reason,
            todo=todo or "Wait: it is asked again. If that does not help, ask whoever runs it.",
        )
        self.reason, self.after = reason, after


def _first_line(error: BaseException | None) -> str:
    text = error.what if isinstance(error, WeftError) else _text(error)
    return text.splitlines()[0] if text else "(no message)"


def _text(error: BaseException | None) -> str:
    try:
        return str(error)
    except Exception as trouble:  # noqa: BLE001 - a user's exception, whose text may raise anything
        return f"(its message cannot be shown: {type(trouble).__name__})"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.rstrip("\n").splitlines())
