"""WsgiClient and AsgiClient with Flask, Starlette and bare applications."""

import asyncio
import contextlib
import logging
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from typing import Any

import flask
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from venomqa_hyp.adapters.http import HttpClient
from venomqa_hyp.adapters.inprocess import AsgiClient, WsgiClient
from venomqa_hyp.errors import DefinitionError, ServerNotAnswering, WorldError


class Broken(Exception):
    """A defect of the application."""


def flask_app() -> flask.Flask:
    """Return an application with the same routes as :func:`starlette_app`."""
    app = flask.Flask(__name__)
    app.config["PROPAGATE_EXCEPTIONS"] = True

    @app.post("/login")
    def login() -> flask.Response:
        response = flask.jsonify(ok=True)
        response.set_cookie("sid", "one", max_age=600)
        response.set_cookie("theme", "dark")
        return response

    @app.route("/echo/<path:rest>", methods=["GET", "POST"])
    def echo(rest: str) -> flask.Response:
        request = flask.request
        return flask.jsonify(
            path=rest,
            query=request.args.get("q"),
            body=request.get_data(as_text=True),
            cookies=dict(request.cookies),
            auth=request.headers.get("Authorization"),
        )

    @app.get("/boom")
    def boom() -> str:
        raise Broken("in the view")

    return app


def starlette_app(**options: Any) -> Starlette:
    """Return an application with the same routes as :func:`flask_app`."""

    def login(request: Request) -> Response:
        response = JSONResponse({"ok": True})
        response.set_cookie("sid", "one", max_age=600)
        response.set_cookie("theme", "dark")
        return response

    async def echo(request: Request) -> Response:
        shown = {
            "path": request.path_params["rest"],
            "query": request.query_params.get("q"),
            "body": (await request.body()).decode(),
            "cookies": request.cookies,
            "auth": request.headers.get("Authorization"),
        }
        return JSONResponse(shown)

    async def boom(request: Request) -> Response:
        raise Broken("in the view")

    routes = [
        Route("/login", login, methods=["POST"]),
        Route("/echo/{rest:path}", echo, methods=["GET", "POST"]),
        Route("/boom", boom),
    ]
    return Starlette(routes=[*routes, *options.pop("routes", [])], **options)


def make_client(kind: str, **options: Any) -> HttpClient:
    """Return a client of one kind over an application of its own."""
    if kind == "wsgi":
        return WsgiClient(flask_app(), **options)
    return AsgiClient(starlette_app(), **options)


