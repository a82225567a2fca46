"""The configurations of the guide run as they are written, where their names lead to hosts."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.systems.ssh.conftest import Site

BOUND = 90.0
EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
USED = """

@weft.python_app
def hosts() -> str:
    import os

    return os.environ["WEFT_SSH_HOSTS"]


if __name__ == "__main__":
    with weft.load(config):
        print(hosts().result())
"""


@pytest.mark.parametrize(
    ("example", "found"),
    [("guide_ssh.py", "node1\n"), ("guide_ssh_behind.py", "node1 node2\n")],
)
def test_a_configuration_runs(site: Site, tmp_path: Path, example: str, found: str) -> None:
    real = shutil.which("ssh")
    assert real is not None
    (tmp_path / "bin").mkdir()
    # What a user has in ~/.ssh.
    own = ["-F", str(site.config), "-i", str(site.key), "-o", f"UserKnownHostsFile={site.known}"]
    (tmp_path / "bin" / "ssh").write_text(f'#!/bin/sh\nexec {shlex.join([real, *own])} "$@"\n')
    (tmp_path / "bin" / "ssh").chmod(0o755)
    script, there = tmp_path / example, tmp_path / "there"
    text = (EXAMPLES / example).read_text()
    script.write_text(text.replace("~/weft", str(there)) + USED)
    done = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == found, done.stderr
    assert there.exists() is ("~/weft" in text)
    assert not list(there.glob("*"))
