"""Pure: how the parts of a job ended becomes how the job ended."""

import signal
from collections.abc import Sequence

import attrs

from weft.values.jobs import JobState

__all__ = ["End", "Outcome", "outcome"]


@attrs.frozen(kw_only=True)
class End:
    """How the part of a job on one host ended.

    Attributes:
        host: the host.
        runs: whether it had something to run there, and was not only held.
        code: the exit code; ``None`` if the job did not end by itself, or nobody knows.
        stopped: whether it ended because it was told to.
        lost: why nothing is known of its end; empty if something is.
        left: files that were too large to be fetched.
    """

    host: str
    runs: bool = True
    code: int | None = None
    stopped: bool = False
    lost: str = ""
    left: Sequence[str] = ()


@attrs.frozen(kw_only=True)
class Outcome:
    """How a job ended."""

    state: JobState
    reason: str
    code: int | None


def outcome(ends: Sequence[End], *, cancelled: bool) -> Outcome:
    """How a job ended whose parts ended like this.

    Args:
        ends: of its parts, in the order of its hosts.
        cancelled: whether somebody had asked for its end.
    """
    running = [one for one in ends if one.runs]
    failed = [one for one in running if one.lost or one.code != 0]
    remark = "".join(
        f"; too large to be fetched from {one.host}: {', '.join(one.left)}"
        for one in ends
        if one.left
    )
    if not failed:
        return Outcome(state=JobState.DONE, reason=f"ended with exit code 0{remark}", code=0)
    code = next((one.code for one in failed if one.code is not None), None)
    if cancelled:
        return Outcome(state=JobState.CANCELLED, reason=f"cancelled{remark}", code=code)
    where = len(ends) > 1
    words = "; ".join(_in_words(one, where=where) for one in failed)
    return Outcome(state=JobState.FAILED, reason=f"{words}{remark}", code=code)


def _in_words(one: End, *, where: bool) -> str:
    if one.lost:
        return f"the connection to {one.host} was lost: {one.lost}"
    place = f" on {one.host}" if where else ""
    if one.code is None:
        return f"it was ended{place} from outside" if one.stopped else f"nobody saw its end{place}"
    if one.code >= 0:
        return f"ended{place} with exit code {one.code}"
    try:
        return f"ended{place} by {signal.Signals(-one.code).name}"
    except ValueError:
        return f"ended{place} by signal {-one.code}"