@pytest.fixture(params=["wsgi", "asgi"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def api(kind: str) -> Iterator[HttpClient]:
    client = make_client(kind)
    yield client
    client.close()


def test_cookies_set_in_process_roll_back_and_come_back(api: HttpClient) -> None:
    """The session is the same as over a network: to earlier and to later handles."""
    before = api.checkpoint("before")
    empty = api.observe()
    api.post("/login")
    after = api.checkpoint("after")
    logged_in = api.observe()
    api.rollback(before)
    assert api.get("/echo/a").json()["cookies"] == {}
    assert api.observe() == empty != logged_in
    api.rollback(after)
    assert api.get("/echo/a").json()["cookies"] == {"sid": "one", "theme": "dark"}
    assert api.observe() == logged_in
    assert [record.status for record in api.history] == [200, 200]


@pytest.mark.parametrize("text", ["plain", "café", "日本", "a b", "100%", "\xff"])
def test_any_text_reaches_the_application(api: HttpClient, text: str) -> None:
    """Path, query and body arrive as they were sent, whatever the characters."""
    shown = api.post(f"/echo/{text.replace('%', '%25')}", params={"q": text}, content=text).json()
    assert (shown["path"], shown["query"], shown["body"]) == (text, text, text)


def test_streamed_body_reaches_the_application(api: HttpClient) -> None:
    """A body without a length is still read whole."""
    assert api.post("/echo/a", content=iter([b"ab", b"cd"])).json()["body"] == "abcd"


def test_auth_reaches_the_application(api: HttpClient) -> None:
    """Auth works as over a network."""
    api.auth = "abc"
    assert api.get("/echo/a").json()["auth"] == "Bearer abc"


def test_head_has_no_body(api: HttpClient) -> None:
    """HEAD answers with headers only."""
    assert api.head("/echo/a").content == b""


def test_check_ready_has_nothing_to_wait_for(api: HttpClient) -> None:
    """Without a network the application is always ready."""
    started = time.monotonic()
    api.check_ready()
    assert time.monotonic() - started < 1


def test_exception_of_the_application_comes_out_with_its_traceback(api: HttpClient) -> None:
    """By default the defect itself is the finding, however often it happens."""
    for _ in range(5):
        with pytest.raises(Broken, match="in the view") as caught:
            api.get("/boom")
        assert caught.traceback[-1].name == "boom"
    assert {record.error for record in api.history} == {"Broken: in the view"}
    assert not isinstance(caught.value, api.transport_errors)


def test_exception_becomes_a_500_when_asked_for(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Then it is like a real server, and the traceback is in the log."""
    api = make_client(kind, raise_app_exceptions=False)
    with caplog.at_level(logging.ERROR):
        assert api.get("/boom").status_code == 500
    api.close()
    assert "/boom raised in the application" in caplog.text
    assert "Broken: in the view" in caplog.text


def test_application_that_is_not_callable_is_refused(kind: str) -> None:
    """A dotted string is not an application."""
    client = WsgiClient if kind == "wsgi" else AsgiClient
    with pytest.raises(DefinitionError, match="'shop:app' was refused: it cannot be called"):
        client("shop:app")  # type: ignore[arg-type]


def test_wsgi_client_refuses_an_asgi_application() -> None:
    """The error names the client that fits."""
    with pytest.raises(DefinitionError, match=r"Write AsgiClient\(app\)\."):
        WsgiClient(starlette_app())  # type: ignore[arg-type]


def test_wsgi_exception_info_is_raised() -> None:
    """An error page given to start_response with exc_info is a defect too."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        try:
            raise Broken("handled")
        except Broken as error:
            start_response("500 Oops", [], (Broken, error, error.__traceback__))
        return [b"page"]

    with pytest.raises(Broken):
        WsgiClient(app).get("/")
    response = WsgiClient(app, raise_app_exceptions=False).get("/")
    assert (response.status_code, response.text) == (500, "page")


def test_wsgi_body_is_closed_and_a_generator_may_start_late() -> None:
    """PEP 3333: start_response may come with the first chunk, and close() is called."""
    closed = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        write = start_response("200 OK", [("X-Name", "caf\xe9")])
        write(b"a")
        try:
            yield b"b"
            yield b"c"
        finally:
            closed.append(True)

    response = WsgiClient(app).get("/")
    assert (response.text, closed) == ("abc", [True])
    assert response.headers["X-Name"] == "café"


def test_wsgi_application_without_an_answer_is_named() -> None:
    """An application that forgets start_response is reported as such."""
    with pytest.raises(RuntimeError, match="returned without calling start_response"):
        WsgiClient(lambda environ, start_response: []).get("/")


def test_asgi_application_starts_up_and_shuts_down_once() -> None:
    """Lifespan runs on the loop of the requests, and its state reaches them."""
    events: list[str] = []
    loops = set()

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        events.append("up")
        loops.add(asyncio.get_running_loop())
        yield {"pool": "opened"}
        loops.add(asyncio.get_running_loop())
        events.append("down")

    async def pool(request: Request) -> Response:
        loops.add(asyncio.get_running_loop())
        return PlainTextResponse(request.state.pool)

    api = AsgiClient(starlette_app(lifespan=lifespan, routes=[Route("/pool", pool)]))
    assert events == ["up"]
    assert [api.get("/pool").text for _ in range(2)] == ["opened", "opened"]
    api.close()
    api.close()
    assert events == ["up", "down"]
    assert len(loops) == 1


def failing_lifespan(when: str) -> Any:
    """Return a lifespan that fails at startup or at shutdown."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        if when == "startup":
            raise Broken("no database")
        yield
        raise Broken("pool stuck")

    return lifespan


def test_failed_startup_is_reported_with_its_cause() -> None:
    """The World cannot be opened with an application that does not start."""
    with pytest.raises(ServerNotAnswering, match="failed to start up: Broken") as caught:
        AsgiClient(starlette_app(lifespan=failing_lifespan("startup")))
    assert isinstance(caught.value.__cause__, Broken)


def test_failed_shutdown_is_reported_with_its_cause() -> None:
    """A failure at the end is not silent."""
    api = AsgiClient(starlette_app(lifespan=failing_lifespan("shutdown")))
    with pytest.raises(WorldError, match="failed to shut down: Broken") as caught:
        api.close()
    assert isinstance(caught.value.__cause__, Broken)


def test_asgi_application_without_lifespan_works() -> None:
    """The protocol is optional: an application that refuses it is served all the same."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 201, "headers": [(b"a", b"1")]})
        await send({"type": "http.response.body", "body": b"he", "more_body": True})
        await send({"type": "http.response.body", "body": b"llo"})

    api = AsgiClient(app)
    response = api.get("/")
    api.close()
    assert (response.status_code, response.text, response.headers["a"]) == (201, "hello", "1")


def test_background_tasks_of_a_response_are_done_when_it_is_there() -> None:
    """So what the World observes after the action is complete."""
    done = []

    async def later() -> None:
        await asyncio.sleep(0.01)
        done.append(True)

    async def start(request: Request) -> Response:
        return PlainTextResponse("ok", background=BackgroundTask(later))

    api = AsgiClient(starlette_app(routes=[Route("/start", start)]))
    api.get("/start")
    api.close()
    assert done == [True]


def test_asgi_client_inside_a_running_loop_is_refused() -> None:
    """A thread runs one event loop only; the error says where to call from."""
    api = AsgiClient(starlette_app())

    async def action() -> None:
        api.get("/echo/a")

    with pytest.raises(DefinitionError, match="Call it from a plain `def`"):
        asyncio.run(action())
    api.close()


def test_closed_asgi_client_leaves_nothing_open() -> None:
    """No event loop, task or thread is left for the interpreter to complain about."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        api = AsgiClient(starlette_app())
        api.post("/login")
        api.close()
