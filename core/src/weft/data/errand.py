"""What runs at a worker in place of an app's function when files are to be moved there.

    errand(plan, *args, **kwargs)
        bring    fetch what the plan names, look for what was brought before
        run      the app's function, whose files are where the plan says
        take     give outputs their place, or send them off
        ──▶ Done(value, facts of the outputs)

There is one errand for each app, which travels to a worker once as the app's function does; the
plan goes with each task. Stagers are made of their settings when the first file needs one, one for
each process, and closed at its end.
"""

from __future__ import annotations

import atexit
import os
import stat
import sys
from _thread import allocate_lock
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from weft.errors import StagingError
from weft.interfaces.stager import Stager, Transfer, Way
from weft.values.files import File
from weft.values.message import message

if TYPE_CHECKING:
    from weft.data.cache import Cache
    from weft.values.plugin import Kind
    from weft.values.settings import Settings

__all__ = [
    "Done",
    "Errand",
    "Facts",
    "Fetch",
    "Limits",
    "Look",
    "Make",
    "Maker",
    "Plan",
    "Send",
    "close_stagers",
    "do_transfer",
    "facts_of",
    "kept_inside",
    "link",
]


@message
class Facts:
    """What tells one state of a file from another on one machine.

    Attributes:
        size: bytes.
        changed: the time of its last change, in nanoseconds.
    """

    size: int
    changed: int


@message
class Maker:
    """How a stager is made where it is not yet: what its package and its settings are.

    Attributes:
        factory: ``module:callable``.
        settings: pickled; so that a package that is missing at the worker can be named there.
        package: the distribution to be installed.
        cache: the folder where files are kept that it has fetched; empty to keep none.
        cache_size: bytes that are kept there.
        run_id: of the run for which it moves.
    """

    factory: str
    settings: bytes
    package: str
    cache: str = ""
    cache_size: int = 0
    run_id: str = ""


@message
class Limits:
    """What one transfer at a worker may cost.

    Attributes:
        tries: how often it is made at most.
        pause: seconds before the second try, doubled before each further one.
        timeout: seconds that one try may take, or ``None``.
    """

    tries: int = 4
    pause: float = 0.5
    timeout: float | None = None


@message
class Fetch:
    """A file is brought from a URL."""

    transfer: Transfer
    maker: Maker


@message
class Look:
    """A file is there already; it is looked for, so that its absence has a reason.

    Attributes:
        url: the file as the user named it.
        path: where it is.
        facts: how it was, if that is known.
    """

    url: str
    path: str
    facts: Facts | None = None


@message
class Send:
    """An output is sent to a URL."""

    transfer: Transfer
    maker: Maker


@message
class Make:
    """A file that the task makes.

    Attributes:
        url: as the user named it.
        path: where the task writes it.
        final: what it is called at the site afterwards; empty if that is ``path``.
        send: how it goes where it is wanted, if that is done here.
        passes: whether nobody needs it at the site afterwards.
    """

    url: str
    path: str
    final: str = ""
    send: Send | None = None
    passes: bool = False


@message
class Plan:
    """What is to be moved for one task.

    Attributes:
        folders: those of the site and of its machines, from which nothing leads out.
        bring: what comes in, in order.
        take: what goes out, in order.
        limits: of each transfer.
        run: the name of the folder of the run, within that of runs.
    """

    folders: Sequence[str]
    bring: Sequence[Fetch | Look]
    take: Sequence[Make]
    limits: Limits
    run: str = ""


@message
class Done:
    """What an errand comes back with.

    Attributes:
        value: what the app's function returned.
        facts: of each file that it made, in the order of the plan.
    """

    value: Any
    facts: Sequence[Facts]


class Errand:
    """A function, and what is moved before and after it.

    Args:
        function: the app's function, or its body.
    """

    packs_once = True  # does not change between two calls, so it travels to each worker once

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, plan: Plan, *args: Any, **kwargs: Any) -> Done:
        """Bring, run, take.

        Raises:
            StagingError: a file could not be brought or taken.
            BaseException: what the function raised.
        """
        if plan.run:
            from weft.data.leavings import used

            used(plan.folders, plan.run)
        bring(plan)
        value = self.function(*args, **kwargs)
        return Done(value, [_taken(make, plan) for make in plan.take])


