"""Results that outlive the run: a second run, or one after a crash, does not compute them again."""

import sys
from pathlib import Path

import weft
from weft import Config, python_app


@python_app(cache=True)
def slow_square(number: int) -> int:
    """Think of hours, rather than of this."""
    return number * number


def run(folder: Path) -> int:
    """Compute five squares, and say how many of them were known."""
    config = Config(run_dir=folder, checkpoint=True)
    with weft.load(config) as session:
        print([slow_square(number).result() for number in range(5)])
        return sum(session.status().from_memory.values())


folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("weft-runs")
print("computed before:", run(folder))
print("computed before:", run(folder))  # 5
