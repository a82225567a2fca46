"""A stand-in for ``ssh``: what would run on a host runs here, or the host behaves badly."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

_SSH = """#!{python}
import os, sys, time
words = sys.argv[1:]
at = words.index("--")
host, command = words[at + 1], words[at + 2]
if host == "silent":
    time.sleep(600)
if host == "chatty":
    sys.stdout.write("Welcome!\\nMaintenance on Monday.\\n")
    sys.stdout.flush()
if host == "odd":
    sys.stdout.buffer.write(b"\\0weft-ssh 1\\n" + b"?" * 64)
    sys.stdout.flush()
    time.sleep(600)
if host == "wordy":
    sys.stdout.write("y" * 200_000)
    sys.stdout.flush()
    time.sleep(600)
if host == "liar":
    sys.stdout.buffer.write(b"\\0weft-ssh 1\\n" + b"b" + (0).to_bytes(4, "big"))
    name = b"../outside"
    data = len(name).to_bytes(4, "big") + name + b"data"
    sys.stdout.buffer.write(b"f" + len(data).to_bytes(4, "big") + data)
    sys.stdout.flush()
    time.sleep(600)
if host == "down":
    sys.exit("ssh: connect to host down port 22: No route to host")
if host == "dying":
    import threading
    threading.Timer(1.0, lambda: os._exit(255)).start()
    import subprocess
    sys.exit(subprocess.call(["/bin/sh", "-c", command]))
os.execv("/bin/sh", ["/bin/sh", "-c", command])
"""


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program ``ssh`` that comes first on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "ssh").write_text(_SSH.format(python=sys.executable))
    (folder / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder
