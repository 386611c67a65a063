"""The client that actions use to talk to the API under test, with a session that rolls back.

What a client knows is part of the World: a cookie set by a login that was rolled back must be
gone. So cookies, default headers, auth and history belong to each checkpoint. The connection
itself, and whether the server answers at all, do not.
"""

import contextlib
import functools
import math
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

import attrs
import httpx

from venomqa_hyp.adapters.http.record import RequestRecord, recorded
from venomqa_hyp.adapters.http.session import Auth, Session, checked_auth
from venomqa_hyp.core.observation import Observation
from venomqa_hyp.errors import DefinitionError, ServerNotAnswering

_READY_RETRY_SECONDS = 0.05
#: The request could not be sent as it was written: this says nothing about the server.
_OWN_FAULT = (httpx.LocalProtocolError, httpx.UnsupportedProtocol)
#: A list linked from its end: append, checkpoint and rollback cost the same at any length.
_History: TypeAlias = "tuple[_History, RequestRecord] | None"


@attrs.frozen(eq=False)
class _Handle:
    session: Session
    history: _History


@attrs.define
class _Silence:
    """Counts requests in a row without an answer; about the real server, so never rolled back."""

    base_url: str
    limit: int
    timeout: float
    count: int = 0
    last_answered: str | None = None
    first_unanswered: str | None = None

    def broken(self, record: RequestRecord) -> None:
        self.count = 0
        self.last_answered = f"{record.method} {record.url} (status {record.status})"

    def lasts(self, record: RequestRecord) -> ServerNotAnswering | None:
        """Count one more request; return the error to raise once there are too many."""
        if self.count == 0:
            self.first_unanswered = f"{record.method} {record.url}"
        self.count += 1
        return None if self.count < self.limit else ServerNotAnswering(self._message(record))

    def _message(self, record: RequestRecord) -> str:
        requests = "request" if self.count == 1 else f"{self.count} requests in a row"
        return (
            f"{self.base_url} left {requests} unanswered. Last error: {record.error}\n"
            f"  last answered:    {self.last_answered or 'none, since this client was made'}\n"
            f"  first unanswered: {self.first_unanswered}\n"
            "Start the server, or correct base_url=; if it is only slow, raise timeout= "
            f"(now {self.timeout:g} seconds). If just this one request gets no answer while "
            "others do, it stops the server: look there first, or raise max_unanswered= "
            f"(now {self.limit})."
        )


