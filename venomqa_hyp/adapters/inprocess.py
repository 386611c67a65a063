"""Clients for an application in this process: no server, no sockets, the same surface.

An exception that leaves the application is raised in the action that sent the request: its
traceback is the finding. With ``raise_app_exceptions=False`` it is logged and becomes an answer
with status 500, as on a real server. Frameworks that catch exceptions themselves (Flask, unless
``PROPAGATE_EXCEPTIONS`` is set) answer 500 either way.
"""

import asyncio
import inspect
import io
import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from typing import Any, ClassVar, TypeAlias, TypeVar
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIApplication

import attrs
import httpx

from venomqa_hyp.adapters.http import Auth, HttpClient
from venomqa_hyp.errors import DefinitionError, ServerNotAnswering, WorldError

_Message: TypeAlias = MutableMapping[str, Any]
AsgiApplication: TypeAlias = Callable[
    [_Message, Callable[[], Awaitable[_Message]], Callable[[_Message], Awaitable[None]]],
    Awaitable[None],
]
_T = TypeVar("_T")

_log = logging.getLogger(__name__)
_FAILED_EXIT_SECONDS = 1.0


class WsgiClient(HttpClient):
    """Call a WSGI application (Flask, Django, Bottle...) as :class:`HttpClient` calls a server.

    State that the application holds in this process (module globals, caches) is NOT rolled back.

    :param base_url: what the application sees as its address.
    :param raise_app_exceptions: False turns an exception of the application into a 500.
    """

    #: There is no network: an httpx error comes out of the application, and is a finding.
    transport_errors: ClassVar[tuple[type[Exception], ...]] = ()

    def __init__(
        self,
        app: WSGIApplication,
        *,
        base_url: str = "http://testserver",
        headers: Mapping[str, str] | None = None,
        auth: Auth = None,
        follow_redirects: bool = False,
        raise_app_exceptions: bool = True,
    ) -> None:
        if _is_async(app):
            raise DefinitionError(
                f"WsgiClient was given {app!r}, whose call is async: an ASGI application. "
                "Write AsgiClient(app)."
            )
        _require_application(app, "WsgiClient", ("environ", "start_response"))
        super().__init__(
            base_url,
            headers=headers,
            auth=auth,
            follow_redirects=follow_redirects,
            transport=_WsgiTransport(app, raise_app_exceptions),
        )


class AsgiClient(HttpClient):
    """Call an ASGI application (Starlette, FastAPI...) as :class:`HttpClient` calls a server.

    The application starts up now and shuts down in ``close()``. It runs on an event loop of its
    own, in this thread and only while a request is answered: tasks it leaves behind wait for
    the next one. State that it holds in this process is NOT rolled back.

    :param base_url: what the application sees as its address.
    :param raise_app_exceptions: False turns an exception of the application into a 500.
    :raises ServerNotAnswering: the application failed to start up.
    """

    #: There is no network: an httpx error comes out of the application, and is a finding.
    transport_errors: ClassVar[tuple[type[Exception], ...]] = ()

    def __init__(
        self,
        app: AsgiApplication,
        *,
        base_url: str = "http://testserver",
        headers: Mapping[str, str] | None = None,
        auth: Auth = None,
        follow_redirects: bool = False,
        raise_app_exceptions: bool = True,
    ) -> None:
        _require_application(app, "AsgiClient", ("scope", "receive", "send"))
        transport = _AsgiTransport(app, raise_app_exceptions)
        super().__init__(
            base_url,
            headers=headers,
            auth=auth,
            follow_redirects=follow_redirects,
            transport=transport,
        )
        transport.start()


def _require_application(app: object, client: str, arguments: tuple[str, ...]) -> None:
    """Refuse what cannot be called as an application is, such as a function that makes one.

    :param arguments: of the application's call, in PEP 3333 or the specification of ASGI.
    """
    if not callable(app):
        raise DefinitionError(
            f"The application {app!r} was refused: it cannot be called. Pass the object itself, "
            "as in `from shop import app` and then WsgiClient(app) or AsgiClient(app)."
        )
    try:
        inspect.signature(app).bind(*arguments)
    except ValueError:
        return  # a builtin does not tell its signature; calling it will
    except TypeError as error:
        raise DefinitionError(
            f"{client} was given {app!r}, but an application is called as "
            f"app({', '.join(arguments)}): {error}. If it makes the application, write "
            f"{client}({getattr(app, '__name__', 'app')}())."
        ) from None


def _is_async(app: Any) -> bool:
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(type(app).__call__)


@attrs.define
class _Started:
    """What a WSGI application told ``start_response``, last call wins (PEP 3333)."""

    status: str = ""
    headers: list[tuple[str, str]] = attrs.field(factory=list)
    error: BaseException | None = None
    body: list[bytes] = attrs.field(factory=list)

    def __call__(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /
    ) -> Callable[[bytes], object]:
        self.status, self.headers = status, headers
        self.error = exc_info[1] if exc_info else None
        return self.body.append


