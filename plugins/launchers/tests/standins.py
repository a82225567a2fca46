"""Programs that do with their arguments what the real ones do, for machines that have none.

Each takes the options that its documentation names and no others, counts machines and copies from
them, splits at a word that is a colon where the real one does, and runs what is left as it was
given: one argument stays one. Names of the machines are ``node1`` and so on.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

PROGRAMS = ("aprun", "flux", "ibrun", "jsrun", "mpiexec", "mpirun", "parallel")

_HEAD = """\
#!{python} -SE
import os, subprocess, sys

WORDS = sys.argv[1:]

def wrong(text):
    sys.stderr.write(f"{{os.path.basename(sys.argv[0])}}: {{text}}\\n")
    sys.exit(2)

def options(valued, flags):
    found = {{}}
    while WORDS and WORDS[0].startswith("-"):
        name, equals, value = WORDS.pop(0).partition("=")
        if name in flags and not equals:
            found[name] = "yes"
        elif name in valued and (equals or WORDS):
            found[name] = value if equals else WORDS.pop(0)
        else:
            wrong(f"unknown option {{name}}")
    if not WORDS:
        wrong("nothing to run")
    return found

def run(nodes, per_node, environment=None, words=None):
    words = WORDS if words is None else words
    if ":" in words and {splits!r}:
        wrong("a colon separates two programs, and there is one")
    log = os.environ.get("STANDIN_LOG")
    if log:
        with open(log, "a") as file:
            file.write(repr(sys.argv[1:]) + "\\n")
    started = []
    for rank in range(nodes * per_node):
        mine = dict(os.environ if environment is None else environment)
        mine["STANDIN_NODE"] = f"node{{rank // per_node + 1}}"
        mine["STANDIN_RANK"] = str(rank)
        started.append(subprocess.Popen(words, env=mine))
    codes = [one.wait() for one in started]
    sys.exit(next((code % 256 for code in codes if code), 0))
"""

_BODIES = {
    # aprun(1): -n copies in all, -N on a machine.
    "aprun": """
found = options({"-n", "-N", "-cc", "-d"}, {"-b", "-q"})
total, each = int(found["-n"]), int(found["-N"])
run(total // each, each)
""",
    # flux-run(1): per-resource options.
    "flux": """
if WORDS.pop(0) != "run":
    wrong("no such command")
found = options({"--nodes", "--tasks-per-node", "-o"}, {"--exclusive", "--label-io"})
run(int(found["--nodes"]), int(found["--tasks-per-node"]))
""",
    # TACC user guides: -n copies from task -o on.
    "ibrun": """
found = options({"-n", "-o"}, set())
each = int(os.environ["IBRUN_TASKS_PER_NODE"])
run(int(found["-n"]) // each, each)
""",
    # Job Step Manager: resource sets, and copies in each.
    "jsrun": """
found = options({"-n", "-r", "-a", "-c", "-g", "-b", "--stdio_mode"}, set())
if int(found["-r"]) != 1:
    wrong("these machines have room for one resource set each")
run(int(found["-n"]), int(found["-a"]))
""",
    # The three kinds of mpiexec; STANDIN_MPI says which one this is.
    "mpiexec": """
kind = os.environ.get("STANDIN_MPI", "mpich")
if WORDS == ["--version"]:
    print({"mpich": "HYDRA build details:\\n    Version:  4.0.2",
           "openmpi": "mpiexec (OpenRTE) 4.1.4",
           "openmpi5": "mpiexec (Open MPI) 5.0.3",
           "intel": "Intel(R) MPI Library for Linux* OS, Version 2021.9"}.get(kind, "mpiexec 1.0"))
    sys.exit(0)
if kind in ("mpich", "intel"):
    found = options({"-n", "-ppn", "-bind-to", "-f"}, {"-prepend-rank"})
    each = int(found["-ppn"])
elif kind in ("openmpi", "openmpi5"):
    found = {}
    named = []
    while "-x" in WORDS[: WORDS.index("/bin/sh")]:
        at = WORDS.index("-x")
        named.append(WORDS[at + 1])
        del WORDS[at : at + 2]
    found = options(
        {"-n", "--map-by", "--bind-to", "--hostfile"}, {"--allow-run-as-root", "--tag-output"}
    )
    word, each, unit = found["--map-by"].split(":")[:3]
    each = int(each)
    if (word, unit) != ("ppr", "node"):
        wrong("not a known mapping")
    # Copies on other machines get what is named, and what their own machine has.
    elsewhere = {name: os.environ[name] for name in (*named, "PATH", "STANDIN_LOG")
                 if name in os.environ}
    run(int(found["-n"]) // each, each, elsewhere)
else:
    found = options({"-n", "--ppn", "--cpu-bind", "--hostfile"}, set())
    each = int(found["--ppn"])
run(int(found["-n"]) // each, each)
""",
    # parallel(1) with --nonall: replacement strings, then the login shell of each machine.
    "parallel": """
names = []
while "--env" in WORDS[:-1]:
    at = WORDS.index("--env")
    names.append(WORDS[at + 1])
    del WORDS[at : at + 2]
found = options({"--jobs", "--sshlogin", "--workdir", "--ssh"}, {"--nonall", "--tag"})
text = " ".join(WORDS)
for word, value in (("{}", ""), ("{#}", "1"), ("{%}", "1"), ("{.}", "")):
    text = text.replace(word, value)
elsewhere = {name: os.environ[name] for name in (*names, "PATH")}
os.chdir(found["--workdir"])
run(len(found["--sshlogin"].split(",")), 1, elsewhere, ["/bin/sh", "-c", text])
""",
}
_BODIES["mpirun"] = _BODIES["mpiexec"]


def install(folder: Path) -> None:
    """Put the programs into a folder."""
    for name in PROGRAMS:
        splits = name not in {"flux", "parallel"}
        file = folder / name
        file.write_text(_HEAD.format(python=sys.executable, splits=splits) + _BODIES[name])
        file.chmod(0o755)


def first(folder: Path) -> str:
    """A PATH on which they come first."""
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
