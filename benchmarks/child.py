"""One measurement: ``python -m benchmarks.child CASE CONTESTANT SIZE FILE``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.cases import case_named
from benchmarks.measuring import adopt_orphans

if __name__ == "__main__":
    name, contestant, size, target = sys.argv[1:]
    adopt_orphans()
    measure = case_named(name).measure
    assert measure is not None
    Path(target).write_text(json.dumps(measure(contestant, int(size))), encoding="utf-8")
