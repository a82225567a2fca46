"""The declarations of all that core brings itself, found by entry points like everyone's.

Imports only ``weft.values``: listing the plugins of an installation loads none of them.
"""

from typing import Final

from weft.values.plugin import Component, Kind, Requires, Support

__all__ = [
    "cloudpickle",
    "dill",
    "file",
    "local",
    "log",
    "pickle",
    "processes",
    "simple",
    "single_node",
    "threads",
    "wrapped",
]

_POSIX: Final = ("linux", "darwin")
_NO_RESOURCES: Final = {
    "resources.cores": Support.UNSUPPORTED,
    "resources.memory": Support.UNSUPPORTED,
    "resources.accelerators": Support.UNSUPPORTED,
    "elastic": Support.UNSUPPORTED,
}

threads = Component(
    kind=Kind.EXECUTOR,
    name="threads",
    interface="1.1",
    settings="weft.builtin.settings:Threads",
    factory="weft.builtin.threads:build",
    summary="Runs tasks on threads of this process: no start-up, nothing is pickled.",
    capabilities={
        # Only the command of a bash app can be stopped; Python code on a thread cannot.
        "cancel.running": Support.PARTIAL,
        "walltime": Support.PARTIAL,
        "walltime.compiled": Support.UNSUPPORTED,
        "isolation.process": Support.UNSUPPORTED,
        "remote": Support.UNSUPPORTED,
        "priority": Support.FULL,
        "logs": Support.FULL,
        # What one thread uses, the system counts for its process.
        "samples": Support.UNSUPPORTED,
        **_NO_RESOURCES,
    },
)

processes = Component(
    kind=Kind.EXECUTOR,
    name="processes",
    interface="1.1",
    settings="weft.builtin.processes.settings:Processes",
    factory="weft.builtin.processes.executor:build",
    summary="Runs tasks in processes of their own on this machine, one at a time in each.",
    capabilities={
        "cancel.running": Support.FULL,
        "walltime": Support.FULL,
        "walltime.compiled": Support.FULL,
        "isolation.process": Support.FULL,
        "remote": Support.FULL,
        "priority": Support.FULL,
        "logs": Support.FULL,
        "samples": Support.FULL,
        **_NO_RESOURCES,
    },
    requires=Requires(platforms=_POSIX),
)

local = Component(
    kind=Kind.PROVIDER,
    name="local",
    settings="weft.builtin.settings:Local",
    factory="weft.builtin.local_provider:build",
    summary="Gives this machine: runs each job as a group of processes that ends with the client.",
    capabilities={
        "cancel": Support.FULL,
        "nodes": Support.UNSUPPORTED,
        "exit-code": Support.FULL,
    },
    requires=Requires(commands=("sh",), platforms=_POSIX),
    pairs_with={"launcher": ("*",)},
)

simple = Component(
    kind=Kind.LAUNCHER,
    name="simple",
    settings="weft.builtin.settings:Simple",
    factory="weft.builtin.launchers:build_simple",
    summary="Runs the command once, as it is, on the first machine of the job.",
    pairs_with={"provider": ("*",)},
)

single_node = Component(
    kind=Kind.LAUNCHER,
    name="single-node",
    settings="weft.builtin.settings:SingleNode",
    factory="weft.builtin.launchers:build_single_node",
    summary="Runs copies of the command on the one machine of the job, and waits for all of them.",
    pairs_with={"provider": ("*",)},
)

wrapped = Component(
    kind=Kind.LAUNCHER,
    name="wrapped",
    settings="weft.builtin.settings:Wrapped",
    factory="weft.builtin.launchers:build_wrapped",
    summary="Runs the command through another one, such as that of a container.",
    pairs_with={"provider": ("*",)},
)

file = Component(
    kind=Kind.STAGER,
    name="file",
    settings="weft.builtin.settings:Files",
    factory="weft.builtin.file_stager:build",
    summary="Uses local files where they are, or copies them to where tasks run.",
    interface="1.2",
    capabilities={
        "in": Support.FULL,
        "out": Support.FULL,
        "anywhere": Support.UNSUPPORTED,
        "third-party": Support.UNSUPPORTED,
        "batch": Support.UNSUPPORTED,
        "validator": Support.FULL,
        "progress": Support.NOT_IMPLEMENTED,
        "resume": Support.NOT_IMPLEMENTED,
        "folders": Support.FULL,
    },
    schemes=("file",),
)

pickle = Component(
    kind=Kind.SERIALIZER,
    name="pickle",
    interface="1.1",
    settings="weft.builtin.serializers:PickleSettings",
    factory="weft.builtin.serializers:build_pickle",
    summary="The standard library's pickle: quick, and knows what can be imported by name.",
    capabilities={
        "functions.by-value": Support.UNSUPPORTED,
        "buffers": Support.FULL,
        "data-only": Support.UNSUPPORTED,
    },
)

cloudpickle = Component(
    kind=Kind.SERIALIZER,
    name="cloudpickle",
    interface="1.1",
    settings="weft.builtin.serializers:CloudpickleSettings",
    factory="weft.builtin.serializers:build_cloudpickle",
    summary="cloudpickle: also packs closures, lambdas and what the main script defines.",
    capabilities={
        "functions.by-value": Support.FULL,
        "buffers": Support.FULL,
        "data-only": Support.UNSUPPORTED,
    },
    requires=Requires(modules=("cloudpickle",), hint="Run 'pip install cloudpickle'."),
)

dill = Component(
    kind=Kind.SERIALIZER,
    name="dill",
    interface="1.1",
    settings="weft.builtin.serializers:DillSettings",
    factory="weft.builtin.serializers:build_dill",
    summary="dill: also packs closures, lambdas and what the main script defines.",
    capabilities={
        "functions.by-value": Support.FULL,
        "buffers": Support.PARTIAL,
        "data-only": Support.UNSUPPORTED,
    },
    requires=Requires(modules=("dill",), hint="Run 'pip install dill'."),
)

log = Component(
    kind=Kind.MONITOR,
    name="log",
    interface="1.1",
    settings="weft.builtin.settings:Log",
    factory="weft.builtin.log_monitor:build",
    summary="Writes weft.log: what started, ended, failed or was tried again, for people.",
)