def bring(plan: Plan) -> None:
    """Bring what comes in, and make the folders of what goes out.

    Raises:
        StagingError: that could not be done.
    """
    for step in plan.bring:
        if isinstance(step, Fetch):
            do_transfer(step.transfer, step.maker, plan.limits)
        else:
            _look(step)
    for make in plan.take:
        try:
            folder = Path(make.path).parent
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # What a try before this one left is not this one's.
            _remove(Path(make.path))
        except OSError as error:
            raise _not_written(make.url, make.path, error) from error


def _look(step: Look) -> None:
    try:
        found = facts_of(step.path)
    except OSError as error:
        raise StagingError(
            step.url,
            Way.IN,
            f"It was brought to {step.path!r} on {_host()}, and is not there: {_said(error)}.",
            "Look whether something empties that folder, and whether all machines of the site see "
            "it.",
        ) from error
    if File(step.url).is_folder and not Path(step.path).is_dir():
        raise StagingError(
            step.url,
            Way.IN,
            f"{step.path!r} on {_host()} is no folder.",
            "Leave the slash out, if it is the file that is meant.",
        )
    if step.facts is not None and (found.size, found.changed) != (
        step.facts.size,
        step.facts.changed,
    ):
        raise StagingError(
            step.url,
            Way.IN,
            f"The copy of it at {step.path!r} on {_host()} was changed after it had been put "
            f"there: it has {found.size} bytes, and had {step.facts.size}.",
            "Let tasks write to their own outputs, not to files that others read.",
        )


def _taken(make: Make, plan: Plan) -> Facts:
    if not os.path.lexists(make.path):
        raise StagingError(
            make.url,
            Way.OUT,
            f"The task did not make {make.path!r}.",
            "Let it write to the path of the File in its outputs.",
        )
    if File(make.url).is_folder and not Path(make.path).is_dir():
        raise StagingError(
            make.url,
            Way.OUT,
            f"The task made {make.path!r}, which is no folder, and its name ends with a slash.",
            "Let the task make a folder and write into it, or leave the slash out.",
        )
    try:
        kept_inside(make.path, plan.folders, make.url, Way.OUT)
        if make.send is not None:
            do_transfer(make.send.transfer, make.send.maker, plan.limits)
        if make.final:
            kept_inside(make.final, plan.folders, make.url, Way.OUT)
            _placed(Path(make.path).resolve(), Path(make.final), keep=False)
        facts = facts_of(make.final or make.path)
        if make.passes:
            _remove(Path(make.path))
    except OSError as error:
        raise _not_written(make.url, make.final or make.path, error) from error
    return facts


# ------------------------------------------------------------------------------- files of this site


def facts_of(path: str) -> Facts:
    """How a file is now.

    Raises:
        OSError: it is not there, or is neither a file nor a folder.
    """
    found = Path(path).stat()
    if stat.S_ISDIR(found.st_mode):
        # Its size says nothing of what is in it.
        return Facts(0, 0)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(f"{path!r} is neither a file nor a folder")
    return Facts(found.st_size, found.st_mtime_ns)


def kept_inside(path: str, folders: Sequence[str], url: str, way: Way) -> None:
    """See that a path does not lead out of the folders of the site, by whatever links.

    Raises:
        StagingError: it does.
    """
    real = Path(path).resolve()
    if not any(Path(folder).resolve() in real.parents for folder in folders):
        raise StagingError(
            url,
            way,
            f"{path!r} leads to {str(real)!r}, outside of {folders[0]!r}, the folder of the site.",
            "Let the task write the file itself, not a link to another place.",
        )


def link(path: str, final: str) -> None:
    """Give a file another name as well, at which it is seen whole or not at all.

    By a link if the file system can, else by a copy.

    Raises:
        OSError: that could not be done.
    """
    _placed(Path(path).resolve(), Path(final), keep=True)


