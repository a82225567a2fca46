"""Where a database is: a file of SQLite or a server, and what kind of disk a file is on. Pure."""

import os
from pathlib import Path
from typing import Final

import attrs

__all__ = ["Place", "kind_of_disk", "located", "shared_disk"]

_SHARED: Final = frozenset(
    {
        "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.mfs",
        "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "fuseblk.nfs", "gfs2", "glusterfs", "gpfs",
        "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb3", "smbfs",
        "virtiofs", "wekafs",
    }
)  # fmt: skip


@attrs.frozen
class Place:
    """Where a database is.

    Attributes:
        dialect: ``sqlite`` or ``postgresql``.
        path: the file, for SQLite.
        url: the address, else.
    """

    dialect: str
    path: Path | None = None
    url: str = ""

    def __str__(self) -> str:
        return str(self.path) if self.path is not None else self.url


def located(database: str, folder: Path) -> Place:
    """The place that an option names.

    Args:
        database: a path, or a URL.
        folder: from where a relative path counts.
    """
    scheme, found, rest = database.partition("://")
    if found and scheme.partition("+")[0] == "postgresql":
        return Place("postgresql", url=f"postgresql+psycopg://{rest}")
    # As SQLAlchemy has it: sqlite:///relative, sqlite:////absolute.
    path = rest.removeprefix("/") if found else database
    return Place("sqlite", path=Path(os.path.normpath(folder / Path(path).expanduser())))


def kind_of_disk(path: str, mountinfo: str) -> str:
    """The file system that a path is on, such as ``ext4``; empty if that is not said.

    Args:
        path: absolute, and without links.
        mountinfo: the text of ``/proc/self/mountinfo``, whose format proc_pid_mountinfo(5) gives.
    """
    best, kind = "", ""
    for line in mountinfo.splitlines():
        mounted, found, what = line.partition(" - ")
        words = mounted.split(" ")
        if not found or len(words) < 5:
            continue
        point = (
            words[4].encode().decode("unicode_escape").encode("latin-1").decode(errors="replace")
        )
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        # Of two at one point, the later one hides the earlier.
        if inside and len(point) >= len(best):
            best, kind = point, what.split(" ")[0]
    return kind


def shared_disk(path: Path) -> str:
    """The network file system that a path is on; empty if it is on none that is known."""
    try:
        mountinfo = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        return ""
    kind = kind_of_disk(os.path.realpath(path), mountinfo)
    return kind if kind in _SHARED else ""