class HttpClient:
    """Send requests to an API, with cookies, headers, auth and history that roll back.

    :param base_url: such as ``http://127.0.0.1:8000``; URLs of requests are relative to it.
    :param headers: default headers; later on ``client.headers["X-Tenant"] = "a"``.
    :param auth: a (user, password) pair for HTTP Basic, or a str: a bearer token. It is an
        attribute: ``client.auth = response.json()["token"]``. A request that brings its own
        ``Authorization`` header or ``auth=`` keeps that one.
    :param timeout: seconds to wait for a connection, and for each piece of an answer.
    :param max_unanswered: so many requests in a row without an answer end the run.
    :param follow_redirects: each redirect followed is one more record in the history. To
        another host, ``Authorization`` is not sent along.
    :param verify: False accepts any TLS certificate; an ``ssl.SSLContext`` is used as it is.
    :param trust_env: use the proxies and certificates named by environment variables. Off, so
        that a run does not depend on who starts it.
    :param transport: answers requests instead of the network; the client closes it.
    :raises DefinitionError: an argument cannot work.

    The contract of checkpoints is that of :class:`~venomqa_hyp.world.rollbackable.Rollbackable`.
    """

    #: What a request raises when no usable answer came; the World reports a failed action.
    transport_errors: ClassVar[tuple[type[Exception], ...]] = (httpx.TransportError,)

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        auth: Auth = None,
        timeout: float = 10.0,
        max_unanswered: int = 3,
        follow_redirects: bool = False,
        verify: ssl.SSLContext | bool = True,
        trust_env: bool = False,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._url = _checked_base_url(base_url)
        self.base_url = base_url
        self._has_network = transport is None
        self._silence = _Silence(
            base_url, _checked_max_unanswered(max_unanswered), _checked_timeout(timeout)
        )
        self._auth = checked_auth(auth)
        self._http = httpx.Client(
            base_url=self._url,
            headers=headers,
            timeout=timeout,
            follow_redirects=follow_redirects,
            verify=_tls() if verify is True and not trust_env else verify,
            trust_env=trust_env,
            transport=transport,
        )
        # httpx guesses once and then refuses any header that does not fit the guess.
        self._http.headers.encoding = "utf-8"
        self._history: _History = None
        self._noting = threading.Lock()  # requests may be sent from several threads
        self._seen = Session.of(self._http, self._auth)

    @property
    def headers(self) -> httpx.Headers:
        """Return the headers sent with every request; change them in place."""
        return self._http.headers

    @property
    def cookies(self) -> httpx.Cookies:
        """Return the cookies held now; change them in place."""
        return self._http.cookies

    @property
    def auth(self) -> Auth:
        """Return who requests are sent as: None, (user, password) or a bearer token."""
        return self._auth

    @auth.setter
    def auth(self, auth: Auth) -> None:
        self._auth = checked_auth(auth)

    @property
    def history(self) -> tuple[RequestRecord, ...]:
        """Return the requests of the present path, oldest first."""
        records = []
        node = self._history
        while node is not None:
            node, record = node
            records.append(record)
        return tuple(reversed(records))

    def request(self, method: str, url: str | httpx.URL, **options: Any) -> httpx.Response:
        """Send a request and return the answer, whatever its status.

        :param options: as for ``httpx.request``: ``json``, ``params``, ``headers``, ``data``,
            ``files``, ``content``, ``timeout``, ``auth``, ``follow_redirects``...
        :raises httpx.TransportError: no answer came.
        :raises ServerNotAnswering: and neither to the requests before it.
        """
        auth = options.pop("auth") if "auth" in options else self._auth_beside(options)
        follow = options.pop("follow_redirects", httpx.USE_CLIENT_DEFAULT)
        request = self._http.build_request(method, url, **options)
        # Reads a streamed body into memory, for the history holds bodies whole.
        request.read()
        started = time.perf_counter()
        try:
            response = self._http.send(request, auth=_flow(auth), follow_redirects=follow)
        except Exception as error:
            self._note_failure(request, error, time.perf_counter() - started)
            raise
        for answer in (*response.history, response):
            self._note_answer(answer, time.perf_counter() - started)
        return response

    def ask_again(self, record: RequestRecord) -> RequestRecord:
        """Send a recorded request once more, as it was; history, cookies and auth stay as they are.

        :return: its record, with an ``error`` and without a status where no answer came.
        """
        before = self._session()
        headers = [(name, value) for name, value in record.request_headers if name != "host"]
        request = self._http.build_request(
            record.method, record.url, content=record.request_content
        )
        request.headers = httpx.Headers(headers, encoding="utf-8")
        request.headers["host"] = request.url.netloc.decode()
        started = time.perf_counter()
        response, error = None, None
        try:
            response = self._http.send(request, auth=None)
        except Exception as caught:  # an application in this process may raise anything
            error = f"{type(caught).__name__}: {caught}"
        finally:
            before.restore(self._http)
            self._seen = before
        return recorded(request, response, time.perf_counter() - started, error)

    def get(self, url: str | httpx.URL, **options: Any) -> httpx.Response:
        """Send a GET request; see :meth:`request`."""
        return self.request("GET", url, **options)

    def post(self, url: str | httpx.URL, **options: Any) -> httpx.Response:
        """Send a POST request; see :meth:`request`."""
        return self.request("POST", url, **options)

    def put(self, url: str | httpx.URL, **options: Any) -> httpx.Response:
        """Send a PUT request; see :meth:`request`."""
        return self.request("PUT", url, **options)

    def patch(self, url: str | httpx.URL, **options: Any) -> httpx.Response:
        """Send a PATCH request; see :meth:`request`."""
        return self.request("PATCH", url, **options)

    def delete(self, url: str | httpx.URL, **options: Any) -> httpx.Response:
        """Send a DELETE request; see :meth:`request`."""
        return self.request("DELETE", url, **options)

    def head(self, url: str | httpx.URL, **options: Any) -> httpx.Response:
        """Send a HEAD request; see :meth:`request`."""
        return self.request("HEAD", url, **options)

    def options(self, url: str | httpx.URL, **options: Any) -> httpx.Response:
        """Send an OPTIONS request; see :meth:`request`."""
        return self.request("OPTIONS", url, **options)

    def checkpoint(self, name: str) -> _Handle:
        """Remember cookies, default headers, auth and history."""
        return _Handle(self._session(), self._history)

    def rollback(self, handle: _Handle) -> None:
        """Restore what :meth:`checkpoint` remembered, also the expiry times of cookies."""
        if self._session() is not handle.session:
            handle.session.restore(self._http)
            self._auth = handle.session.auth
            self._seen = handle.session
        self._history = handle.history

    def observe(self) -> Observation:
        """Return cookies, default headers and auth, as the system ``api``.

        The history is left out: with it no two paths could end in the same state. Expiry
        times of cookies are in the metadata only, for they come from the clock.
        """
        return self._session().observation

    def check_ready(self, timeout: float = 5.0) -> None:
        """Wait until a connection to the server can be made; return at once without a network.

        :param timeout: seconds to go on trying.
        :raises ServerNotAnswering: none could be made.
        """
        _checked_timeout(timeout)
        if not self._has_network:
            return
        started = time.monotonic()
        address = (self._url.host, _port(self._url))
        while (error := _connection_error(address, started + timeout)) is not None:
            waited = time.monotonic() - started
            if waited >= timeout:
                raise ServerNotAnswering(
                    f"No connection to {self.base_url} (host {address[0]}, port {address[1]}) "
                    f"in {waited:.1f} seconds: {error}. Start the server, or correct base_url=; "
                    f"if it starts slowly, write check_ready(timeout={2 * timeout:g})."
                ) from error
            time.sleep(min(_READY_RETRY_SECONDS, timeout - waited))

    def close(self) -> None:
        """Close connections; the client cannot be used afterwards."""
        self._http.close()

    def _auth_beside(self, options: Mapping[str, Any]) -> Auth:
        if self._auth is None or "authorization" in httpx.Headers(options.get("headers")):
            return None
        return self._auth

    def _note_answer(self, response: httpx.Response, duration: float) -> None:
        # A transport that answers with a whole response takes no time.
        with contextlib.suppress(RuntimeError):
            duration = response.elapsed.total_seconds()
        record = recorded(response.request, response, duration)
        with self._noting:
            self._history = (self._history, record)
            if self._is_own(response.request):
                self._silence.broken(record)

    def _note_failure(self, request: httpx.Request, error: Exception, duration: float) -> None:
        record = recorded(request, None, duration, f"{type(error).__name__}: {error}")
        with self._noting:
            self._history = (self._history, record)
        if not isinstance(error, self.transport_errors) or isinstance(error, _OWN_FAULT):
            return
        if self._is_own(request) and (too_many := self._silence.lasts(record)):
            raise too_many from error

    def _is_own(self, request: httpx.Request) -> bool:
        # An absolute URL may lead elsewhere, which says nothing about this server.
        return request.url.host == self._url.host and _port(request.url) == _port(self._url)

    def _session(self) -> Session:
        if not self._seen.is_of(self._http, self._auth):
            self._seen = Session.of(self._http, self._auth)
        return self._seen


