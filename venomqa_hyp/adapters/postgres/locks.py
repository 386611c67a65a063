"""Saying who holds a lock."""

from venomqa_hyp.adapters.postgres.driver import Connection, Failed


def holders(connection: Connection, lock_timeout: float) -> str:
    """Return who has transactions open that hold locks of tables, and what to do."""
    try:
        found = [row[0] for row in connection.execute(_HOLDERS)]
    except Failed as error:
        found = [f"(cannot be told: {error})"]
    who = "; ".join(found) or "a session that has ended meanwhile"
    return (
        f"another session held a lock for more than lock_timeout={lock_timeout:g} s: {who}. The "
        "usual cause is a transaction that the application left open: commit or roll back before "
        "the action returns. If it only needs longer, pass PostgresAdapter(..., lock_timeout=30); "
        "to cancel statements that still run, PostgresAdapter(..., allow_cancel=True)."
    )


def cancel(connection: Connection) -> int:
    """Cancel the statements that hold locks, or wait for them; return how many there were.

    A transaction that is idle has none: it ends with its connection only.
    """
    return len(connection.execute(_CANCEL))


_CANCEL = """
    SELECT pg_cancel_backend(a.pid) FROM pg_stat_activity AS a
    WHERE a.state = 'active' AND a.datname = current_database() AND a.pid <> pg_backend_pid()
        AND a.backend_type = 'client backend' AND EXISTS (
            SELECT FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
            WHERE l.pid = a.pid AND c.relkind IN ('r', 'p')
                AND c.relnamespace <> 'pg_catalog'::regnamespace)
"""

# A prepared transaction holds its locks without a process. Those that only read come last.
_HOLDERS = """
    SELECT CASE WHEN l.pid IS NULL THEN 'a prepared transaction, of: ' || (
                SELECT string_agg(gid, ', ') FROM pg_prepared_xacts
                WHERE database = current_database())
            ELSE format('pid %s (%s, %s for %s s, query: %s)', l.pid,
                coalesce(nullif(a.application_name, ''), a.usename), a.state,
                round(extract(epoch FROM clock_timestamp() - a.state_change)),
                left(regexp_replace(a.query, '\\s+', ' ', 'g'), 200))
        END
    FROM pg_locks AS l
    JOIN pg_class AS c ON c.oid = l.relation AND c.relkind IN ('r', 'p')
    LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
    WHERE l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
        AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace)
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    GROUP BY l.pid, a.application_name, a.usename, a.state,
        a.state_change, a.query
    ORDER BY bool_and(l.mode = 'AccessShareLock'), l.pid
    LIMIT 5
"""
