"""A launcher of ranks that starts them here, whatever nodes it is given."""

from __future__ import annotations

from pathlib import Path

import pytest

# Takes the options of MPICH's mpiexec. TERM ends it and its ranks, as it does there.
_LAUNCHER = """#!/bin/sh
if [ "$1" = --version ]; then echo "HYDRA build details: a stand-in"; exit 0; fi
[ "$1 $3 $5" = "-n -ppn -hosts" ] || { echo "options: $*" >&2; exit 9; }
count=$2 hosts=$6 ranks=''
shift 6
trap 'kill -KILL $ranks 2>/dev/null; exit 143' TERM
rank=0
while [ "$rank" -lt "$count" ]; do
  PMI_RANK=$rank PMI_SIZE=$count NODES=$hosts "$@" <&0 &
  ranks="$ranks $!" rank=$((rank + 1))
done
code=0
for one in $ranks; do wait "$one" || code=$?; done
exit "$code"
"""


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of the launcher."""
    path: Path = tmp_path_factory.mktemp("launcher") / "mpiexec"
    path.write_text(_LAUNCHER)
    path.chmod(0o755)
    return str(path)
