"""The systems that a World holds, and the clients it acts through."""

from venomqa_hyp.adapters.http import HttpClient, RequestRecord
from venomqa_hyp.adapters.inprocess import AsgiClient, WsgiClient
from venomqa_hyp.adapters.memory import MemoryAdapter
from venomqa_hyp.adapters.mysql import MySQLAdapter
from venomqa_hyp.adapters.postgres import PostgresAdapter
from venomqa_hyp.adapters.sqlite import SQLiteAdapter

__all__ = [
    "AsgiClient",
    "HttpClient",
    "MemoryAdapter",
    "MySQLAdapter",
    "PostgresAdapter",
    "RequestRecord",
    "SQLiteAdapter",
    "WsgiClient",
]
