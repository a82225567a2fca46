"""Runs a function in a process of its own, where the component is made anew.

What a rule proves of other processes, of being killed and of crashes cannot be proven in the
process of the tests. The child loads the file of the test class by its path, so that a class in any
test module will do, and is ended with all its children if it takes too long.
"""

import contextlib
import inspect
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import attrs
import pytest

from weft.values.settings import Settings
from weft_testkit.rules import KitError

__all__ = ["Ended", "run_elsewhere", "serve"]

_CHILD: Final = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from weft_testkit.elsewhere import serve
serve(*sys.argv[2:])
"""
"""Leaves its main script as good as empty, since some packers look at what is in it."""


@attrs.frozen
class Ended:
    """How a child ended.

    Attributes:
        exit_code: 0 if the function returned; negative for the number of a signal.
        value: what it returned; ``None`` if it did not.
        said: what it wrote to its standard error, with the traceback if it raised.
    """

    exit_code: int
    value: Any
    said: str


def run_elsewhere(
    kit: object,
    function: Callable[..., Any],
    settings: Settings,
    *args: Any,
    seconds: float,
) -> Ended:
    """Call ``function(kit, settings, *args)`` in a fresh interpreter, with a new ``kit``.

    Args:
        kit: an instance of a test class; the child makes another one.
        function: a function of a module that can be imported.
        settings: handed over, as are the other arguments, by pickle.
        args: further arguments.
        seconds: how long it may take at most.

    Raises:
        KitError: the test class is not at the top level of a file.
        pytest.fail.Exception: it took too long.
    """
    cls = type(kit)
    if "<locals>" in cls.__qualname__:
        raise KitError(
            f"{cls.__qualname__} is a class within a function, which another process cannot find. "
            "Write it at the top level of its module."
        )
    path = [one or str(Path.cwd()) for one in sys.path]
    inner = pickle.dumps((settings, args))
    with tempfile.TemporaryDirectory(prefix="weft-testkit-") as folder:
        order = Path(folder, "order")
        answer = Path(folder, "answer")
        order.write_bytes(
            pickle.dumps(
                (
                    cls.__module__,
                    inspect.getfile(cls),
                    cls.__qualname__,
                    (function.__module__, function.__name__),
                    inner,
                )
            )
        )
        said = Path(folder, "said")
        command = [sys.executable, "-c", _CHILD, json.dumps(path), str(order), str(answer)]
        exit_code = _bounded(command, said, seconds=seconds)
        value = pickle.loads(answer.read_bytes()) if exit_code == 0 else None
        return Ended(exit_code, value, said.read_text("utf-8", "replace"))


def _bounded(command: list[str], said: Path, *, seconds: float) -> int:
    """Run it and end all that it started. What it says goes to a file.

    A pipe would stay open as long as one of the processes that it started lives.
    """
    with said.open("wb") as saying:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=saying,
            start_new_session=True,
        )
        try:
            return child.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"a process that ran it did not end within {seconds:g} s", pytrace=False)
        finally:
            with contextlib.suppress(ProcessLookupError):  # nothing of its group is left
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def serve(order: str, answer: str) -> None:
    """What the child does: load the test class, call the function, write what it returns."""
    module, file, name, (home, function), inner = pickle.loads(Path(order).read_bytes())
    found = _module(module, file)
    # Folders above the test module need not be packages; pickle asks for them all the same.
    for n, letter in enumerate(module):
        if letter == ".":
            sys.modules.setdefault(module[:n], ModuleType(module[:n]))
    for part in name.split("."):
        found = getattr(found, part)
    settings, args = pickle.loads(inner)
    value = getattr(import_module(home), function)(found(), settings, *args)
    Path(answer).write_bytes(pickle.dumps(value))


def _module(name: str, file: str) -> Any:
    if name not in sys.modules:
        # What it imports by the names of folders above it is found there, as where it is from.
        sys.path.append(str(Path(file).parents[name.count(".")]))
        spec = spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        made = sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(made)
    return sys.modules[name]
