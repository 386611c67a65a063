"""Notice what other connections committed.

While an application works on a shared connection, nothing it does is committed. So a committed
change means that it also writes elsewhere, where no savepoint can take it back.

Every transaction that writes gets an id, from one row of numbers for all databases of the server.
Ours never commits, so each new id with the status "committed" is another's: that is asked often,
and is cheap. Only then it is looked, through a second connection, whether the committed rows of
this database are still the same; the id may belong to another database or to the server itself.
"""

from collections.abc import Sequence

from venomqa_hyp.adapters.postgres.catalog import dotted, literal, quoted
from venomqa_hyp.adapters.postgres.driver import Connection, Session

# One snapshot for all: the next id, the ids of others in progress, and whether one is committed of
# those that are new or were in progress the last time.
_IDS = """
SELECT pg_snapshot_xmax(now)::text::int8,
    ARRAY(SELECT id::text::int8 FROM pg_snapshot_xip(now) AS id),
    EXISTS (
        SELECT FROM unnest(ARRAY[{pending}]::int8[] || ARRAY(
            SELECT generate_series({first}, pg_snapshot_xmax(now)::text::int8 - 1))) AS id
        WHERE pg_xact_status(id::text::xid8) = 'committed')
FROM (SELECT pg_current_snapshot() AS now) AS s
"""
# A table that the application has locked in the shared transaction cannot be read from outside.
_TABLES = """
SELECT n.nspname, c.relname, EXISTS (SELECT FROM pg_locks l
    WHERE l.relation = c.oid AND l.pid = {pid} AND l.mode = 'AccessExclusiveLock')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""
_FINGERPRINT = """
SELECT {name}, ROW(count(*), sum(hashtextextended(t.ctid::text || ' ' || t.xmin::text, 0)))::text
FROM ONLY {source} AS t
"""


class Witness:
    """Looks at a database from outside of a shared connection.

    :param shared: the shared connection.
    :param outside: a connection of our own to the same database.
    :param pid: of the shared connection.
    """

    def __init__(self, shared: Session, outside: Connection, pid: int) -> None:
        self._shared = shared
        self._outside = outside
        self._pid = pid
        self._next: int | None = None
        self._pending: Sequence[int] = ()
        self._others_committed()
        self._committed = self._look()

    def changed_tables(self) -> Sequence[str]:
        """Return the names of the tables in which others have committed something."""
        if not self._others_committed():
            return ()
        now, before = self._look(), self._committed
        pairs = {name: (before.get(name, ""), now.get(name, "")) for name in {*now, *before}}
        return sorted(n for n, (was, is_) in pairs.items() if was != is_ and None not in (was, is_))

    def _others_committed(self) -> bool:
        first = "pg_snapshot_xmax(now)::text::int8" if self._next is None else self._next
        query = _IDS.format(first=first, pending=", ".join(map(str, self._pending)))
        ((self._next, self._pending, found),) = self._shared.execute(query)
        return bool(found)

    def _look(self) -> dict[str, str | None]:
        """Return what identifies the committed rows of each table; None where that is locked."""
        tables = self._outside.execute(_TABLES.format(pid=self._pid))
        seen: dict[str, str | None] = {dotted(schema, name): None for schema, name, _ in tables}
        queries = [
            _FINGERPRINT.format(
                name=literal(dotted(schema, name)), source=f"{quoted(schema)}.{quoted(name)}"
            )
            for schema, name, locked in tables
            if not locked
        ]
        seen.update(self._outside.execute(" UNION ALL ".join(queries)) if queries else ())
        return seen
