"""The tables and views of ``weft-sql``, column by column."""

from __future__ import annotations

__all__ = ["tables"]


def tables(_: str = "") -> str:
    """Every table with what its columns mean, and every view with its query."""
    from weft_sql.schema import TABLES, VIEWS

    lines: list[str] = []
    for table in TABLES.values():
        key = ", ".join(f"`{column.name}`" for column in table.primary_key)
        lines += [f"### `{table.name}`", "", f"{table.comment}; its key is {key}.", ""]
        lines += ["| column | kind | what it is |", "| --- | --- | --- |"]
        for column in table.columns:
            kind = {"BIGINT": "integer", "DOUBLE": "number"}.get(str(column.type), "text")
            empty = ", or NULL" if column.nullable else ""
            lines.append(f"| `{column.name}` | {kind}{empty} | {column.comment} |")
        lines.append("")
    for name, query in VIEWS.items():
        lines += [f"### `{name}`", "", "A view:", "", "```sql", query.strip(), "```", ""]
    return "\n".join(lines)
