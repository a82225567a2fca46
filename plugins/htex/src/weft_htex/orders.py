"""What an interchange and a manager are told when they start: the client writes it, they read it.

Light, since all three load it; what the fields mean to people stands with the settings.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final, Literal

from weft.values.message import as_mapping, changed, message

__all__ = ["KEYS", "ORDERS", "WATCH", "Orders", "Parameters"]

ORDERS: Final = "WEFT_HTEX_ORDERS"
"""The variable that names the file with a manager's orders."""
KEYS: Final = "WEFT_HTEX_KEYS"
"""The variable that names the file with its block's keys; without it, the orders name it."""
WATCH: Final = "watch"
"""The key in ``Orders.extra`` of what is to be told of tasks: the word of a ``Watch``."""


@message(eq=True)
class Parameters:
    """What an interchange is told when it starts. No secret is among it.

    Attributes:
        folder: a private folder, for its log.
        label: the executor's, for people.
        addresses: under which managers are to seek it; its machine's own when empty.
        local: whether managers run on this machine alone.
        ports: the first and the last of a range to listen at; any free one when ``None``.
        encrypted: whether all is encrypted and nobody unknown may connect.
        door: whether managers of this machine may come in through its folder.
        heartbeat: seconds between signs of life.
        lost_after: seconds of silence after which a manager is lost.
        selector: ``spread`` or ``pack``; see :class:`~weft_htex.matching.Matching`.
        prefetch: tasks ahead of each worker, or ``None`` to learn it.
        max_message: bytes of one message that may wait for its end.
        weft: the client's version of weft; that of the interchange's own when empty.
    """

    folder: str
    label: str = "htex"
    addresses: tuple[str, ...] = ()
    local: bool = False
    ports: tuple[int, int] | None = None
    encrypted: bool = True
    door: bool = False
    heartbeat: float = 5.0
    lost_after: float = 30.0
    selector: Literal["spread", "pack"] = "spread"
    prefetch: int | None = None
    max_message: int = 1 << 30
    weft: str = ""

    def to_json(self) -> str:
        """What a process is told first."""
        return json.dumps(as_mapping(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Parameters:
        """What :meth:`to_json` was made of.

        Raises:
            ValueError: it is something else.
        """
        try:
            said = json.loads(text)
            ports = said["ports"]
            said["addresses"] = tuple(said["addresses"])
            said["ports"] = ports if ports is None else (ports[0], ports[1])
            return cls(**said)
        except (TypeError, KeyError, IndexError) as trouble:
            raise ValueError(f"these are no parameters: {trouble}") from trouble


# Never changed.
_NOTHING: Final[dict[str, Any]] = {}


@message
class Orders:
    """All that a manager must be told; see the settings for what most of it means.

    Attributes:
        keys: the file with the block's keys, and where the interchange may be found.
        folder: where logs go.
        packages: whose versions are told, besides those that always are.
        path: where modules are looked for, besides the places of the node's own Python.
        extra: what a manager of another package must be told; and what came later, which managers
            of earlier versions pass over.
    """

    label: str
    keys: str
    folder: str
    path: list[str]
    packages: list[str]
    heartbeat: float
    lost_after: float
    max_message: int
    walltime: float
    workers: int | None
    cores_per_worker: float
    memory_per_worker: int | None
    accelerators: int | list[str] | None
    accelerators_per_worker: float
    accelerator_variables: list[str]
    cpu_affinity: str
    isolation: str
    tasks_per_worker: int | None
    environment: dict[str, str]
    start_timeout: float
    prefetch: float
    output_kept: int
    extra: dict[str, Any] = _NOTHING

    def write(self, path: Path) -> None:
        """Write the orders into a new file that only its owner can read."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(path, flags, 0o600), "w") as file:
            json.dump(as_mapping(self), file)

    @classmethod
    def read(cls, path: Path) -> Orders:
        """The orders in a file.

        Raises:
            ValueError: it holds something else.
            OSError: it cannot be read.
        """
        with path.open() as file:
            found = os.fstat(file.fileno())
            if found.st_uid != os.getuid() or found.st_mode & 0o022:
                raise PermissionError(f"others may write to {path}")
            try:
                return cls(**json.load(file))
            except TypeError as trouble:
                raise ValueError(f"{path} does not hold orders: {trouble}") from trouble

    def where_found(self, path: Path) -> Orders:
        """These orders on a machine that may not see the client's file system.

        Where there is no such folder, they were brought here, and logs go beside them.
        """
        if Path(self.folder).is_dir():
            return self
        return changed(self, folder=str(path.absolute().parent))
