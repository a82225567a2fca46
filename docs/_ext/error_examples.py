"""One example for each error: code that runs into it, as a user might.

Most examples do what a script would do, in a folder of their own; a few errors need a broken
machine or a foreign package, and those are made from the facts they would be made from.
"""

from __future__ import annotations

import io
import os
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr
from pathlib import Path
from typing import Any, ClassVar, Final

import attrs

import weft
from weft import errors
from weft.configuration import evidence
from weft.configuration.check import check, load_config
from weft.configuration.registry import Registry
from weft.errors import WeftError
from weft.eventlog.reader import read_events
from weft.session import set_ambient
from weft.testing import FakeExecutor
from weft.values.choice import Choice
from weft.values.plugin import Component, Kind
from weft.values.settings import ExecutorSettings

__all__ = ["EXAMPLES", "ByHand", "build", "example_of", "families", "registered"]

EXAMPLES: Final[dict[type[WeftError], Callable[[], object]]] = {}

Example = Callable[[], object]


def shows(error: type[WeftError]) -> Callable[[Example], Example]:
    """Say which error a function runs into."""

    def keep(example: Example) -> Example:
        EXAMPLES[error] = example
        return example

    return keep


def families() -> frozenset[type[WeftError]]:
    """The errors that only stand for those below them."""
    return frozenset(
        {
            errors.WeftError,
            errors.ConfigurationError,
            errors.SessionError,
            errors.TaskError,
        }
    )


