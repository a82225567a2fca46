"""A database as this package uses it: opened, its schema seen to, locked against changes of it.

SQLite
    One file. With a write-ahead log others read while one writes, and several runs write in turn.
    That log needs memory shared by all who use the file, so on network file systems the older
    journal is used, by which readers and writers wait for one another. A file beside it,
    ``weft.db-writers``, is locked by all who write (flock(2)), so that nobody changes the schema
    under them.

PostgreSQL
    Commits wait for the server's disk, which nobody waits for here: what a server that is killed
    has said to have, it has. An advisory lock stands for the file of locks.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import sqlalchemy
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.pool import NullPool

from weft.errors import ConfigurationError
from weft_sql.places import Place, shared_disk
from weft_sql.schema import TABLES, VERSION, VERSION_TABLE, metadata

__all__ = ["Database", "reason"]

_LOCK: Final = 0x77656674
"""The number of the advisory lock: "weft" in ASCII."""

_BUSY: Final = 0.25
"""Seconds that SQLite waits by itself for another writer: the thread of a run tries again."""


def reason(error: BaseException) -> str:
    """What the database itself said."""
    said = error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) else error
    return " ".join(str(said).split()) or type(error).__name__


class Database:
    """A database that can be connected to.

    *Life.* ``prepare`` once, then any number of ``connect`` from one thread at a time, ``close``.

    Args:
        place: where it is.
        journal: ``auto``, ``wal`` or ``delete``, for SQLite.
        timeout: seconds that the database may take to answer.
        busy: seconds that SQLite waits by itself for another writer.

    Attributes:
        disk: the network file system that its file is on; empty if it is on none.
    """

    def __init__(
        self,
        place: Place,
        *,
        journal: str = "auto",
        timeout: float = 10.0,
        busy: float = _BUSY,
    ) -> None:
        self.place = place
        self.disk = ""
        self._journal, self._timeout, self._busy = journal, timeout, busy
        self._inode: tuple[int, int] | None = None
        self._locks: int | None = None
        self.engine = self._sqlite() if place.path is not None else self._postgresql()

    # -------------------------------------------------------------------------------------- engines

    def _sqlite(self) -> Engine:
        engine = sqlalchemy.create_engine("sqlite://", creator=self._opened, poolclass=NullPool)
        # The driver would begin transactions when it thinks fit, and without the lock to write:
        # two who begin to read, and then both want to write, can never both go on.
        event.listen(engine, "begin", lambda c: c.exec_driver_sql("BEGIN IMMEDIATE"))
        return engine

    def _opened(self) -> sqlite3.Connection:
        path = self.place.path
        assert path is not None
        # Never made here: a file that vanished while a run writes is to be noticed.
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=rw",
            uri=True,
            timeout=self._busy,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        try:
            connection.execute("PRAGMA synchronous=NORMAL")
            # What is on its way to the tables needs no file.
            connection.execute("PRAGMA temp_store=MEMORY")
            found = path.stat()
        except BaseException:
            connection.close()
            raise
        self._inode = (found.st_dev, found.st_ino)
        return connection

    def _postgresql(self) -> Engine:
        wait = max(1, round(self._timeout))
        try:
            return sqlalchemy.create_engine(
                self.place.url,
                poolclass=NullPool,
                connect_args={
                    "connect_timeout": wait,
                    "application_name": "weft",
                    "tcp_user_timeout": wait * 1000,
                    "keepalives_idle": wait,
                    "options": f"-c lock_timeout={wait * 1000} -c statement_timeout={wait * 6000}",
                },
            )
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"The database {self.place} cannot be spoken to.",
                why=f"The package {error.name} is not installed.",
                todo="pip install 'weft-sql[postgresql]'",
            ) from error
        except sqlalchemy.exc.ArgumentError as error:
            raise ConfigurationError(
                f"{self.place!s} is not the URL of a database.",
                why=reason(error),
                todo="Write it as postgresql://USER@HOST:PORT/NAME.",
            ) from error

    # ------------------------------------------------------------------------------------ the start

    def prepare(self) -> None:
        """See that the database is there and has the schema of this version.

        Raises:
            ConfigurationError: it cannot be opened or written, or holds something else.
        """
        try:
            if self.place.path is not None:
                self._make_file(self.place.path)
            with self.connect() as connection:
                if self.place.path is not None:
                    raw: Any = connection.connection.dbapi_connection
                    raw.execute(f"PRAGMA busy_timeout={round(self._timeout * 1000)}")
                    self._choose_journal(raw)
                self._see_to_schema(connection)
        except (sqlalchemy.exc.DBAPIError, OSError, sqlite3.Error) as error:
            raise self.unusable(error) from error

    def unusable(self, error: BaseException) -> ConfigurationError:
        """What to tell of a database that cannot be opened or written."""
        said = error.strerror if isinstance(error, OSError) and error.strerror else reason(error)
        if self.place.path is not None:
            todo = (
                "See that the folder exists and that you may write there, or name another file by "
                "the option database."
            )
        else:
            todo = "See that the server runs and lets you in, with psql and the same URL."
        return ConfigurationError(
            f"The database {self.place} cannot be written.", why=said, todo=todo
        )

    def _make_file(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        # Closing any descriptor of the file ends the locks that SQLite holds on it in this process,
        # so one that is there is not opened. What SQLite makes beside it has its mode.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, flags | os.O_EXCL, 0o600))
        if self._locks is None:
            self._locks = os.open(f"{path}-writers", flags, 0o600)

    def _choose_journal(self, raw: sqlite3.Connection) -> None:
        assert self.place.path is not None
        self.disk = shared_disk(self.place.path)
        wanted = self._journal
        if wanted == "auto":
            wanted = "delete" if self.disk else "wal"
        if raw.execute("PRAGMA journal_mode").fetchone()[0] != wanted:
            raw.execute(f"PRAGMA journal_mode={wanted}")

    def _see_to_schema(self, connection: Connection) -> None:
        self._lock_schema(connection)
        try:
            with connection.begin():
                if self.place.dialect == "postgresql":
                    connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK + 1})"))
                found = self._version(connection)
                if found is None:
                    self._create(connection)
                elif found != VERSION:
                    self._change(connection, found)
        except BaseException:
            self._unlock(connection)
            raise

    def _version(self, connection: Connection) -> str | None:
        there = set(sqlalchemy.inspect(connection).get_table_names())
        if VERSION_TABLE not in there:
            if foreign := there & set(TABLES):
                raise ConfigurationError(
                    f"The database {self.place} has tables of something else.",
                    why=f"It has {', '.join(sorted(foreign))}, but no {VERSION_TABLE}.",
                    todo="Name a file or a database that weft has for itself.",
                )
            return None
        query = text(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608 - a name of ours
        found = connection.execute(query).scalar()
        return None if found is None else str(found)

    def _create(self, connection: Connection) -> None:
        metadata.create_all(connection, checkfirst=False)
        from weft_sql.changes import make_views, stamp

        make_views(connection)
        stamp(connection)

    def _change(self, connection: Connection, found: str) -> None:
        from weft_sql.changes import is_older, upgrade

        if not is_older(found):
            raise ConfigurationError(
                f"The database {self.place} was made by a newer weft-sql.",
                why=f"Its schema has the revision {found!r}; this version knows {VERSION!r}.",
                todo="Install the newer weft-sql here too, or name another database.",
            )
        if not self._alone(connection):
            raise ConfigurationError(
                f"The schema of the database {self.place} is to be brought up to date, and cannot "
                "be now.",
                why=f"It has the revision {found!r} where {VERSION!r} is needed, and other runs "
                "write to it.",
                todo="Wait until they have ended, or name another database.",
            )
        upgrade(connection)
        self._share(connection)

    # -------------------------------------------------------------------------- locks of the schema

    def _lock_schema(self, connection: Connection) -> None:
        if self._locks is not None:
            # Where a disk knows no such locks, nobody can be alone; see _alone.
            with contextlib.suppress(OSError):
                fcntl.flock(self._locks, fcntl.LOCK_SH | fcntl.LOCK_NB)
        else:
            connection.execute(text(f"SELECT pg_advisory_lock_shared({_LOCK})"))
            connection.commit()

    def _alone(self, connection: Connection) -> bool:
        """Whether nobody else writes; if so, nobody else begins to."""
        if self._locks is not None:
            try:
                fcntl.flock(self._locks, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
            return True
        # Its own shared lock does not keep a session from the exclusive one.
        return bool(connection.execute(text(f"SELECT pg_try_advisory_lock({_LOCK})")).scalar())

    def _share(self, connection: Connection) -> None:
        """Let others write again."""
        if self._locks is not None:
            fcntl.flock(self._locks, fcntl.LOCK_SH | fcntl.LOCK_NB)
        else:
            connection.execute(text(f"SELECT pg_advisory_unlock({_LOCK})"))

    def _unlock(self, connection: Connection) -> None:
        if self._locks is not None:
            fcntl.flock(self._locks, fcntl.LOCK_UN)
        elif not connection.invalidated:
            with contextlib.suppress(sqlalchemy.exc.DBAPIError):
                connection.execute(text("SELECT pg_advisory_unlock_all()"))
                connection.commit()

    # ------------------------------------------------------------------------------------- the work

    @contextlib.contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection, for as long as the block is."""
        connection = self.engine.connect()
        try:
            yield connection
        finally:
            with contextlib.suppress(Exception):  # of one that is broken, nothing is asked
                connection.close()

    def session(self) -> Connection:
        """A connection to write by, which keeps others from changing the schema."""
        connection = self.engine.connect()
        try:
            self._lock_schema(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    @property
    def vanished(self) -> bool:
        """Whether the file that was opened is no longer at its place."""
        if self.place.path is None:
            return False
        try:
            found = self.place.path.stat()
        except OSError:
            return True
        return (found.st_dev, found.st_ino) != self._inode

    def interrupt(self, connection: Connection) -> None:
        """Make what the connection does in another thread end with an error, soon."""
        raw: Any = connection.connection.dbapi_connection
        with contextlib.suppress(Exception):  # it may be closed, or broken, by now
            raw.interrupt() if self.place.path is not None else raw.cancel_safe(timeout=0.5)

    def close(self) -> None:
        """Let go of everything."""
        self.engine.dispose()
        if self._locks is not None:
            os.close(self._locks)
            self._locks = None
