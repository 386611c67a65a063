"""Roll back a PostgreSQL database that another process, or this one, works on."""

from venomqa_hyp.adapters.postgres.adapter import PostgresAdapter
from venomqa_hyp.adapters.postgres.databases import remove_copies
from venomqa_hyp.adapters.postgres.diagnosis import diagnose
from venomqa_hyp.adapters.postgres.installation import remove_journal
from venomqa_hyp.adapters.postgres.isolation import ClonedDatabase

__all__ = ["ClonedDatabase", "PostgresAdapter", "diagnose", "remove_copies", "remove_journal"]
