"""Pure: what the service says, and what it means for who waits.

Its documents are those of the Transfer API: tasks, their events, and errors of requests.
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

__all__ = [
    "FRESH",
    "Facts",
    "Fault",
    "Refusal",
    "TaskView",
    "consent_of",
    "hopeless",
    "login",
    "refusal",
    "task_refusal",
    "the_guilty",
]

FRESH: Final = 5.0
"""Seconds for which a file may change again unseen: the service tells whole ones, by its clock."""

_LONGEST: Final = 400
_DATA_ACCESS: Final = re.compile(r"scopes/([0-9a-fA-F-]{36})/data_access")

# Parts of codes of faults that stay until somebody does something, and what that is.
_HOPELESS: Final = {
    "NOT_FOUND": "Mend the path; 'ls' of it is in the web app of Globus, under File Manager.",
    "PERMISSION": "Ask the owner of the collection for the right, or use another path.",
    "DENIED": "Ask the owner of the collection for the right, or use another path.",
    "QUOTA": "Make room there, or ask for a higher quota.",
    "NO_SPACE": "Make room there.",
    "DISK_FULL": "Make room there.",
    "INVALID_PATH": "Give the file a name that the other side takes, too.",
    "IS_A_DIRECTORY": "Name one file.",
    "NOT_A_DIRECTORY": "Mend the path.",
    "READ_ONLY": "Choose a folder there that can be written.",
    "CREDENTIAL": "Log in again.",
    "CONSENT": "Log in again.",
    "NOT_ACTIVATED": "Log in again.",
}


@attrs.frozen(kw_only=True)
class Refusal:
    """Why something was not done.

    Attributes:
        reason: in the words of the other side.
        todo: what the user may do.
        again: whether another try may help.
        code: the service's name for it.
    """

    reason: str
    todo: str = ""
    again: bool = False
    code: str = ""


@attrs.frozen(kw_only=True)
class TaskView:
    """How a task of the service is.

    Attributes:
        status: ``ACTIVE``, ``INACTIVE``, ``SUCCEEDED`` or ``FAILED``.
        trouble: the code of what keeps an active one from going on; empty while it does.
        said: what the service says about that, or about the failure.
        paused: whether somebody paused it, or one of its collections.
        moved: bytes.
        files: how many are there.
    """

    status: str
    trouble: str = ""
    said: str = ""
    paused: bool = False
    moved: int = 0
    files: int = 0

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in {"SUCCEEDED", "FAILED"}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "TaskView":
        """Read a task document."""
        nice = str(document.get("nice_status") or "")
        fatal = document.get("fatal_error") or {}
        paused = bool(document.get("is_paused"))
        status = str(document.get("status"))
        trouble = str(fatal.get("code") or "")
        if not trouble and status != "SUCCEEDED" and nice.upper() not in {"", "OK", "QUEUED"}:
            trouble = nice
        if not trouble and paused:
            trouble = "PAUSED"
        if not trouble and document.get("is_ok") is False:
            trouble = "FAULTS"
        said = fatal.get("description") or document.get("nice_status_details") or ""
        return cls(
            status=status,
            trouble=trouble,
            said=_short(str(said)),
            paused=paused,
            moved=int(document.get("bytes_transferred") or 0),
            files=int(document.get("files_transferred") or 0),
        )


@attrs.frozen(kw_only=True)
class Fault:
    """An event of a task that is an error.

    Attributes:
        code: such as ``PERMISSION_DENIED``.
        description: for people.
        details: what the servers said; may name the path.
    """

    code: str
    description: str
    details: str

    @classmethod
    def all_of(cls, events: Iterable[Mapping[str, Any]]) -> "list[Fault]":
        """The errors among events, the newest first, as the service lists them."""
        return [
            cls(
                code=str(one.get("code") or ""),
                description=str(one.get("description") or ""),
                details=str(one.get("details") or ""),
            )
            for one in events
            if one.get("is_error")
        ]


@attrs.frozen(kw_only=True)
class Facts:
    """What a collection says of a path.

    Attributes:
        kind: ``file``, ``dir``, ``invalid_symlink`` or what else there is.
        size: in bytes.
        modified: the time of the last change, as the service writes it.
        link: where a link leads; empty if it is none.
    """

    kind: str
    size: int
    modified: str
    link: str = ""

    @property
    def seen(self) -> str:
        """Time and size, by which a file is known again."""
        return f"{self.modified}-{self.size}"

    @property
    def when(self) -> float | None:
        """The time of the last change in seconds since 1970; ``None`` if it cannot be read."""
        try:
            read = dt.datetime.fromisoformat(self.modified)
        except ValueError:
            return None
        return (read if read.tzinfo else read.replace(tzinfo=dt.UTC)).timestamp()

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Facts":
        """Read a file document."""
        return cls(
            kind=str(document.get("type")),
            size=int(document.get("size") or 0),
            modified=str(document.get("last_modified") or ""),
            link=str(document.get("link_target") or ""),
        )


def login(client_id: str = "", collections: Iterable[str] = ()) -> str:
    """The command that makes the tokens that are missing."""
    words = ["weft globus login"]
    if client_id:
        words.append(f"--client-id {client_id}")
    words += [f"--collection {one}" for one in collections]
    return f"Run '{' '.join(words)}'."


def consent_of(scopes: Iterable[str]) -> list[str]:
    """The collections whose data the scopes give access to."""
    return sorted({found for scope in scopes for found in _DATA_ACCESS.findall(scope)})


def hopeless(code: str) -> bool:
    """Whether a fault stays until somebody does something."""
    return any(part in code.upper() for part in _HOPELESS)


def refusal(status: int, code: str, message: str) -> Refusal:
    """What a request that failed means; those about logging in are not meant."""
    said = f"Globus says {code or status}: {_short(message) or 'nothing more'}."
    everything = f"{code} {message}".lower()
    if "paus" in everything:
        return Refusal(
            reason=said,
            todo="Somebody has paused the collection; its managers say why, and when it goes on.",
            again=True,
            code=code,
        )
    if "gcdisconnected" in everything or "not connected" in everything:
        return Refusal(
            reason=said,
            todo="Start Globus Connect Personal on the machine of that collection.",
            again=True,
            code=code,
        )
    if "not_activated" in everything or "activation" in everything:
        return Refusal(
            reason=said, todo="Open the collection in the web app of Globus once.", code=code
        )
    if status == 404:
        todo = "Mend the path."
        if "endpoint" in code.lower():
            todo = "Mend the id of the collection; a deleted one is gone, too."
        return Refusal(reason=said, todo=todo, code=code)
    if status == 403:
        return Refusal(
            reason=said,
            todo="Ask the owner of the collection for the right, or use another path.",
            code=code,
        )
    if status == 429 or status >= 500:
        return Refusal(
            reason=said,
            todo="If it stays so, status.globus.org says what is known.",
            again=True,
            code=code,
        )
    return Refusal(reason=said, code=code)


def task_refusal(
    view: TaskView, faults: Sequence[Fault], link: str, client_id: str = ""
) -> Refusal:
    """Why a task ended without its files, or is to be ended.

    Args:
        view: how it is.
        faults: its errors, the newest first.
        link: where people look at it.
        client_id: for the command that logs in, where it has to name one.
    """
    code, said = view.trouble, view.said
    if code == "CANCELED":
        return Refusal(
            reason="Somebody has cancelled the transfer at Globus.",
            todo=f"Run it again if that was a mistake. The transfer is at {link}",
            code=code,
        )
    # What it ended with is often only that it did; what led to that is among its events.
    newest = next((one for one in faults if hopeless(one.code)), faults[0] if faults else None)
    if newest is not None and not hopeless(code):
        code, said = newest.code, _short(newest.details or newest.description)
    elif newest is not None and not said:
        said = _short(newest.details or newest.description)
    if view.status == "INACTIVE":
        code = code or "NOT_ACTIVATED"
    todo = next((what for part, what in _HOPELESS.items() if part in code.upper()), "")
    if todo == "Log in again.":
        todo = login(client_id)
    reason = f"Globus says {code or view.status}" + (f": {said.rstrip('.')}." if said else ".")
    return Refusal(
        reason=reason,
        todo=f"{todo} The transfer is at {link}".strip(),
        again=not hopeless(code),
        code=code,
    )


def the_guilty(faults: Sequence[Fault], items: Sequence[tuple[str, str]]) -> set[int]:
    """Which of the items of a task its faults speak of, by their paths; all if of none.

    Args:
        faults: its errors.
        items: source and target of each.
    """
    texts = [f"{one.description}\n{one.details}" for one in faults]
    # A path that another one begins with would be found in it: the longest is looked for first.
    ways = sorted(
        ((path, n) for n, pair in enumerate(items) for path in pair),
        key=lambda way: -len(way[0]),
    )
    guilty = set()
    for text in texts:
        rest = text
        for path, n in ways:
            if path in rest:
                guilty.add(n)
                rest = rest.replace(path, "")
    return guilty or set(range(len(items)))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
