"""What an import costs: a program of its own for each, so that nothing else is loaded before."""

from __future__ import annotations

from benchmarks.case import Bar, Case, Column

_HEAVY = (
    "typeguard zmq dill sqlalchemy psij proxystore asyncio importlib.metadata multiprocessing "
    "requests"
)
_MEASURED = """
import resource, sys, time
before, wall, cpu = len(sys.modules), time.perf_counter(), time.process_time()
{done}
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
count = len(sys.modules) - before
heavy = "{heavy}".split()
told = '{{"cpu": %r, "wall": %r, "modules": %d, "heavy": %d, "rss": %r}}'
try:
    # A fresh process inherits ru_maxrss from the one that started it; this number it does not.
    with open("/proc/self/status") as status:
        most = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
except OSError:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
loaded = sum(name in sys.modules for name in heavy)
print(told % (1e3 * cpu, 1e3 * wall, count, loaded, most))
"""

_WEFT_SESSION = """
from weft import python_app, Config, executor, load
session = load(Config(run_dir="runs", executors=[executor("threads", max_threads=2)]))
"""
_PARSL_SESSION = """
import parsl
from parsl import python_app
threads = parsl.ThreadPoolExecutor(max_threads=2)
session = parsl.load(parsl.Config(executors=[threads], run_dir="runs"))
"""

_WEFT, _SESSION = "weft, import weft", "weft, a session on threads"
_PARSL, _PARSLS = "parsl, import parsl", "parsl, a session on threads"
_ATTRS, _THREE = "attrs, import attrs", "attrs, pluggy, concurrent.futures"


def _script(done: str, end: str = "") -> str:
    return _MEASURED.format(done=done.strip(), heavy=_HEAVY) + end


CASE = Case(
    name="imports",
    title="Imports",
    about=(
        "Each in a fresh interpreter with byte code on disk. A session: apps and "
        "configuration imported, and a session on two "
        "threads loaded. Heavy modules are those that a session on threads has no use for: "
        "typeguard, zmq, dill, "
        "sqlalchemy, psij, proxystore, asyncio, importlib.metadata, multiprocessing, requests."
    ),
    contestants=(_SESSION, _WEFT, _ATTRS, _THREE, _PARSL, _PARSLS),
    sizes=(1,),
    quick=(1,),
    columns=(
        Column("cpu", "CPU ms"),
        Column("wall", "wall ms"),
        Column("modules", "modules", 0),
        Column("heavy", "heavy modules", 0),
        Column("rss", "peak MiB"),
    ),
    scripts={
        _WEFT: _script("import weft"),
        _SESSION: _script(_WEFT_SESSION, "session.close()"),
        _ATTRS: _script("import attrs"),
        _THREE: _script("import attrs, pluggy, concurrent.futures.thread"),
        _PARSL: _script("import parsl"),
        _PARSLS: _script(_PARSL_SESSION, "session.cleanup()"),
    },
    warm=True,
    bars=(
        Bar("modules of `import weft`", lambda of: of(_WEFT, 1, "modules"), 15, unit="", low=True),
        Bar(
            "CPU of `import weft` over that of `import attrs`",
            lambda of: of.ratio((_WEFT, 1, "cpu"), (_ATTRS, 1, "cpu")),
            must=1,
            low=True,
        ),
        Bar(
            "modules of a session on threads",
            lambda of: of(_SESSION, 1, "modules"),
            must=110,
            unit="",
            low=True,
        ),
        Bar("heavy modules in it", lambda of: of(_SESSION, 1, "heavy"), must=0, unit="", low=True),
        Bar(
            "its CPU over that of importing attrs, pluggy and concurrent.futures",
            lambda of: of.ratio((_SESSION, 1, "cpu"), (_THREE, 1, "cpu")),
            must=1.5,
            low=True,
        ),
        Bar("its peak memory", lambda of: of(_SESSION, 1, "rss"), must=20, unit=" MiB", low=True),
        Bar(
            "CPU of `import parsl` over that of a whole session of weft",
            lambda of: of.ratio((_PARSL, 1, "cpu"), (_SESSION, 1, "cpu")),
            must=3,
            goal=6,
        ),
    ),
)
