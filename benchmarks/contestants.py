"""The systems that are compared, each opened the way its documentation shows.

A contestant that is open gives a function that makes callables: what it makes of ``noop`` is called
with arguments and returns a future at once.
"""

from __future__ import annotations

import functools
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__ = [
    "DISTRIBUTIONS",
    "FOLDER",
    "MONITORED",
    "WORKERS",
    "Make",
    "installed",
    "on_slurm",
    "opened",
]

Make = Callable[[Callable[..., Any]], Callable[..., Any]]

WORKERS = 2
"""Threads or worker processes of every contestant."""

DISTRIBUTIONS = ("weft", "parsl", "dask", "distributed", "ray", "executorlib")
"""Whose versions are printed."""

FOLDER = Path("runs")
"""Where contestants keep what they write, below the folder of the measurement."""

MONITORED = ", monitoring"
"""How a contestant's name ends that writes what happens to a database, which needs SQLAlchemy."""

_PROGRAMS = ("aria2c", "curl")


def installed(contestant: str) -> bool:
    """Whether what a contestant needs is there."""
    needs = contestant.split(maxsplit=1)[0].rstrip(",")
    if needs in ("bare", "attrs", "futures", "stdlib"):
        return True
    if needs in _PROGRAMS:
        return shutil.which(needs) is not None
    if contestant.endswith(" redis") and shutil.which("redis-server") is None:
        return False
    if contestant.endswith(MONITORED) and find_spec("sqlalchemy") is None:
        return False
    if contestant.endswith(MONITORED) and needs == "weft" and find_spec("weft_sql") is None:
        return False
    try:
        version({"dask": "distributed"}.get(needs, needs))
    except PackageNotFoundError:
        return False
    return True


@contextmanager
def _weft(
    executor: str = "threads", given: dict[str, Any] | None = None, **options: Any
) -> Iterator[Make]:
    import weft

    named = {"threads": "max_threads", "processes": "max_workers", "htex": "workers_per_node"}
    settings = {named[executor]: WORKERS, **(given or {})}
    executors = [weft.executor(executor, **settings)]
    config = weft.Config(run_dir=FOLDER, executors=executors, **options)
    with weft.load(config):
        yield weft.python_app


def _weft_packing(executor: str, serializer: str, **options: Any) -> Any:
    import weft

    return _weft(executor, {"serializer": weft.serializer(serializer, **options)})


def _weft_by_store(executor: str) -> Any:
    store = {"store_dir": str(FOLDER.absolute() / "store")}
    return _weft_packing(executor, "proxystore", connector="file", options=store)


@contextmanager
def _weft_by_redis(executor: str) -> Iterator[Make]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    FOLDER.mkdir(exist_ok=True)
    server = subprocess.Popen(
        ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", ""],
        cwd=FOLDER,
        stdout=subprocess.DEVNULL,
    )
    try:
        _await_server(server, port)
        options = {"hostname": "127.0.0.1", "port": port}
        with _weft_packing(executor, "proxystore", connector="redis", options=options) as make:
            yield make
    finally:
        server.kill()
        server.wait()


