"""A client for async actions: another client of this package, whose requests are awaited."""

import threading
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import httpx
from anyio.to_thread import run_sync

from venomqa_hyp.adapters.http.client import HttpClient
from venomqa_hyp.adapters.http.record import RequestRecord
from venomqa_hyp.adapters.http.session import Auth
from venomqa_hyp.core.observation import Observation


class AsyncHttpClient:
    """Await requests to an API: ``response = await api.post("/orders", json={...})``.

    Each is sent from a thread, by a client that rolls back; requests to a server are sent side by
    side, as in ``asyncio.gather``, those to an application in this process one after another.

    :param client: an ``HttpClient``, ``AsgiClient`` or ``WsgiClient``; or a base URL, and
        ``options`` are those of ``HttpClient``.
    :raises DefinitionError: an argument cannot work.
    """

    def __init__(self, client: HttpClient | str, **options: Any) -> None:
        self._client = HttpClient(client, **options) if isinstance(client, str) else client
        self.base_url = self._client.base_url
        self.transport_errors = self._client.transport_errors
        self._turn = nullcontext() if self.transport_errors else threading.Lock()

    @property
    def headers(self) -> httpx.Headers:
        """Return the headers sent with every request; change them in place."""
        return self._client.headers

    @property
    def cookies(self) -> httpx.Cookies:
        """Return the cookies held now; change them in place."""
        return self._client.cookies

    @property
    def auth(self) -> Auth:
        """Return who requests are sent as: None, (user, password) or a bearer token."""
        return self._client.auth

    @auth.setter
    def auth(self, auth: Auth) -> None:
        self._client.auth = auth

    @property
    def history(self) -> tuple[RequestRecord, ...]:
        """Return the requests of the present path, oldest first."""
        return self._client.history

    async def request(self, method: str, url: str | httpx.URL, **options: Any) -> httpx.Response:
        """Send a request and return the answer, whatever its status; see ``HttpClient.request``."""
        return await run_sync(self._in_turn, partial(self._client.request, method, url, **options))

    async def get(self, url: str | httpx.URL, **options: Any) -> httpx.Response:
        """Send a GET request; see :meth:`request`."""
        return await self.request("GET", url, **options)

    async def post(self, url: str | httpx.URL, **options: Any) -> httpx.Response:
        """Send a POST request; see :meth:`request`."""
        return await self.request("POST", url, **options)

    async def put(self, url: str | httpx.URL, **options: Any) -> httpx.Response:
        """Send a PUT request; see :meth:`request`."""
        return await self.request("PUT", url, **options)

    async def patch(self, url: str | httpx.URL, **options: Any) -> httpx.Response:
        """Send a PATCH request; see :meth:`request`."""
        return await self.request("PATCH", url, **options)

    async def delete(self, url: str | httpx.URL, **options: Any) -> httpx.Response:
        """Send a DELETE request; see :meth:`request`."""
        return await self.request("DELETE", url, **options)

    async def head(self, url: str | httpx.URL, **options: Any) -> httpx.Response:
        """Send a HEAD request; see :meth:`request`."""
        return await self.request("HEAD", url, **options)

    async def options(self, url: str | httpx.URL, **options: Any) -> httpx.Response:
        """Send an OPTIONS request; see :meth:`request`."""
        return await self.request("OPTIONS", url, **options)

    def ask_again(self, record: RequestRecord) -> RequestRecord:
        """Send a recorded request once more, as it was; see ``HttpClient.ask_again``."""
        return self._client.ask_again(record)

    def checkpoint(self, name: str) -> Any:
        """Remember cookies, default headers, auth and history."""
        return self._client.checkpoint(name)

    def rollback(self, handle: Any) -> None:
        """Restore what :meth:`checkpoint` remembered."""
        self._client.rollback(handle)

    def observe(self) -> Observation:
        """Return cookies, default headers and auth, as the system ``api``."""
        return self._client.observe()

    def check_ready(self, timeout: float = 5.0) -> None:
        """Wait until a connection to the server can be made."""
        self._client.check_ready(timeout)

    def close(self) -> None:
        """Close connections; the client cannot be used afterwards."""
        self._client.close()

    def _in_turn(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        with self._turn:
            return send()
