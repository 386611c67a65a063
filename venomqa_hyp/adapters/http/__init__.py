"""The client of an API that is reached over HTTP."""

from venomqa_hyp.adapters.http.awaitable import AsyncHttpClient
from venomqa_hyp.adapters.http.client import HttpClient
from venomqa_hyp.adapters.http.record import RequestRecord
from venomqa_hyp.adapters.http.session import Auth

__all__ = ["AsyncHttpClient", "Auth", "HttpClient", "RequestRecord"]
