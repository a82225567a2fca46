"""A working folder for one try of a task: its inputs are there, and its outputs are taken away.

    <base>/<name>.lock   locked while the try runs
    <base>/<name>/       the working folder: made, entered, left, removed

The task runs in the folder, so a file that it writes by a name alone is nobody else's. Inputs are
links to where they are, or copies; outputs are moved to where they were asked for, once the task
has ended well. A folder whose lock is free was left by a process that was killed; the next process
that uses the base removes it. A folder that is kept has no lock.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Self

from weft import bodies
from weft.data.layout import laid_out, put_in
from weft.data.links import copied, unlinked
from weft.data.locks import NO_LOCK, locked
from weft.data.trees import put, removed, settled
from weft.errors import MissingOutputs, StagingError
from weft.interfaces.stager import Way
from weft.values.files import File
from weft.values.message import message

__all__ = ["Sandbox", "SandboxPlan", "Sandboxed", "sweep"]

_SHOWN: Final = 10
_swept: Final[set[Path]] = set()
"""Where this process has looked for what those before it left."""


@message
class SandboxPlan:
    """The working folder that a task is to have.

    Attributes:
        base: the folder in which it is made.
        name: what it is called there.
        keep: whether it stays when the task fails.
        inputs: how inputs come into it.
    """

    base: str
    name: str
    keep: bool = False
    inputs: Literal["link", "copy"] = "link"


class Sandbox:
    """A working folder, from ``with`` to its end.

    The current folder of the process is changed, so it must run nothing else meanwhile.

    Args:
        base: the folder in which it is made; it is made too, for its owner alone.
        name: what it is called there; another one is chosen if that is taken.
        keep: whether it stays when the block ends by an exception.

    Attributes:
        folder: it, once it is there.

    Raises:
        OSError: on entering: it cannot be made.
    """

    def __init__(self, base: str | os.PathLike[str], name: str, *, keep: bool = False) -> None:
        self._base, self._name, self._keep = Path(base), name, keep
        self._before, self._lock = Path(), NO_LOCK
        self.folder = self._base / name

    def __enter__(self) -> Self:
        self._base.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._base not in _swept:
            sweep(self._base)
            _swept.add(self._base)
        self._before = Path.cwd()
        while True:
            try:
                self._lock = locked(f"{self.folder}.lock")
                self.folder.mkdir(mode=0o700)
                break
            except (BlockingIOError, FileExistsError):  # another try has it, or it was kept
                if self._lock != NO_LOCK:
                    unlinked(f"{self.folder}.lock")
                self._close()
                self.folder = self._base / f"{self._name}-{uuid.uuid4().hex[:8]}"
        os.chdir(self.folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        os.chdir(self._before)
        if error is not None and self._keep:
            error.add_note(f"Its working folder is kept: {self.folder}")
            unlinked(f"{self.folder}.lock")
        else:
            removed(self.folder)
            # What a process that the task left behind still writes, goes with the next sweep.
            if not self.folder.exists():
                unlinked(f"{self.folder}.lock")
        self._close()

    def _close(self) -> None:
        if self._lock != NO_LOCK:
            os.close(self._lock)
            self._lock = NO_LOCK

    # ----------------------------------------------------------------------------------- its files

    def bring(self, file: File, name: str, how: Literal["link", "copy"]) -> File:
        """Put an input into the folder.

        Raises:
            OSError: that could not be done.
        """
        source, target = self._before / file.filepath, self.path_of(name)
        if how == "link":
            target.symlink_to(source)
        elif source.is_dir():
            shutil.copytree(source, target)
        else:
            copied(str(source.resolve()), str(target))
            target.chmod(target.stat().st_mode | 0o200)  # it is the task's own
        return file.placed(target)

    def path_of(self, name: str) -> Path:
        """The path of a file in the folder, whose own folder is made."""
        path = self.folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def take(self, file: File, name: str, app: str) -> None:
        """Move an output to where it was asked for.

        Raises:
            MissingOutputs: the task did not make it.
            StagingError: it leads out of the folder, or could not be moved.
        """
        path, target = self.path_of(name), self._before / file.filepath
        if not os.path.lexists(path):
            raise MissingOutputs(app, [name], str(self.folder), self.listed())
        real = path.resolve()
        if self.folder.resolve() not in real.parents:
            raise StagingError(
                file.url,
                Way.OUT,
                f"The task made {name!r} as a link to {str(real)!r}, which is outside of its "
                "working folder.",
                "Let it write the file itself; an input need not be an output as well.",
            )
        if real.is_dir():
            _check_links(file, real)
        elif file.is_folder:
            raise StagingError(
                file.url,
                Way.OUT,
                f"The task made {name!r}, which is no folder, and its name ends with a slash.",
                "Let it make a folder and write into it, or leave the slash out.",
            )
        elif not real.is_file():
            raise StagingError(
                file.url,
                Way.OUT,
                f"The task made {name!r}, which is neither a file nor a folder.",
                "Let it write a file.",
            )
        try:
            _move(real, target)
        except OSError as error:
            raise StagingError(
                file.url,
                Way.OUT,
                f"{str(target)!r} could not be written: {error.strerror or error}.",
                "Look at the space and the permissions there.",
            ) from error

    def listed(self) -> Sequence[str]:
        """Some of the names that are in the folder."""
        return sorted(path.name for path in self.folder.iterdir())[:_SHOWN]


class Sandboxed:
    """A function that runs in a working folder of its own each time.

    Args:
        function: the app's function, or its body.
    """

    packs_once = True  # does not change between two calls, so it travels to each worker once

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    @property
    def times_out_itself(self) -> bool:
        """What the function says of itself."""
        return bool(getattr(self.function, "times_out_itself", False))

    def __call__(self, plan: SandboxPlan, *args: Any, **kwargs: Any) -> Any:
        """What the function returns.

        Raises:
            StagingError: there can be no working folder, or a file cannot come in or out.
            MissingOutputs: an output was not made.
            BaseException: what the function raised.
        """
        if not bodies.owns_process():
            raise StagingError(
                plan.base,
                Way.IN,
                "A task with a working folder of its own needs a process that runs nothing else "
                "meanwhile, and this one runs several tasks.",
                "Use processes or htex, or set sandbox='off' for this executor.",
            )
        outputs = [one for one in kwargs.get("outputs") or () if isinstance(one, File)]
        inputs: list[File] = []

        def note(file: File) -> File:
            inputs.append(file)
            return file

        put_in((args, {**kwargs, "outputs": None}), note)
        inputs = [file for file in inputs if file not in outputs and _is_here(file)]
        outputs = [file for file in outputs if _is_here(file)]
        kwargs = _streams_here(kwargs)
        try:
            sandbox = Sandbox(plan.base, plan.name, keep=plan.keep).__enter__()
        except OSError as error:
            raise _no_folder(plan.base, error) from error
        with contextlib.ExitStack() as end:
            end.push(sandbox)
            names = laid_out(outputs, inputs)
            placed = {file: file.placed(sandbox.path_of(names[file])) for file in outputs}
            for file in inputs:
                if file not in placed:
                    placed[file] = _brought(sandbox, file, names[file], plan.inputs)
            args, kwargs = put_in((args, kwargs), lambda file: placed.get(file, file))
            try:
                value = self.function(*args, **kwargs)
            except MissingOutputs as error:
                raise self._missing(error, sandbox) from None
            for file in outputs:
                sandbox.take(file, names[file], getattr(self.function, "app", "app"))
            return value

    def _missing(self, error: MissingOutputs, sandbox: Sandbox) -> MissingOutputs:
        names = [path.removeprefix(f"{sandbox.folder}/") for path in error.missing]
        return MissingOutputs(error.app, names, str(sandbox.folder), sandbox.listed())


def sweep(base: Path) -> int:
    """Remove the working folders of processes that were killed; returns how many."""
    count = 0
    for lock_file in base.glob("*.lock"):
        try:
            lock = locked(str(lock_file), make=False)
        except OSError:  # it runs, or is gone by now
            continue
        if lock == NO_LOCK:
            return count  # nobody knows who runs here
        folder = lock_file.with_suffix("")
        count += folder.is_dir()
        removed(folder)
        unlinked(str(lock_file))
        os.close(lock)
    return count


def _is_here(file: File) -> bool:
    return file.local_path is not None or file.scheme == "file"


def _streams_here(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords, with paths of output that do not begin in the working folder."""
    found = dict(kwargs)
    for name in ("stdout", "stderr"):
        where = found.get(name)
        if isinstance(where, (str, os.PathLike)) and not isinstance(where, File):
            found[name] = str(Path(where).absolute())
        elif isinstance(where, tuple) and where:
            found[name] = (str(Path(where[0]).absolute()), *where[1:])
    return found