class _WsgiTransport(httpx.BaseTransport):
    """Not ``httpx.WSGITransport``: that one fails on paths and headers that are not ASCII."""

    def __init__(self, app: WSGIApplication, raise_app_exceptions: bool) -> None:
        self._app = app
        self._raise = raise_app_exceptions

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        try:
            started = self._call(request)
        except Exception:
            if self._raise:
                raise
            _log.exception("%s %s raised in the application", request.method, request.url)
            started = _Started("500 Internal Server Error")
        body = b"" if request.method == "HEAD" else b"".join(started.body)
        return httpx.Response(
            int(started.status.split()[0]),
            headers=[(name.encode("latin-1"), v.encode("latin-1")) for name, v in started.headers],
            stream=httpx.ByteStream(body),
        )

    def _call(self, request: httpx.Request) -> _Started:
        started = _Started()
        result = self._app(_environ(request), started)
        try:
            started.body.extend(result)
        finally:
            if (close := getattr(result, "close", None)) is not None:
                close()
        if started.error is not None and self._raise:
            raise started.error
        if not started.status:
            raise RuntimeError(f"{self._app!r} returned without calling start_response")
        return started


def _environ(request: httpx.Request) -> dict[str, Any]:
    url = request.url
    content = request.read()
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        # PEP 3333: the unquoted bytes, as a str that holds one byte in each character.
        "PATH_INFO": unquote_to_bytes(url.raw_path.partition(b"?")[0]).decode("latin-1"),
        "QUERY_STRING": url.query.decode("latin-1"),
        "SERVER_NAME": url.host,
        "SERVER_PORT": str(url.port or (443 if url.scheme == "https" else 80)),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": url.scheme,
        "wsgi.input": io.BytesIO(content),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers.raw:
        key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]}, {text}" if key in environ else text
    # A streamed body has no length of its own, but was read already.
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ.pop("HTTP_CONTENT_LENGTH", None)
    environ["CONTENT_LENGTH"] = str(len(content))
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
    return environ


class _AsgiTransport(httpx.BaseTransport):
    """Runs ``httpx.ASGITransport``, which is async only, on one event loop in this thread."""

    def __init__(self, app: AsgiApplication, raise_app_exceptions: bool) -> None:
        self._app = app
        self._raise = raise_app_exceptions
        self._transport = httpx.ASGITransport(self._serve, raise_app_exceptions)
        self._lifespan = _Lifespan(app)
        self._runner = asyncio.Runner()

    def start(self) -> None:
        try:
            self._run(self._lifespan.startup)
        except BaseException:
            self._runner.close()
            raise

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._run(lambda: self._answer(request))

    def close(self) -> None:
        _require_no_running_loop()
        try:
            self._run(self._lifespan.shutdown)
        finally:
            self._runner.close()

    def _run(self, call: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        _require_no_running_loop()
        return self._runner.run(call())

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        response = await self._transport.handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        body = b"".join([chunk async for chunk in response.stream])
        return httpx.Response(
            response.status_code, headers=response.headers, stream=httpx.ByteStream(body)
        )

    async def _serve(self, scope: _Message, receive: Any, send: Any) -> None:
        scope["state"] = self._lifespan.state.copy()
        try:
            await self._app(scope, receive, send)
        except Exception:
            if not self._raise:
                _log.exception("%(method)s %(path)s raised in the application", scope)
            raise


def _require_no_running_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise DefinitionError(
        "AsgiClient was called where an event loop is running: it runs the application on a loop "
        "of its own, and a thread can run only one. Call it from a plain `def`, not from an "
        "`async def`."
    )


class _Lifespan:
    """Starts an application up and shuts it down.

    Source: the ASGI lifespan protocol, https://asgi.readthedocs.io/en/latest/specs/lifespan.html
    """

    def __init__(self, app: AsgiApplication) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._error: Exception | None = None

    async def startup(self) -> None:
        self._to_app: asyncio.Queue[_Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[_Message | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._run())
        answer = await self._tell("lifespan.startup")
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            await asyncio.wait({self._task}, timeout=_FAILED_EXIT_SECONDS)
            raise ServerNotAnswering(
                f"The application {self._app!r} failed to start up: {self._reason(answer)}. "
                "Correct its startup (lifespan) code; nothing was sent to it yet."
            ) from self._error

    async def shutdown(self) -> None:
        # The specification: an application that ends at once does not support the protocol.
        if self._task.done():
            return
        answer = await self._tell("lifespan.shutdown")
        await asyncio.wait({self._task}, timeout=_FAILED_EXIT_SECONDS)
        if answer is not None and answer["type"] == "lifespan.shutdown.failed":
            raise WorldError(
                f"The application {self._app!r} failed to shut down: {self._reason(answer)}. "
                "Correct its shutdown (lifespan) code; the run itself was complete."
            ) from self._error

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": self.state}
        try:
            await self._app(scope, self._to_app.get, self._from_app.put)
        except Exception as error:
            self._error = error
        finally:
            self._from_app.put_nowait(None)

    async def _tell(self, event: str) -> _Message | None:
        await self._to_app.put({"type": event})
        return await self._from_app.get()

    def _reason(self, answer: _Message) -> str:
        return repr(self._error) if self._error is not None else str(answer.get("message", ""))