def _await_server(server: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            if server.poll() is not None:
                raise RuntimeError(f"redis-server ended with {server.returncode}") from None
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("redis-server does not answer")


@contextmanager
def _parsl(
    *, log: bool = True, processes: bool = False, monitoring: bool = False
) -> Iterator[Make]:
    parsl: Any = import_module("parsl")
    if processes:
        providers: Any = import_module("parsl.providers")
        executor = parsl.HighThroughputExecutor(
            label="htex",
            address="127.0.0.1",
            max_workers_per_node=WORKERS,
            cores_per_worker=0.5,
            provider=providers.LocalProvider(init_blocks=1, max_blocks=1),
        )
    else:
        executor = parsl.ThreadPoolExecutor(max_threads=WORKERS)
    hub: Any = None
    if monitoring:
        hub = import_module("parsl.monitoring").MonitoringHub(
            hub_address="127.0.0.1",
            logging_endpoint=f"sqlite:///{FOLDER.absolute()}/monitoring.db",
            # Else each task of an executor of processes begins and ends a process of its own.
            resource_monitoring_enabled=False,
        )
    config = parsl.Config(
        executors=[executor], run_dir=str(FOLDER), initialize_logging=log, monitoring=hub
    )
    with parsl.load(config):
        yield parsl.python_app


@contextmanager
def _pool(kind: type[futures.Executor]) -> Iterator[Make]:
    with kind(WORKERS) as pool:  # type: ignore[call-arg]
        yield lambda function: functools.partial(pool.submit, function)


@contextmanager
def _dask() -> Iterator[Make]:
    distributed: Any = import_module("distributed")
    with (
        distributed.LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield lambda function: functools.partial(client.submit, function, pure=False)


class _RayFuture:
    """A reference, with the one method that the cases call."""

    def __init__(self, ray: Any, reference: Any) -> None:
        self._ray, self._reference = ray, reference

    def result(self) -> Any:
        return self._ray.get(self._reference)


@contextmanager
def _ray() -> Iterator[Make]:
    ray: Any = import_module("ray")
    ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False)

    def make(function: Callable[..., Any]) -> Callable[..., Any]:
        remote = ray.remote(function)
        return lambda *args: _RayFuture(ray, remote.remote(*args))

    try:
        yield make
    finally:
        ray.shutdown()


@contextmanager
def _executorlib() -> Iterator[Make]:
    executorlib: Any = import_module("executorlib")
    with executorlib.SingleNodeExecutor(max_workers=WORKERS, block_allocation=True) as pool:
        yield lambda function: functools.partial(pool.submit, function)


def _without_log() -> Any:
    import weft

    return _weft(monitors=[weft.monitor("log", level="error")])


def _with_tables(executor: str) -> Any:
    import weft

    return _weft(executor, monitors=[weft.monitor("log"), weft.monitor("sql")])


def _with_debug_log() -> Any:
    import weft

    return _weft(monitors=[weft.monitor("log", level="debug")])


_WAYS: dict[str, Callable[[], Any]] = {
    "weft threads": _weft,
    "weft threads, log of errors alone": _without_log,
    "weft threads, log of every step": _with_debug_log,
    "weft threads, memory off": lambda: _weft(memoize=False),
    "weft threads, checkpoint": lambda: _weft(checkpoint=True),
    "weft threads, no event log": lambda: _weft(event_log=False),
    "weft threads, monitoring": lambda: _with_tables("threads"),
    "weft processes": lambda: _weft("processes"),
    "weft htex": lambda: _weft("htex"),
    "weft htex, monitoring": lambda: _with_tables("htex"),
    "weft htex, no event log": lambda: _weft("htex", event_log=False),
    "weft htex, pickle": lambda: _weft_packing("htex", "pickle"),
    "weft htex, cloudpickle": lambda: _weft_packing("htex", "cloudpickle"),
    "weft htex, dill": lambda: _weft_packing("htex", "dill"),
    "weft htex, proxystore": lambda: _weft_by_store("htex"),
    "weft htex, proxystore redis": lambda: _weft_by_redis("htex"),
    "weft htex, encrypted": lambda: _weft("htex", {"local_sockets": False}),
    "futures ThreadPoolExecutor": lambda: _pool(futures.ThreadPoolExecutor),
    "futures ProcessPoolExecutor": lambda: _pool(futures.ProcessPoolExecutor),
    "parsl threads": _parsl,
    "parsl threads, log off": lambda: _parsl(log=False),
    "parsl threads, log off, monitoring": lambda: _parsl(log=False, monitoring=True),
    "parsl htex": lambda: _parsl(processes=True),
    "parsl htex, log off": lambda: _parsl(processes=True, log=False),
    "parsl htex, log off, monitoring": lambda: _parsl(processes=True, log=False, monitoring=True),
    "dask LocalCluster": _dask,
    "ray": _ray,
    "executorlib": _executorlib,
}


def opened(contestant: str) -> Any:
    """Open a contestant; what it yields makes callables of functions."""
    return _WAYS[contestant]()


@contextmanager
def on_slurm(contestant: str, *, partition: str, blocks: int) -> Iterator[Make]:
    """Open a contestant with so many blocks of one node, all asked for at once."""
    opener = _weft_on_slurm if contestant.startswith("weft") else _parsl_on_slurm
    with opener(partition, blocks) as make:
        yield make


@contextmanager
def _weft_on_slurm(partition: str, blocks: int) -> Iterator[Make]:
    import weft

    executor = weft.executor(
        "htex",
        workers_per_node=1,
        init_blocks=blocks,
        min_blocks=blocks,
        max_blocks=blocks,
        provider=weft.provider("slurm", partition=partition, walltime="5", exclusive=False),
        launcher=weft.launcher("srun"),
    )
    with weft.load(weft.Config(run_dir=FOLDER, executors=[executor])):
        yield weft.python_app


@contextmanager
def _parsl_on_slurm(partition: str, blocks: int) -> Iterator[Make]:
    parsl: Any = import_module("parsl")
    providers: Any = import_module("parsl.providers")
    launchers: Any = import_module("parsl.launchers")
    executor = parsl.HighThroughputExecutor(
        label="htex",
        address="127.0.0.1",
        max_workers_per_node=1,
        provider=providers.SlurmProvider(
            partition=partition,
            walltime="00:05:00",
            exclusive=False,
            init_blocks=blocks,
            min_blocks=blocks,
            max_blocks=blocks,
            launcher=launchers.SrunLauncher(),
            # Its programs are looked for on PATH, where nodes find what is not activated.
            worker_init=f"export PATH={Path(sys.executable).parent}:$PATH",
        ),
    )
    with parsl.load(parsl.Config(executors=[executor], run_dir=str(FOLDER))):
        yield parsl.python_app
