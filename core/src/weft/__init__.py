"""weft: parallel scripting and workflows in Python, made of plugins around a small typed core.

    import weft
    from weft import python_app

    @python_app
    def double(x: int) -> int:
        return 2 * x

    with weft.load():
        print(sum(f.result() for f in [double(n) for n in range(10)]))

The public names are loaded when they are first touched: ``import weft`` itself loads nothing else.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "AppFuture": "weft.dataflow.futures",
    "Backoff": "weft.configuration.config",
    "Config": "weft.configuration.config",
    "DataFuture": "weft.dataflow.futures",
    "File": "weft.values.files",
    "Resources": "weft.values.task",
    "Session": "weft.session",
    "Shared": "weft.calls.sharing",
    "Site": "weft.values.files",
    "bash_app": "weft.apps",
    "current": "weft.session",
    "executor": "weft.configuration.registry",
    "id_for_memo": "weft.dataflow.memo_keys",
    "join_app": "weft.apps",
    "launcher": "weft.configuration.registry",
    "load": "weft.session",
    "monitor": "weft.configuration.registry",
    "provider": "weft.configuration.registry",
    "python_app": "weft.apps",
    "serializer": "weft.configuration.registry",
    "shared": "weft.calls.sharing",
    "stager": "weft.configuration.registry",
}

if TYPE_CHECKING:
    from weft import errors as errors
    from weft.apps import bash_app as bash_app
    from weft.apps import join_app as join_app
    from weft.apps import python_app as python_app
    from weft.calls.sharing import Shared as Shared
    from weft.calls.sharing import shared as shared
    from weft.configuration.config import Backoff as Backoff
    from weft.configuration.config import Config as Config
    from weft.configuration.registry import executor as executor
    from weft.configuration.registry import launcher as launcher
    from weft.configuration.registry import monitor as monitor
    from weft.configuration.registry import provider as provider
    from weft.configuration.registry import serializer as serializer
    from weft.configuration.registry import stager as stager
    from weft.dataflow.futures import AppFuture as AppFuture
    from weft.dataflow.futures import DataFuture as DataFuture
    from weft.dataflow.memo_keys import id_for_memo as id_for_memo
    from weft.session import Session as Session
    from weft.session import current as current
    from weft.session import load as load
    from weft.values.files import File as File
    from weft.values.files import Site as Site
    from weft.values.task import Resources as Resources

__all__ = sorted(["__version__", "as_completed", "errors", "wait", *_WHERE])  # noqa: PLE0605 - a list of strings


def __getattr__(name: str) -> "Any":
    import importlib

    if name in _WHERE:
        value = getattr(importlib.import_module(_WHERE[name]), name)
    elif name == "errors":
        value = importlib.import_module("weft.errors")
    elif name in ("as_completed", "wait"):
        # The standard library's: they work with the futures of apps, and the name saves an import.
        value = getattr(importlib.import_module("concurrent.futures"), name)
    else:
        raise AttributeError(f"module 'weft' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