def _placed(source: Path, target: Path, *, keep: bool) -> None:
    import errno

    from weft.data.links import placed

    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if source.is_dir():
        _folder_placed(source, target, keep=keep)
        return
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "There is a folder of that name", os.fspath(target))
    if not keep:
        try:
            source.replace(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        else:
            return
    placed(os.fspath(source), os.fspath(target))


def _folder_placed(source: Path, target: Path, *, keep: bool) -> None:
    """The same for a folder, in which no link leads out of it; what was there is replaced."""
    import shutil
    import uuid

    from weft.data.trees import put, removed, settled

    settled(source)
    part = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        moved = False
        if not keep:
            # To another file system it must be copied.
            with suppress(OSError):
                source.rename(part)
                moved = True
        if not moved:
            shutil.copytree(source, part, symlinks=True)
        put(part, target)
    finally:
        removed(part)


def _remove(path: Path) -> None:
    from weft.data.trees import removed

    removed(path)
    if os.path.lexists(path):
        raise OSError(f"{str(path)!r} cannot be removed")


def _not_written(url: str, path: str, error: OSError) -> StagingError:
    return StagingError(
        url,
        Way.OUT,
        f"{path!r} could not be written on {_host()}: {_said(error)}.",
        "Look at the space and the permissions there, and at the folder of the Site in the "
        "configuration.",
    )


# ------------------------------------------------------------------------------ transfers from here


def do_transfer(transfer: Transfer, maker: Maker, limits: Limits) -> None:
    """Make a transfer by a stager of this process; again, if that may help.

    Raises:
        StagingError: it could not be made.
    """
    import time

    stager, here = _stager(maker, transfer)
    folder = transfer.placed.as_path().parent
    for attempt in range(1, limits.tries + 1):
        rest = limits.pause * 2 ** (attempt - 1)
        here.begin(transfer, limits.timeout)
        try:
            if transfer.way is Way.IN:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _move(stager, here, transfer, maker)
        except StagingError as error:
            if not error.again or attempt == limits.tries:
                raise _with_place(error, attempt) from error
            rest = max(rest, error.retry_after)
        except (ConnectionError, TimeoutError) as error:
            if attempt == limits.tries:
                raise _unexpected(transfer, error) from error
        except Exception as error:
            raise _unexpected(transfer, error) from error
        else:
            return
        finally:
            here.end(transfer)
        time.sleep(rest)


def _move(stager: Stager, here: _Here, transfer: Transfer, maker: Maker) -> None:
    """One try, by way of the cache where there is one."""
    keeps = bool(maker.cache) and transfer.way is Way.IN and not transfer.file.is_folder
    mark = stager.validator(transfer.file) if keeps else None
    cache = _cache(maker, here) if mark is not None else None
    if mark is None or cache is None:
        stager.move(transfer)
        return

    def fetch(path: Path) -> None:
        place = attrs.evolve(transfer.place, folder=path.parent)
        inner = attrs.evolve(transfer, place=place, placed=transfer.file.placed(path))
        with here.standing_for(inner, transfer):
            stager.move(inner)

    cache.get(
        transfer.file.url,
        mark,
        transfer.placed.filepath,
        fetch,
        waiting=lambda: here.progress(transfer, 0),
    )


def _cache(maker: Maker, here: _Here) -> Cache | None:
    """The cache of a folder; ``None`` if it cannot be used, which is said once."""
    from weft.data.cache import Cache

    with _lock:
        if maker.cache not in _caches:
            try:
                _caches[maker.cache] = Cache(
                    maker.cache, limit=maker.cache_size, notice=here.notice
                )
            except OSError as error:
                here.notice("warning", f"no files are kept in {maker.cache!r}: {_said(error)}.")
                _caches[maker.cache] = None
        return _caches[maker.cache]


def _with_place(error: StagingError, tries: int) -> StagingError:
    often = f" It was tried {tries} times." if tries > 1 else ""
    return StagingError(
        error.url,
        error.direction,
        f"On {_host()}: {error.reason.rstrip()}{often}",
        error.todo,
    )


def _unexpected(transfer: Transfer, error: Exception) -> StagingError:
    return StagingError(
        transfer.file.url, transfer.way, f"On {_host()}: {type(error).__name__}: {error}"
    )


class _Here:
    """What a stager gets that is made at a worker.

    It tells nobody of anything but what a transfer raises.
    """

    def __init__(self, package: str, run_id: str) -> None:
        self.run_id, self.program = run_id, "weft-worker"
        self._package, self._folder = package, ""
        self._until: dict[str, float] = {}

    @property
    def folder(self) -> Path:
        """A folder of this process, made when it is asked for, and removed at its end."""
        if not self._folder:
            import tempfile

            self._folder = tempfile.mkdtemp(prefix="weft-stager-")
        return Path(self._folder)

    def tell(self, event: object) -> None:
        """Nobody listens here."""

    def notice(self, level: str, text: str) -> None:
        """What the worker prints is kept with the block's output."""
        sys.stderr.write(f"weft: {self._package}: {level}: {text}\n")

    def part(self, kind: Kind, settings: Settings | None, default: str = "") -> object:
        """Stagers that are used at workers are made of nothing else."""
        raise LookupError(f"no {kind} can be had at a worker")

    def begin(self, transfer: Transfer, timeout: float | None) -> None:
        """A try begins."""
        import time

        if timeout is not None:
            self._until[_key(transfer)] = time.monotonic() + timeout

    def end(self, transfer: Transfer) -> None:
        """A try has ended."""
        self._until.pop(_key(transfer), None)

    @contextmanager
    def standing_for(self, inner: Transfer, transfer: Transfer) -> Iterator[None]:
        """While one transfer is made for another, it has that one's time."""
        until = self._until.get(_key(transfer))
        if until is not None:
            self._until[_key(inner)] = until
        try:
            yield
        finally:
            self._until.pop(_key(inner), None)

    def progress(self, transfer: Transfer, done: int, total: int | None = None) -> None:
        """Give a try up that has taken as long as it may."""
        import time

        until = self._until.get(_key(transfer))
        if until is not None and time.monotonic() > until:
            raise StagingError(
                transfer.file.url,
                transfer.way,
                f"It took longer than it may; {done} bytes were moved.",
                "Give it more time by Config(transfer_timeout=...), or look at the connection.",
                again=True,
            )

    def close(self) -> None:
        if self._folder:
            import shutil

            shutil.rmtree(self._folder, ignore_errors=True)


def _key(transfer: Transfer) -> str:
    return f"{transfer.way} {transfer.file.url} {transfer.placed.local_path}"


_stagers: Final[dict[tuple[str, bytes, str], tuple[Stager, _Here]]] = {}
_caches: Final[dict[str, Cache | None]] = {}
_lock = allocate_lock()


def _stager(maker: Maker, transfer: Transfer) -> tuple[Stager, _Here]:
    key = (maker.factory, maker.settings, maker.run_id)
    with _lock:
        known = _stagers.get(key)
        if known is None:
            if not _stagers:
                atexit.register(close_stagers)
            known = _stagers[key] = _made(maker, transfer)
        return known


def _made(maker: Maker, transfer: Transfer) -> tuple[Stager, _Here]:
    import pickle
    from importlib import import_module

    module, _, name = maker.factory.partition(":")
    try:
        factory = getattr(import_module(module), name)
        stager = factory(pickle.loads(maker.settings))
        here = _Here(maker.package, maker.run_id)
        stager.start(here)
    except ImportError as error:
        raise StagingError(
            transfer.file.url,
            transfer.way,
            f"The package {maker.package!r}, which moves {transfer.file.scheme!r} files, cannot be "
            f"imported on {_host()}: {error}.",
            f"Install {maker.package} where the workers run ({sys.executable}).",
        ) from error
    except StagingError:
        raise
    except Exception as error:
        raise StagingError(
            transfer.file.url,
            transfer.way,
            f"The stager of {maker.package!r} did not start on {_host()}: "
            f"{type(error).__name__}: {error}",
        ) from error
    return stager, here


def close_stagers() -> None:
    """Close the stagers of this process; they are made again when a file needs one."""
    with _lock:
        made = list(_stagers.values())
        _stagers.clear()
    for stager, here in made:
        try:
            stager.close()
        except Exception as error:  # noqa: BLE001 - a plugin's; the others are closed too
            here.notice("error", f"it failed while it closed: {type(error).__name__}: {error}")
        here.close()


def _host() -> str:
    return os.uname().nodename


def _said(error: OSError) -> str:
    return error.strerror or str(error)
