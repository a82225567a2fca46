"""What to do about an object that cannot be packed, by what it is.

Types are known by their names, so nothing is imported to recognize them; a subclass counts as what
it inherits from. Of an object that is known here the search for the culprit looks at no part: that
an event holds a condition which holds a lock helps nobody.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["advice_for", "last_advice_for"]

_LOCK = (
    "A lock holds within one process only. Leave it out of what is sent, by __getstate__ of the "
    "class that has it, and make one where the task needs it."
)
_FILE = (
    "An open file belongs to the process that opened it. Send its path, or a weft.File where there "
    "is no shared file system, and open it there."
)
_SOCKET = "A connection belongs to the process that made it. Send the address, and connect there."
_DATABASE = (
    "A connection to a database belongs to the process that made it. Send what it takes to "
    "connect, and connect there."
)
_ITERATOR = "It gives its items one after the other, here. Send a list of them: list(...)."
_COROUTINE = "Send the async function itself and its arguments: an app may be an async function."
_FUTURE = (
    "weft waits for futures that are arguments, or in lists, tuples, sets and dicts of arguments, "
    "and passes their results. Take it out of the object that holds it and pass it so."
)
_QUEUE = "A queue of threads lives in one process. Send its items, or return them from tasks."
_THREAD = "A thread or a process cannot be sent. Start it in the task."
_SESSION = "A session stays where it was opened. Send values, and call apps here or in a join app."
_REFERENCE = "A weak reference means something in this process only. Send the object itself."
_FRAME = "Tracebacks and frames stay here. Send the text: traceback.format_exception(error)."
_VIEW = "Send bytes(...) of it, or the array that it shows."
_POINTER = "An address means something in this process only. Send the data that it points to."
_HDF = "Send the path of the file and the name of the data set, and open it in the task."
_FUNCTION = (
    "This serializer packs functions by their names alone. Define it in a module that workers can "
    "import, or choose a serializer that packs functions with their code, such as 'cloudpickle'."
)
_MODULE = "Import it in the function that uses it."

_KNOWN = {
    "_thread.lock": _LOCK,
    "_thread.RLock": _LOCK,
    "threading.Condition": _LOCK,
    "threading.Event": _LOCK,
    "threading.Semaphore": _LOCK,
    "threading.Barrier": _LOCK,
    "multiprocessing.synchronize.SemLock": _LOCK,
    "threading.Thread": _THREAD,
    "subprocess.Popen": _THREAD,
    "multiprocessing.process.BaseProcess": _THREAD,
    "concurrent.futures._base.Executor": _THREAD,
    "_thread._local": "Values of one thread stay there. Send the values themselves.",
    "_io._IOBase": _FILE,
    "tempfile._TemporaryFileWrapper": _FILE,
    "_socket.socket": _SOCKET,
    "ssl.SSLContext": _SOCKET,
    "_ssl._SSLContext": _SOCKET,
    "sqlite3.Connection": _DATABASE,
    "sqlite3.Cursor": _DATABASE,
    "psycopg2.extensions.connection": _DATABASE,
    "psycopg.Connection": _DATABASE,
    "sqlalchemy.engine.base.Engine": _DATABASE,
    "sqlalchemy.engine.base.Connection": _DATABASE,
    "sqlalchemy.orm.session.Session": _DATABASE,
    "builtins.generator": _ITERATOR,
    "builtins.coroutine": _COROUTINE,
    "builtins.async_generator": _COROUTINE,
    "concurrent.futures._base.Future": _FUTURE,
    "asyncio.futures.Future": _FUTURE,
    "_asyncio.Future": _FUTURE,
    "_asyncio.Task": _FUTURE,
    "queue.Queue": _QUEUE,
    "_queue.SimpleQueue": _QUEUE,
    "weft.session.Session": _SESSION,
    "weakref.ReferenceType": _REFERENCE,
    "builtins.weakref": _REFERENCE,
    "builtins.frame": _FRAME,
    "builtins.traceback": _FRAME,
    "builtins.memoryview": _VIEW,
    "_ctypes._Pointer": _POINTER,
    "_ctypes.CFuncPtr": _POINTER,
    "h5py._hl.base.HLObject": _HDF,
    "netCDF4._netCDF4.Dataset": _HDF,
    "builtins.module": _MODULE,
}


def advice_for(thing: Any) -> str:
    """What to do in place of packing it; empty where nothing is known."""
    cls = type(thing)
    for base in cls.__mro__:
        known = _KNOWN.get(f"{base.__module__}.{base.__qualname__}")
        if known is not None:
            return known
    return ""


def last_advice_for(thing: Any) -> str:
    """The same of what may have parts worth looking at, such as what a function uses."""
    return _FUNCTION if type(thing).__name__ in {"function", "method"} else ""
