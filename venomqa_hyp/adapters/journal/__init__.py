"""Roll back a database by what triggers wrote down; what its kinds have in common."""

from venomqa_hyp.adapters.journal.choice import IDENTIFIED_ROWS, Choice, refuse_unknown
from venomqa_hyp.adapters.journal.delta import Delta, Entry, Move, TableDelta
from venomqa_hyp.adapters.journal.journal import Journal, JournalHandle, Store, Taken
from venomqa_hyp.adapters.journal.observing import Rows, Table, observation

__all__ = [
    "Choice",
    "Delta",
    "Entry",
    "IDENTIFIED_ROWS",
    "Journal",
    "JournalHandle",
    "Move",
    "Rows",
    "Store",
    "Table",
    "TableDelta",
    "Taken",
    "observation",
    "refuse_unknown",
]
