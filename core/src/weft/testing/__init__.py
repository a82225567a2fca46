"""Fakes with a hand-crank, one for each interface: for the tests of plugins, and for those of weft.

Nothing happens in a fake unless a test turns its crank, so a test needs no sleep and no luck:

    context = FakeExecutorContext()
    executor = FakeExecutor()
    executor.start(context)
    executor.submit([task])
    executor.finish(task)
    assert context.wait(1)[0].value == 42

No fake imports pytest; they work under any test runner.
"""

from weft.testing.clock import ManualClock
from weft.testing.contexts import FakeContext, FakeExecutorContext, NothingHappened
from weft.testing.executor import FakeExecutor
from weft.testing.launcher import FakeLauncher
from weft.testing.monitor import FakeMonitor
from weft.testing.provider import FakeProvider
from weft.testing.serializer import FakeSerializer
from weft.testing.stager import FakeStager
from weft.testing.tasks import make_task

__all__ = [
    "FakeContext",
    "FakeExecutor",
    "FakeExecutorContext",
    "FakeLauncher",
    "FakeMonitor",
    "FakeProvider",
    "FakeSerializer",
    "FakeStager",
    "ManualClock",
    "NothingHappened",
    "make_task",
]
