"""Roll back a PostgreSQL database that another process, or this one, works on."""

from venomqa_hyp.adapters.postgres.adapter import PostgresAdapter
from venomqa_hyp.adapters.postgres.journal import remove_journal

__all__ = ["PostgresAdapter", "remove_journal"]
