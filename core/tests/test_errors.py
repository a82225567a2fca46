"""Every error says what, why and what to do, has a code of its own, and travels."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from weft import errors
from weft.errors import (
    BadEvidence,
    BashExit,
    BashReturnType,
    BlockFailed,
    CallError,
    CheckpointError,
    ConfigFileError,
    DependencyError,
    EventLogError,
    ExecutorFailed,
    ForeignFuture,
    HookBroken,
    InterfaceMismatch,
    InvalidConfig,
    JoinCycle,
    JoinError,
    JoinTypeError,
    LeftOut,
    Link,
    MissingOutputs,
    NoSession,
    NotUnpackable,
    OutputConflict,
    PluginBlocked,
    PluginBroken,
    PluginConflict,
    PluginNotFound,
    PoisonTask,
    RemoteError,
    RunFolderError,
    SerializationError,
    SerializerMissing,
    SessionActive,
    SessionClosed,
    SettingsError,
    StagingError,
    SubmitLater,
    TaskLost,
    TaskTimeout,
    TooManyPending,
    UnknownExecutor,
    UnknownIdentity,
    UnknownScheme,
    UnsupportedRequest,
    WeftError,
)

EVERY: list[type[WeftError]] = [
    thing
    for thing in vars(errors).values()
    if inspect.isclass(thing) and issubclass(thing, WeftError)
]

CHAIN = Link.on("top (task 2)", Link.on("low (task 1)"))

MADE: list[WeftError] = [
    PluginNotFound("executor", "htx", ["threads"], nearest=["htex"], package="weft-htex"),
    PluginBroken("executor", "htex", dist="weft-htex", version="1", reason="no zmq"),
    PluginConflict("executor", "htex", ["one", "two"]),
    PluginBlocked("executor", "htex", "weft-htex", "WEFT_PLUGINS_BLOCK names it"),
    HookBroken("mine", "it raised"),
    BadEvidence("kit.json", "it was edited"),
    InterfaceMismatch("executor", "x", dist="d", version="1", built_for="2.0", speaks="1.0"),
    SettingsError("executor threads", "max_threads", "0 is too few", allowed="1 or more"),
    InvalidConfig(["one", "two"]),
    ConfigFileError("config.py", 3, "a name is missing"),
    RunFolderError("/x", "read-only"),
    NoSession("align"),
    SessionActive("/runs/0001"),
    SessionClosed("align"),
    TooManyPending(10),
    CallError("what", why="why", todo="do"),
    ForeignFuture("align", "sort (task 3)"),
    UnknownScheme("gopher://x", "gopher", ["file"]),
    UnknownExecutor("align", "gpu", ["cpu"]),
    UnsupportedRequest("align", "a walltime", ["cpu"]),
    NotUnpackable("align"),
    UnknownIdentity("mod.Thing", "args[0]"),
    DependencyError("top (task 2)", CHAIN, (ValueError("bad"),)),
    JoinError("fan (task 1)", "the result[0]", "align (task 2)", ValueError("bad"), 2),
    LeftOut("align (task 1)", "align", cached=False),
    JoinTypeError("fan (task 1)", "the result", "42"),
    JoinCycle("fan (task 1)", ["fan (task 1)", "fan (task 1)"]),
    TaskTimeout("align (task 1)", 3.5, "on a thread"),
    TaskLost("align (task 1)", ["gone"]),
    PoisonTask("align (task 1)", ["dead", "dead", "dead"]),
    RemoteError("mod.Odd", "message", "Traceback ...", "it does not unpickle"),
    BashExit("align", 2, "false", stdout="o", stderr="e", tail="words"),
    BashReturnType("align", "42"),
    MissingOutputs("align", ["a.txt"], "/tmp"),
    StagingError("http://x", "in", "404"),
    OutputConflict("align (task 2)", "align (task 1)", "out.bam"),
    SerializationError("the arguments of 'align'", "args[0]", "a lock"),
    SerializerMissing("noted", "noted1", "no module", package="weft-noted", version="1.2"),
    CheckpointError("file", "writable by others", "chmod"),
    EventLogError("notes.txt", "It is none.", "Name another."),
    ExecutorFailed("cpu", "gone", facts={"exit": "1"}),
    BlockFailed("cpu", 3, "a command is missing", facts={"exit code": "127", "stderr": "a\nb"}),
    SubmitLater("too many jobs", after=30.0),
]


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
def test_it_says_what_why_and_what_to_do(error: WeftError) -> None:
    text = str(error)

    assert text.startswith(error.what)
    if error.why:
        assert f"Why: {error.why}" in text
    if error.todo:
        assert f"Do: {error.todo}" in text
    assert text.endswith(f"({error.code})")


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("how", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy])
def test_it_travels_with_all_its_facts(error: WeftError, how: Callable[[Any], Any]) -> None:
    back = how(error)

    assert type(back) is type(error)
    assert str(back) == str(error)
    assert back.args == error.args
    assert vars(back).keys() == vars(error).keys()


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
def test_notes_travel_too(error: WeftError) -> None:
    noted = copy.copy(error)
    noted.add_note("in app 'align'")

    assert pickle.loads(pickle.dumps(noted)).__notes__ == ["in app 'align'"]


def test_every_kind_is_public_documented_and_has_a_code_of_its_own() -> None:
    codes = Counter(kind.code for kind in EVERY)

    assert [code for code, count in codes.items() if count > 1] == []
    for kind in EVERY:
        assert kind.__name__ in errors.__all__
        assert kind.__doc__
        assert kind.__name__ in (errors.__doc__ or "")


def test_every_kind_that_is_made_with_facts_is_shown_here() -> None:
    own = {kind for kind in EVERY if "__init__" in vars(kind)} - {WeftError}

    assert own <= {type(error) for error in MADE}


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (NotUnpackable, TypeError),
        (UnknownIdentity, TypeError),
        (JoinTypeError, TypeError),
        (BashReturnType, TypeError),
        (TaskTimeout, TimeoutError),
        (PoisonTask, TaskLost),
    ],
)
def test_some_are_also_what_python_calls_them(
    kind: type[WeftError], builtin: type[Exception]
) -> None:
    assert issubclass(kind, builtin)


def test_a_chain_of_any_length_travels_and_is_told_in_few_words() -> None:
    link: Link | None = None
    for number in range(50_000):
        link = Link.on(f"step (task {number})", link)
    assert link is not None
    error = DependencyError("step (task 49999)", link, (ValueError("bad"),))

    assert len(str(error)) < 700
    assert "... 49989 more ... <- step (task 0)" in str(error)
    back = pickle.loads(pickle.dumps(error))
    assert back.chain == error.chain
    assert back.link.length == 50_000


class Rude(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_an_exception_whose_text_raises_can_be_told_of() -> None:
    link = Link.on("step (task 1)")

    assert "cannot be shown: RuntimeError" in str(DependencyError("step", link, (Rude(),)))
    assert "cannot be shown: RuntimeError" in str(JoinError("a", "b", "c", Rude()))


def test_a_subclass_of_a_plugin_with_any_constructor_travels() -> None:
    error = Special("cpu", limit=3)

    back = pickle.loads(pickle.dumps(error))

    assert (back.label, back.limit, str(back)) == ("cpu", 3, str(error))


class Special(ExecutorFailed):
    def __init__(self, label: str, *, limit: int) -> None:
        super().__init__(label, f"more than {limit}")
        self.limit = limit
