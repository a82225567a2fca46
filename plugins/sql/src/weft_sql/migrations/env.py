"""What alembic runs to change a schema: on the connection and in the transaction of its caller."""

from alembic import context

from weft_sql.schema import VERSION_TABLE, metadata

if hasattr(context, "config"):  # alembic runs it; else it is only imported
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        # SQLite cannot change most of a table: it is made anew, and filled from the former one.
        render_as_batch=True,
    )
    context.run_migrations()
