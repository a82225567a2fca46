"""What ``weft doctor`` has looked at where files of Globus are used."""

from collections.abc import Iterator
from pathlib import Path

from weft.values.problem import Finding, Severity
from weft_globus.service import Refused, Service
from weft_globus.settings import Globus

__all__ = ["checks"]


def checks(settings: Globus, _folder: Path) -> Iterator[Finding]:
    """Look whether somebody is logged in, and whether the local collection may be used."""
    service = Service(settings)
    try:
        service.submission_id()
        yield Finding(what="Globus answers, and takes the tokens that there are.")
        if not settings.local_collection:
            yield Finding(
                what="No collection is named that has files of this machine.",
                why="Files come to executors whose sites have a URL for globus, and to no others.",
            )
            return
        document = service.describe(settings.local_collection)
        lacking = service.lacking(settings.local_collection)
        name = document.get("display_name")
        if lacking is None:
            yield Finding(what=f"The collection {name!r} of this machine may be used.")
            return
        yield Finding(
            what=f"The collection {name!r} of this machine may not be used yet.",
            severity=Severity.ERROR,
            why=lacking.session_message or "It has to be agreed to.",
            remedy=f"Run 'weft globus login --collection {settings.local_collection}'.",
        )
    except Refused as refused:
        said = refused.refusal
        yield Finding(
            what="Files of Globus cannot be moved.",
            severity=Severity.ERROR,
            why=said.reason,
            remedy=said.todo,
        )
    finally:
        service.close()
