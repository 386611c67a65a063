"""Roll back a PostgreSQL database that another process, or this one, works on."""

from venomqa_hyp.adapters.postgres.adapter import PostgresAdapter
from venomqa_hyp.adapters.postgres.databases import remove_copies
from venomqa_hyp.adapters.postgres.isolation import ClonedDatabase
from venomqa_hyp.adapters.postgres.journal import remove_journal

__all__ = ["ClonedDatabase", "PostgresAdapter", "remove_copies", "remove_journal"]
