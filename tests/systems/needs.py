"""What tests need of a machine: where it is absent they are skipped, and fail in CI."""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

__all__ = ["absent", "free_port", "needed", "needed_modules", "python_with"]

_LOWEST = 15_000
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_given: set[int] = set()


def absent(why: str) -> NoReturn:
    """Skip, or fail where nothing may be absent."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"These tests must run here, and cannot: {why}")
    pytest.skip(why)


def needed(*programs: str) -> None:
    """See that programs are there, under these names."""
    places = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    missing = [name for name in programs if shutil.which(name, path=places) is None]
    if missing:
        absent(f"{', '.join(missing)} is not installed")


def needed_modules(*names: str) -> None:
    """See that modules can be imported."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        absent(f"{', '.join(missing)} is not installed")


def python_with(module: str, variable: str) -> str:
    """A Python that has a module: the one that an environment variable names, or that of the tests.

    What holds a dependency of weft to an old version lives in an environment of its own.
    """
    python = os.environ.get(variable) or sys.executable
    asked = [python, "-c", f"import {module}"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    except OSError as error:
        absent(f"{python}: {error}")
    if said.returncode:
        absent(f"{python} has no {module}")
    return python


def free_port() -> int:
    """A port of loopback at which nobody listens, until the one that it is for does.

    It is none that the system gives to whoever asks for any: another test, or a connection of one,
    would have it before the server that it is for has started.
    """
    first = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 0
    for _ in range(1000 if first > _LOWEST + 1000 else 0):
        port = random.SystemRandom().randrange(_LOWEST, first)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
