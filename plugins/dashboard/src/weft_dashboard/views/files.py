"""The files of a run: what was moved, what is on its way, and what was not. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from weft.values.events import FileMoved
from weft_dashboard.book import Book

__all__ = ["files"]

_MOVING: Final = 50


def files(book: Book, _asked: Mapping[str, str]) -> dict[str, Any]:
    """Transfers: sums by way, executor and scheme; those under way; those that ended last."""
    annals = book.annals
    return {
        "traffic": {
            " ".join(key): {
                "way": key[0],
                "executor": key[1],
                "scheme": key[2],
                "moved": sums.moved,
                "failed": sums.failed,
                "seconds": sums.seconds,
                "bytes": sums.bytes,
                "unsized": sums.unsized,
            }
            for key, sums in annals.traffic.items()
        },
        "moving": {
            f"{one.way} {one.url}": {
                "url": one.url,
                "way": one.way,
                "executor": one.executor,
                "done": one.done,
                **({} if one.total is None else {"total": one.total}),
            }
            for one in list(annals.moving.values())[-_MOVING:]
        },
        "moving_in_all": len(annals.moving),
        "ended": [
            {
                "time": one.time,
                "url": one.url,
                "way": one.way,
                "executor": one.executor,
                "attempt": one.attempt,
                **(
                    {"seconds": one.seconds, "bytes": one.size}
                    if isinstance(one, FileMoved)
                    else {"error": one.error, "again": one.delay is not None}
                ),
            }
            for one in reversed(annals.files)
        ],
    }
