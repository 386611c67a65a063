"""Roll back a SQLite database that another process, or this one, has open."""

from venomqa_hyp.adapters.sqlite.adapter import SQLiteAdapter
from venomqa_hyp.adapters.sqlite.diagnosis import diagnose
from venomqa_hyp.adapters.sqlite.journal import JournalWarning
from venomqa_hyp.adapters.sqlite.recovery import clean

__all__ = ["JournalWarning", "SQLiteAdapter", "clean", "diagnose"]
