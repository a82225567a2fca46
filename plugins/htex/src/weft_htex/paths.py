"""Where processes look for modules."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["own_path"]


def own_path() -> list[str]:
    """Where this process looks for modules besides the places that its Python has anyway."""
    prefixes = {sys.prefix, sys.base_prefix, sys.exec_prefix}
    here = str(Path.cwd())
    return [
        entry or here
        for entry in sys.path
        if not any(entry == one or entry.startswith(one + os.sep) for one in prefixes)
    ]
