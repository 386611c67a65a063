"""The systems that a World holds, and the clients it acts through."""

from venomqa_hyp.adapters.http import AsyncHttpClient, HttpClient, RequestRecord
from venomqa_hyp.adapters.inprocess import AsgiClient, WsgiClient
from venomqa_hyp.adapters.memory import MemoryAdapter
from venomqa_hyp.adapters.mocks.clock import ClockAdapter
from venomqa_hyp.adapters.mocks.mail import Mail, MockMail
from venomqa_hyp.adapters.mocks.queue import MockQueue, QueueMessage
from venomqa_hyp.adapters.mocks.storage import MockStorage
from venomqa_hyp.adapters.mocks.wiremock import RecordedRequest, StubServer, WireMockAdapter
from venomqa_hyp.adapters.mysql import MySQLAdapter
from venomqa_hyp.adapters.postgres import PostgresAdapter
from venomqa_hyp.adapters.redis import RedisAdapter
from venomqa_hyp.adapters.sqlite import SQLiteAdapter

__all__ = [
    "AsgiClient",
    "AsyncHttpClient",
    "ClockAdapter",
    "HttpClient",
    "Mail",
    "MemoryAdapter",
    "MockMail",
    "MockQueue",
    "MockStorage",
    "MySQLAdapter",
    "PostgresAdapter",
    "QueueMessage",
    "RecordedRequest",
    "RedisAdapter",
    "RequestRecord",
    "SQLiteAdapter",
    "StubServer",
    "WireMockAdapter",
    "WsgiClient",
]
