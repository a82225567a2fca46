# Written by weft plugin typings; write it again when plugins come, go or change.
"""The components that are installed, by their names, with the types of their options."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import collections.abc
    import typing
    import weft.builtin.processes.settings
    import weft.builtin.serializers
    import weft.builtin.settings

    @typing.overload
    def executor(
        name: typing.Literal["processes", "weft:processes"],
        /,
        *,
        label: str = ...,
        max_workers: int = ...,
        isolation: typing.Literal["none", "clean"] = ...,
        tasks_per_worker: int | None = ...,
        environment: collections.abc.Mapping[str, str] = ...,
        start_timeout: float = ...,
        prefetch: float = ...,
    ) -> weft.builtin.processes.settings.Processes: ...
    @typing.overload
    def executor(
        name: typing.Literal["threads", "weft:threads"],
        /,
        *,
        label: str = ...,
        max_threads: int = ...,
    ) -> weft.builtin.settings.Threads: ...
    def executor(name: str, /, **options: typing.Any) -> typing.Any: ...
    def provider(
        name: typing.Literal["local", "weft:local"],
        /,
        *,
        grace: float = ...,
    ) -> weft.builtin.settings.Local: ...
    @typing.overload
    def launcher(
        name: typing.Literal["simple", "weft:simple"],
        /,
        *,
        spans_nodes: bool = ...,
    ) -> weft.builtin.settings.Simple: ...
    @typing.overload
    def launcher(
        name: typing.Literal["single-node", "weft:single-node"],
        /,
    ) -> weft.builtin.settings.SingleNode: ...
    @typing.overload
    def launcher(
        name: typing.Literal["wrapped", "weft:wrapped"],
        /,
        *,
        prepend: str,
    ) -> weft.builtin.settings.Wrapped: ...
    def launcher(name: str, /, **options: typing.Any) -> typing.Any: ...
    def stager(
        name: typing.Literal["file", "weft:file"],
        /,
        *,
        sync: bool = ...,
    ) -> weft.builtin.settings.Files: ...
    @typing.overload
    def serializer(
        name: typing.Literal["dill", "weft:dill"],
        /,
        *,
        recurse: bool = ...,
    ) -> weft.builtin.serializers.DillSettings: ...
    @typing.overload
    def serializer(
        name: typing.Literal["pickle", "weft:pickle"],
        /,
    ) -> weft.builtin.serializers.PickleSettings: ...
    def serializer(name: str, /, **options: typing.Any) -> typing.Any: ...
    def monitor(
        name: typing.Literal["log", "weft:log"],
        /,
        *,
        level: typing.Literal["debug", "info", "warning", "error"] = ...,
        json: bool = ...,
    ) -> weft.builtin.settings.Log: ...
else:
    from weft import executor, provider, launcher, stager, serializer, monitor

__all__ = ["executor", "provider", "launcher", "stager", "serializer", "monitor"]