def example_of(error: type[WeftError]) -> WeftError:
    """The error, as its example runs into it."""
    with (
        tempfile.TemporaryDirectory() as folder,
        chdir(folder),
        redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        try:
            EXAMPLES[error]()
        except error as found:
            return found
    raise AssertionError(f"the example of {error.__name__} raised nothing")


# ------------------------------------------------------------------- apps and parts of the examples


@weft.python_app
def align(sample: object = None, *_: object) -> object:
    """Return what it was given."""
    return sample


@weft.python_app
def broken() -> None:
    """Fail."""
    raise ValueError("the file has no header")


@attrs.frozen(kw_only=True)
class ByHand(ExecutorSettings):
    """An executor whose tasks end as the example says."""

    plugin: ClassVar[str] = "by-hand"


_made: list[FakeExecutor] = []


def build(_settings: ByHand) -> FakeExecutor:
    """The factory of the declaration below."""
    _made.append(FakeExecutor())
    return _made[-1]


def registered(**changes: Any) -> Registry:
    """A registry that knows the executor above, or a version of it that is wrong."""
    registry = Registry()
    facts: dict[str, Any] = {
        "kind": Kind.EXECUTOR,
        "name": "by-hand",
        "settings": f"{__name__}:ByHand",
        "factory": f"{__name__}:build",
        "summary": "Ends tasks as the example says.",
    }
    registry.register(Component(**{**facts, **changes}))
    return registry


@contextmanager
def by_hand(**options: Any) -> Iterator[tuple[weft.Session, FakeExecutor]]:
    """A session on that executor."""
    config = weft.Config(executors=[ByHand()], close_timeout=0, **options)
    with weft.Session(config, registry=registered()) as session:
        yield session, _made[-1]


# ------------------------------------------------------------------------------------ configuration


@shows(errors.PluginNotFound)
def _() -> object:
    return weft.executor("thread")


@shows(errors.PluginBroken)
def _() -> object:
    return registered(settings="not_installed.settings:Settings").settings("executor", "by-hand")


@shows(errors.PluginConflict)
def _() -> object:
    raise errors.PluginConflict("executor", "htex", ["weft-htex", "my-htex"])


@shows(errors.PluginBlocked)
def _() -> object:
    rule = "Config(block=...) names weft-futures."
    raise errors.PluginBlocked("executor", "futures", "weft-futures", rule)


@shows(errors.HookBroken)
def _() -> object:
    raise errors.HookBroken("weft-otel 0.3", "ModuleNotFoundError: No module named 'opentelemetry'")


@shows(errors.InterfaceMismatch)
def _() -> object:
    raise errors.InterfaceMismatch(
        "executor",
        "htex",
        dist="weft-htex",
        version="0.4",
        built_for="2.0",
        speaks="1.0",
        newer=True,
    )


@shows(errors.SettingsError)
def _() -> object:
    return weft.executor("threads", max_thread=4)


@shows(errors.InvalidConfig)
def _() -> object:
    twice = [weft.executor("threads"), weft.executor("threads", max_threads=1)]
    return check(weft.Config(executors=twice, close_timeout=5, name=7))  # type: ignore[arg-type]


@shows(errors.ConfigFileError)
def _() -> object:
    Path("site.py").write_text("import weft\n\nconfig = weft.Config(retrys=2)\n")
    return load_config(Path("site.py"))


@shows(errors.RunFolderError)
def _() -> object:
    raise errors.RunFolderError("/scratch/runs", "OSError: No space left on device")


@shows(errors.BadEvidence)
def _() -> object:
    return evidence.load('{"schema": 1, "kind": "kit", "seal": "sha256:0"}', "evidence/kit.json")


# ------------------------------------------------------------------------------------------ session


@shows(errors.NoSession)
def _() -> object:
    return align("a.fasta")


@shows(errors.SessionActive)
def _() -> object:
    with weft.load():
        return weft.load()


@shows(errors.SessionClosed)
def _() -> object:
    with weft.Session() as session:
        later = align.options(session=session)
    return later("a.fasta")


@shows(errors.TooManyPending)
def _() -> object:
    with by_hand(max_pending=1, when_full="raise", on_exit="cancel") as (session, _executor):
        later = align.options(session=session)
        return [later("a.fasta"), later("b.fasta")]


# -------------------------------------------------------------------------------------------- calls


@shows(errors.CallError)
def _() -> object:
    with weft.load():
        special: Any = align  # keywords that its signature does not have
        return special("a.fasta", outputs="a.bam")


@shows(errors.ForeignFuture)
def _() -> object:
    with weft.Session() as one, weft.Session() as other:
        return align.options(session=other)(align.options(session=one)("a.fasta"))


@shows(errors.UnknownScheme)
def _() -> object:
    with weft.load():
        return align(weft.File("gopher://samples/a.fasta"))


@shows(errors.UnknownExecutor)
def _() -> object:
    with weft.load():
        return align.options(executors="gpu")("a.fasta")


@shows(errors.UnsupportedRequest)
def _() -> object:
    with weft.load():
        return align.options(resources=weft.Resources(accelerators=1))("a.fasta")


@shows(errors.NotUnpackable)
def _() -> object:
    with weft.load():
        first, second = align("a.fasta")
        return first, second


@shows(errors.CannotRetry)
def _() -> object:
    with weft.load() as session:
        aligned = align("a.fasta")
        aligned.result()
        return session.retry([aligned])


@shows(errors.UnknownIdentity)
def _() -> object:
    @weft.python_app(cache=True)
    def read(handle: object) -> str:
        return str(handle)

    with weft.load(weft.Config(unknown_arguments="raise")):
        return read(threading.Lock()).result()


# -------------------------------------------------------------------------------------------- tasks


@shows(errors.DependencyError)
def _() -> object:
    with weft.load():
        return align(align(broken())).result()


@shows(errors.LeftOut)
def _() -> object:
    set_ambient(None, only=Choice(apps=frozenset({"call_variants"})))
    try:
        with weft.load():
            return align("a.fasta").result()
    finally:
        set_ambient(None)


@shows(errors.JoinError)
def _() -> object:
    @weft.join_app
    def both() -> list[Any]:
        return [align("a.fasta"), broken()]

    with weft.load():
        return both().result()


@shows(errors.JoinTypeError)
def _() -> object:
    @weft.join_app
    def chosen() -> object:
        return "a.fasta"

    with weft.load():
        return chosen().result()


@shows(errors.JoinCycle)
def _() -> object:
    mine: list[Any] = []

    with by_hand(on_exit="cancel") as (session, _executor):
        known = threading.Event()

        @weft.join_app(session=session)
        def around() -> object:
            known.wait(10)
            return align.options(session=session)(mine[0])

        mine.append(around())
        known.set()
        return mine[0].result(10)


@shows(errors.TaskTimeout)
def _() -> object:
    @weft.bash_app
    def wait(walltime: float = 0.05) -> str:
        return "sleep 60"

    with weft.load():
        return wait().result()


@shows(errors.TaskLost)
def _() -> object:
    with by_hand(losses=0) as (session, executor):
        future = align.options(session=session)("a.fasta")
        executor.lose(executor.wait()[0], "the node n042 is down")
        return future.result(10)


@shows(errors.PoisonTask)
def _() -> object:
    with by_hand() as (session, executor):
        future = align.options(session=session)("a.fasta")
        for time in (1, 2, 3):
            executor.kill(executor.wait(time)[-1], "worker 5 was ended by signal 9")
        return future.result(10)


@shows(errors.RemoteError)
def _() -> object:
    raise errors.RemoteError(
        "aligner.BadSequence",
        "position 12: no such base 'Z'",
        "Traceback (most recent call last): ...",
        "ModuleNotFoundError: No module named 'aligner'",
    )


@shows(errors.BashExit)
def _() -> object:
    @weft.bash_app
    def count(name: str) -> str:
        return f"wc -l {name}"

    with weft.load():
        return count.options(stderr="count.err")("missing.txt").result()


@shows(errors.BashReturnType)
def _() -> object:
    @weft.bash_app
    def count(name: str) -> Any:
        return len(name)

    with weft.load():
        return count("a.txt").result()


@shows(errors.MissingOutputs)
def _() -> object:
    @weft.python_app
    def split(outputs: object = ()) -> None:
        pass

    with weft.load():
        return split(outputs=["part-1.txt", "part-2.txt"]).result()


@shows(errors.StagingError)
def _() -> object:
    with weft.load():
        return align(weft.File("missing.fasta")).result()


@shows(errors.OutputConflict)
def _() -> object:
    release = threading.Event()

    @weft.python_app
    def count(words: str, outputs: object = ()) -> None:
        release.wait(10)

    with weft.load():
        first = count("one", outputs=["counts.txt"])
        second = count("two", outputs=["counts.txt"])
        try:
            return second.result()
        finally:
            release.set()
            first.exception()


# --------------------------------------------------------------------------------------- the others


@shows(errors.SerializationError)
def _() -> object:
    config = weft.Config(executors=[weft.executor("processes", max_workers=1)])
    with weft.load(config):
        return align({"sample": "a.fasta", "lock": threading.Lock()}).result()


@shows(errors.SerializerMissing)
def _() -> object:
    # As a worker raises it on a node where the package of a serializer is not installed.
    raise errors.SerializerMissing(
        "proxystore",
        "proxystore1",
        "ModuleNotFoundError: No module named 'weft_proxystore'",
        package="weft-proxystore",
        version="0.1.0",
        where=("node-17", "/opt/python/bin/python3"),
    )


@shows(errors.CheckpointError)
def _() -> object:
    earlier = Path("weft-runs/0000")
    earlier.mkdir(parents=True)
    (earlier / "checkpoint.weft").write_bytes(b"")
    os.chmod(earlier / "checkpoint.weft", 0o666)  # noqa: PTH101 - planted
    return weft.load(weft.Config(checkpoint=True))


@shows(errors.EventLogError)
def _() -> object:
    Path("notes.txt").write_text("Tried the other aligner today.\n")
    return list(read_events("notes.txt"))


@shows(errors.ExecutorFailed)
def _() -> object:
    with by_hand() as (session, executor):
        future = align.options(session=session)("a.fasta")
        executor.wait()
        executor.break_down(
            errors.ExecutorFailed("cpu", "All 8 workers ended within 2 s of their start.")
        )
        return future.result(10)


@shows(errors.SubmitLater)
def _() -> object:
    raise errors.SubmitLater("sbatch: error: QOSMaxSubmitJobPerUserLimit", after=30.0)


@shows(errors.BlockFailed)
def _() -> object:
    raise errors.BlockFailed(
        "cpu",
        3,
        "A command was not found on the machine.",
        facts={
            "block": "cpu-3 (job 4711)",
            "scheduler": "ended with exit code 127",
            "command": "weft-manager --block cpu-3",
            "stderr": "in weft-runs/0001/cpu/blocks/cpu-3/job.err\n"
            "/bin/sh: 1: weft-manager: not found",
        },
    )


def missing(known: Mapping[str, type[WeftError]]) -> list[str]:
    """The errors that have no example and are no family."""
    return sorted(
        name for name, error in known.items() if error not in EXAMPLES and error not in families()
    )
