"""Where a database is, and on what kind of disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from weft_sql.places import kind_of_disk, located

_MOUNTS = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
31 22 0:27 / /home rw,relatime shared:15 - nfs4 server:/home rw,vers=4.2
32 31 0:28 / /home/local\040disk rw - xfs /dev/sdb rw
33 22 0:29 / /scratch rw - lustre mds@tcp:/fs rw
34 22 0:30 / /twice rw - tmpfs none rw
35 22 0:31 / /twice rw - beegfs beegfs_nodev rw
a line that is none
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/weft.db", "ext4"),
        ("/home/me/runs/weft.db", "nfs4"),
        ("/home", "nfs4"),
        ("/home/local disk/weft.db", "xfs"),
        ("/homeless/weft.db", "ext4"),
        ("/scratch/weft.db", "lustre"),
        ("/twice/weft.db", "beegfs"),
    ],
)
def test_the_longest_mount_point_says_the_kind(path: str, kind: str) -> None:
    assert kind_of_disk(path, _MOUNTS) == kind


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert kind_of_disk("/home", "") == ""


@pytest.mark.parametrize(
    ("database", "path"),
    [
        ("weft.db", "/runs/weft.db"),
        ("../all.db", "/all.db"),
        ("/var/weft.db", "/var/weft.db"),
        ("sqlite:///weft.db", "/runs/weft.db"),
        ("sqlite:////var/weft.db", "/var/weft.db"),
    ],
)
def test_a_path_counts_from_where_run_folders_are(database: str, path: str) -> None:
    assert located(database, Path("/runs")).path == Path(path)


def test_a_url_of_a_server_says_which_driver() -> None:
    place = located("postgresql://me@db.example.org/weft", Path("/runs"))
    assert (place.dialect, place.path) == ("postgresql", None)
    assert str(place) == "postgresql+psycopg://me@db.example.org/weft"
