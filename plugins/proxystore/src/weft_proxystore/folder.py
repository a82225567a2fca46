"""ProxyStore's connector for a folder, with names that are given and nothing half-written."""

from __future__ import annotations

import uuid
from pathlib import Path

from proxystore.connectors.file import FileConnector, FileKey
from proxystore.serialize import BytesLike

__all__ = ["RunsFolder"]


class RunsFolder(FileConnector):
    """Objects of a run in a folder.

    An object that takes the place of another is seen as the one or the other, and one that could
    not be written leaves nothing.
    """

    here = ""

    def key_for(self, name: str, at: str = "") -> FileKey:
        """The key of an object with a name."""
        return FileKey(filename=name)

    def set(self, key: FileKey, obj: BytesLike) -> None:
        """Write an object under a name of its own, and give it its name."""
        target = Path(self.store_dir, key.filename)
        part = target.with_name(f".{uuid.uuid4().hex}.part")
        try:
            part.write_bytes(obj)
            part.replace(target)
            target.with_name(f"{target.name}.ready").touch()
        finally:
            part.unlink(missing_ok=True)
