"""Says what ``weft doctor`` wants to know of a host. Runs there, as the watcher does."""

from __future__ import annotations

import json
import os
import platform
import sys
import time


def main() -> None:
    """Write a greeting and one line of JSON."""
    try:
        from importlib.metadata import PackageNotFoundError, version
    except ImportError:  # before Python 3.8
        weft = None
    else:
        try:
            weft = version("weft")
        except PackageNotFoundError:
            weft = None
    said = {
        "python": platform.python_version(),
        "weft": weft,
        "time": time.time(),
        "host": platform.node(),
        "cores": os.cpu_count(),
    }
    sys.stdout.write("\0weft-ssh 1\n" + json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
