"""Roll back a SQLite database that another process, or this one, has open."""

from venomqa_hyp.adapters.sqlite.adapter import SQLiteAdapter
from venomqa_hyp.adapters.sqlite.store import JournalWarning

__all__ = ["JournalWarning", "SQLiteAdapter"]
