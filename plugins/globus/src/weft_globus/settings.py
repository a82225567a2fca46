"""The options of the stager ``globus``. Light."""

import os
import uuid
from pathlib import PurePosixPath
from typing import Any, ClassVar, Final, Literal

import attrs
from attrs.validators import ge, gt, in_, instance_of, le

from weft.values.settings import StagerSettings, setting

__all__ = ["CLIENT_ID", "CLIENT_SECRET", "Globus"]

CLIENT_ID: Final = "WEFT_GLOBUS_CLIENT_ID"
"""The environment variable with the id of the app that logs in."""

CLIENT_SECRET: Final = "WEFT_GLOBUS_CLIENT_SECRET"  # noqa: S105 - the name of the variable
"""The environment variable with its secret, for a service that logs in by itself."""


def _is_id(_instance: object, field: Any, value: str) -> None:
    if not value:
        return
    try:
        uuid.UUID(value)
    except ValueError:
        raise ValueError(
            f"{field.name} is {value!r}, and is to be an id such as "
            "'6c54cade-bde5-45c1-bdea-f4bd71dba2cc'"
        ) from None


def _is_absolute(_instance: object, field: Any, value: str) -> None:
    path = PurePosixPath(value)
    if not path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{field.name} is {value!r}, and is to be an absolute path without '..'")


def _home(given: str) -> str:
    return os.path.expanduser(given)  # noqa: PTH111 - text to text


@attrs.frozen(kw_only=True)
class Globus(StagerSettings):
    """Files of Globus collections, ``globus://COLLECTION/path``.

    Whom transfers are made for is found in the environment or in the tokens of ``weft globus
    login``, never here.
    """

    plugin: ClassVar[str] = "globus"
    client_id: str = setting(
        "",
        help="The app that acts for you, as registered at app.globus.org/settings/developers.",
        env=CLIENT_ID,
        validator=[instance_of(str), _is_id],
    )
    tokens: str = setting(
        "",
        help="The file with the tokens of 'weft globus login'; "
        "~/.globus/app/CLIENT_ID/weft/tokens.db when left out.",
        converter=_home,
    )
    local_collection: str = setting(
        "",
        help="The collection that has the files of this machine, such as that of Globus Connect "
        "Personal; needed where a site of the tasks has no collection of its own.",
        validator=[instance_of(str), _is_id],
    )
    local_path: str = setting(
        "/",
        help="A folder of this machine that the local collection has.",
        converter=_home,
        validator=_is_absolute,
    )
    collection_path: str = setting(
        "",
        help="The same folder as a path of the local collection; the same path when left out.",
        validator=lambda one, field, value: _is_absolute(one, field, value) if value else None,
    )
    join_window: float = setting(
        0.5,
        help="How long a file waits for others that go the same way, to be moved by the same task "
        "of the service.",
        unit="seconds",
        validator=[ge(0), le(60)],
    )
    join_files: int = setting(
        1000,
        help="The most files that one task of the service moves.",
        unit="files",
        validator=[instance_of(int), ge(1), le(100_000)],
    )
    poll_interval: float = setting(
        15.0,
        help="The longest time between two questions about a transfer; a new one is asked about "
        "sooner.",
        unit="seconds",
        validator=[gt(0), le(3600)],
    )
    request_timeout: float = setting(
        30.0,
        help="How long the service may take to answer one request.",
        unit="seconds",
        validator=gt(0),
    )
    patience: float = setting(
        60.0,
        help="How long a transfer may stand still for what does not pass by itself, such as a file "
        "that is not there or may not be read, before it is ended with the words of the service.",
        unit="seconds",
        validator=ge(0),
    )
    outage: float = setting(
        1800.0,
        help="How long a transfer may stand still for what may pass, such as a machine that does "
        "not answer or a collection that is paused; and how long the service may not answer.",
        unit="seconds",
        validator=ge(0),
    )
    deadline: float = setting(
        86_400.0,
        help="How long a transfer may take in all; the service ends it then.",
        unit="seconds",
        validator=gt(0),
    )
    verify_checksum: bool = setting(
        True,
        help="Whether both sides compute a checksum of each file, and the file is sent again where "
        "they differ.",
        validator=instance_of(bool),
    )
    sync_level: Literal["", "exists", "size", "mtime", "checksum"] = setting(
        "checksum",
        help="With rename=False: when a file that is there already need not be sent, by what it is "
        "compared; nothing is compared when it is empty.",
        validator=in_(("", "exists", "size", "mtime", "checksum")),
    )
    rename: bool = setting(
        True,
        help="Whether a file is sent under another name and then renamed, so that it is never seen "
        "half-written; False where a collection cannot rename.",
        validator=instance_of(bool),
    )
    encrypt_data: bool = setting(
        False,
        help="Whether the bytes are encrypted on their way where the collections do not ask for it "
        "themselves.",
        validator=instance_of(bool),
    )
    preserve_timestamp: bool = setting(
        False,
        help="Whether a file keeps the time of its last change.",
        validator=instance_of(bool),
    )
    resume: bool = setting(
        True,
        help="Whether a run goes on with transfers that a killed one has left, instead of starting "
        "them again.",
        validator=instance_of(bool),
    )
    label: str = setting(
        "weft",
        help="What transfers are called in the lists of Globus.",
        validator=[instance_of(str), attrs.validators.matches_re(r"[A-Za-z0-9 ,_-]{1,100}")],
    )

    @property
    def app(self) -> str:
        """The id of the app, from here or from the environment; empty if neither says one."""
        return self.client_id or os.environ.get(CLIENT_ID, "").strip()