def _flow(auth: Any) -> Any:
    return _Bearer(auth) if isinstance(auth, str) else auth


class _Bearer(httpx.Auth):
    """Sends a bearer token (RFC 6750, section 2.1)."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Any:
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


def _connection_error(address: tuple[str, int], deadline: float) -> OSError | None:
    # At least a moment, for a timeout of 0 would mean a non-blocking socket.
    patience = max(deadline - time.monotonic(), _READY_RETRY_SECONDS)
    try:
        socket.create_connection(address, timeout=patience).close()
    except OSError as error:
        return error
    return None


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


@functools.cache
def _tls() -> ssl.SSLContext:
    """Return what httpx makes for each client: reading the certificates takes it 20 ms."""
    return httpx.create_ssl_context(trust_env=False)


def _checked_base_url(base_url: str) -> httpx.URL:
    if not isinstance(base_url, str):
        raise _refused("base_url", base_url, "it must be a str")
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise _refused("base_url", base_url, f"it is not a URL ({error})") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise _refused("base_url", base_url, "it must start with http:// or https:// and a host")
    if url.userinfo:
        raise DefinitionError(
            f"base_url= for {url.host} was refused: it holds a user name, which cannot roll back "
            "and would be printed in every report. Leave it out and write auth=(user, password)."
        )
    return url


def _refused(argument: str, value: object, why: str) -> DefinitionError:
    return DefinitionError(
        f"{argument}={value!r} was refused: {why}. "
        f'Write {argument}="http://127.0.0.1:8000", with the address of your server.'
    )


def _checked_timeout(timeout: float) -> float:
    is_number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if not is_number or not math.isfinite(timeout) or timeout <= 0:
        raise DefinitionError(
            f"timeout={timeout!r} was refused: it must be a number of seconds above 0, because "
            "without a limit one lost answer would stop the run for ever. Write timeout=10.0."
        )
    return timeout


def _checked_max_unanswered(count: int) -> int:
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise DefinitionError(
            f"max_unanswered={count!r} was refused: it must be an int of at least 1, the number "
            "of requests in a row without an answer that ends the run. Write max_unanswered=3."
        )
    return count
