"""What the kernel knows of an executor."""

import pytest

from weft.dataflow.lanes import Lane
from weft.interfaces.executor import ExecutorStatus
from weft.testing import FakeExecutor


class Says(FakeExecutor):
    """Says how it is, as it is told to."""

    def __init__(self, said: ExecutorStatus) -> None:
        super().__init__()
        self.said = said

    def status(self) -> ExecutorStatus:
        return self.said


@pytest.mark.parametrize(
    ("in_flight", "waiting", "running"),
    [
        (0, 0, 0),
        (1, 0, 1),
        (10, 8, 2),
        (50, 1, 2),  # most have ended, and the kernel has not come to them yet
        (3, 5, 0),  # the kernel has come to those that have just begun
    ],
)
def test_how_many_run_is_worked_out_where_the_executor_does_not_count(
    in_flight: int, waiting: int, running: int
) -> None:
    said = ExecutorStatus(workers=2, running=None, waiting=waiting)
    lane = Lane("here", Says(said), {}, said)
    lane.in_flight = in_flight
    assert lane.status().running == running


def test_what_an_executor_counts_itself_is_taken_from_it() -> None:
    said = ExecutorStatus(workers=2, running=1, waiting=7)
    lane = Lane("here", Says(said), {}, said)
    lane.in_flight = 50
    assert lane.status() == said
