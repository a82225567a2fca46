"""Orders on a machine that sees the client's files, and on one to which they were brought."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from weft.values.message import fields_of
from weft_htex.orders import Orders


def test_logs_go_beside_orders_that_were_brought(tmp_path: Path) -> None:
    given: dict[str, Any] = dict.fromkeys(fields_of(Orders))
    seen = Orders(**{**given, "folder": str(tmp_path)})
    assert seen.where_found(Path("/elsewhere/orders")).folder == str(tmp_path)
    brought = Orders(**{**given, "folder": str(tmp_path / "not-here"), "label": "kept"})
    found = brought.where_found(tmp_path / "orders")
    assert (found.folder, found.label) == (str(tmp_path), "kept")
