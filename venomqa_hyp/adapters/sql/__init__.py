"""What the adapters of PostgreSQL, MySQL and SQLite have in common."""

from venomqa_hyp.adapters.sql.delta import Delta, Entry, Move, TableDelta
from venomqa_hyp.adapters.sql.journal import Journal, Store, Taken
from venomqa_hyp.adapters.sql.modes import Chosen, Front, Mode, refuse_unknown_mode
from venomqa_hyp.adapters.sql.observation import (
    IDENTIFIED_ROWS,
    Choice,
    Rows,
    Table,
    observation,
    refuse_unknown,
)
from venomqa_hyp.adapters.sql.queries import Answer, Queries

__all__ = [
    "Answer",
    "Choice",
    "Chosen",
    "Delta",
    "Entry",
    "Front",
    "IDENTIFIED_ROWS",
    "Journal",
    "Mode",
    "Move",
    "Queries",
    "Rows",
    "Store",
    "Table",
    "TableDelta",
    "Taken",
    "observation",
    "refuse_unknown",
    "refuse_unknown_mode",
]