def _brought(sandbox: Sandbox, file: File, name: str, how: Literal["link", "copy"]) -> File:
    try:
        return sandbox.bring(file, name, how)
    except OSError as error:
        raise StagingError(
            file.url,
            Way.IN,
            f"It could not be put into the working folder {str(sandbox.folder)!r}: "
            f"{error.strerror or error}.",
            "Look at the space and the permissions there.",
        ) from error


def _no_folder(base: str, error: OSError) -> StagingError:
    return StagingError(
        base,
        Way.IN,
        f"No working folder can be made in it: {error.strerror or error}.",
        "Look at the space and the permissions there, or set sandbox='off' for this executor.",
    )


def _check_links(file: File, folder: Path) -> None:
    """See that nothing in a folder leads out of it."""
    try:
        settled(folder)
    except OSError as error:
        name = os.path.relpath(error.filename or folder, folder)
        raise StagingError(
            file.url,
            Way.OUT,
            f"In that folder, {name!r}: {error.strerror or error}.",
            "Let the task write the files themselves.",
        ) from error


def _move(source: Path, target: Path) -> None:
    """Move a file or a folder, which is seen at its place only when it is whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        try:
            source.rename(part)
        except OSError:  # to another file system
            if source.is_dir():
                shutil.copytree(source, part, symlinks=True)
            else:
                copied(str(source), str(part))
        if part.is_dir():
            put(part, target)
        else:
            part.replace(target)
    finally:
        removed(part)
