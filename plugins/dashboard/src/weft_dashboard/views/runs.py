"""The runs of a folder. Pure."""

from collections.abc import Mapping
from typing import Any

from weft.eventlog.runs import Summary

__all__ = ["runs"]


def runs(folder: str, found: Mapping[str, tuple[Summary, bool]]) -> dict[str, Any]:
    """Each run in short, by the name of its folder.

    Args:
        folder: where they are.
        found: each in short, and whether all of its log has been read.
    """
    return {
        "folder": folder,
        "runs": {
            name: {
                "program": short.program,
                "id": short.run_id,
                "state": short.state,
                "whole": whole,
                "started": short.started,
                "seconds": short.seconds,
                "done": short.done,
                "failed": short.failed,
                "cancelled": short.cancelled,
                "unfinished": short.unfinished,
                "problem": short.problem,
            }
            for name, (short, whole) in found.items()
        },
    }
