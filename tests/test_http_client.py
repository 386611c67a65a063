"""HttpClient against real servers on 127.0.0.1."""

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

import attrs
import httpx
import pytest

from venomqa_hyp.adapters.http import HttpClient, RequestRecord
from venomqa_hyp.errors import DefinitionError, ServerNotAnswering
from venomqa_hyp.testing import check_rollbackable
from venomqa_hyp.world.rollbackable import Rollbackable

BODIES = {
    "/json": ("application/json; charset=utf-8", b'{"total": 3}'),
    "/problem": ("application/problem+json", b'{"title": "no"}'),
    "/broken-json": ("application/json", b"{oops"),
    "/text": ("text/plain; charset=latin-1", b"caf\xe9"),
    "/bytes": ("application/octet-stream", b"\xff\x00\xfe"),
    "/empty": ("text/plain", b""),
}


class Handler(BaseHTTPRequestHandler):
    """/login and /logout set and delete a cookie; /echo shows the request as JSON."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        """Answer any method."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        if path == "/hang-up":
            self.close_connection = True
        elif path.startswith("/redirect/"):
            self.reply(302, "text/plain", b"", location=path.removeprefix("/redirect/"))
        elif path in BODIES:
            self.reply(200, *BODIES[path])
        else:
            self.reply(200, "application/json", self.echo(body))

    def echo(self, body: bytes) -> bytes:
        """Return the request as JSON."""
        shown = {"method": self.command, "path": self.path, "body": body.decode()}
        return json.dumps(
            shown | {"headers": {k.lower(): v for k, v in self.headers.items()}}
        ).encode()

    def reply(self, status: int, kind: str, body: bytes, location: str | None = None) -> None:
        """Send an answer, with the cookie that the path asks for."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        if self.path.startswith("/login"):
            _, _, user = self.path.partition("?")
            self.send_header("Set-Cookie", f"sid={user or 'one'}; Path=/; Max-Age=600; HttpOnly")
            self.send_header("Set-Cookie", "cart=full; Path=/cart")
        if self.path == "/logout":
            self.send_header("Set-Cookie", "sid=; Path=/; Max-Age=0")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = answer  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Stay quiet."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.fixture
def api(server: str) -> Iterator[HttpClient]:
    client = HttpClient(server)
    yield client
    client.close()


@pytest.fixture
def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def sent_cookie(api: HttpClient, path: str = "/echo") -> str | None:
    """Return the Cookie header that really reaches the server."""
    response = api.get(path)
    return dict[str, str](response.json()["headers"]).get("cookie")


def sent_header(api: HttpClient, name: str, **options: Any) -> str | None:
    """Return a header that really reaches the server."""
    response = api.get("/echo", **options)
    return dict[str, str](response.json()["headers"]).get(name)


def session_of(api: HttpClient) -> tuple[Any, ...]:
    """Return auth, tenant header, number of cookies and the users logged in so far."""
    users = [record.url.partition("?")[2] for record in api.history]
    return api.auth, api.headers.get("X-Tenant"), len(api.cookies.jar), users


def test_client_is_rollbackable(api: HttpClient) -> None:
    """The client satisfies the contract of the World."""
    assert isinstance(api, Rollbackable)


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options"])
def test_each_method_reaches_the_server(api: HttpClient, method: str) -> None:
    """A method of the client sends the HTTP method of that name."""
    assert getattr(api, method)("/echo").json()["method"] == method.upper()


def test_head_has_no_body(api: HttpClient) -> None:
    """HEAD answers with headers only."""
    response = api.head("/echo")
    assert (response.status_code, response.content) == (200, b"")


def test_urls_are_relative_to_base_url(server: str) -> None:
    """A path in base_url is kept in front of every relative URL."""
    api = HttpClient(f"{server}/v1")
    assert api.get("/orders", params={"page": 2}).json()["path"] == "/v1/orders?page=2"
    api.close()


def test_cookie_set_after_the_checkpoint_is_gone_after_rollback(api: HttpClient) -> None:
    """A login that was rolled back leaves no cookie, neither held nor sent."""
    before = api.checkpoint("before login")
    api.post("/login")
    assert sent_cookie(api) == "sid=one"
    api.rollback(before)
    assert len(api.cookies.jar) == 0
    assert sent_cookie(api) is None


def test_deleted_cookie_comes_back_with_domain_path_and_expiry(api: HttpClient) -> None:
    """A logout that was rolled back restores every attribute of each cookie."""
    api.post("/login")
    wanted = [vars(cookie).copy() for cookie in api.cookies.jar]
    logged_in = api.checkpoint("logged in")
    api.post("/logout")
    api.cookies.clear()
    api.rollback(logged_in)
    assert [vars(cookie) for cookie in api.cookies.jar] == wanted
    assert {cookie.expires is None for cookie in api.cookies.jar} == {True, False}
    assert sent_cookie(api) == "sid=one"
    assert sent_cookie(api, "/cart") == "cart=full; sid=one"


def test_expiry_alone_rolls_back_too(api: HttpClient) -> None:
    """A cookie whose expiry moved gets its old expiry again."""
    api.post("/login")
    (cookie,) = (each for each in api.cookies.jar if each.name == "sid")
    expires = cookie.expires
    handle = api.checkpoint("logged in")
    cookie.expires = (expires or 0) + 1000
    api.rollback(handle)
    assert {each.expires for each in api.cookies.jar if each.name == "sid"} == {expires}


def test_going_to_a_later_handle_restores_the_later_session(api: HttpClient) -> None:
    """Handles are independent: earlier, later and earlier again all work."""
    empty = api.checkpoint("empty")
    api.post("/login?ann")
    api.auth = "ann-token"
    api.headers["X-Tenant"] = "ann"
    ann = api.checkpoint("ann")
    api.rollback(empty)
    api.post("/login?bob")
    api.auth = ("bob", "pw")
    bob = api.checkpoint("bob")
    for _ in range(2):
        api.rollback(ann)
        assert session_of(api) == ("ann-token", "ann", 2, ["ann"])
        assert sent_cookie(api) == "sid=ann"
        api.rollback(empty)
        assert session_of(api) == (None, None, 0, [])
        api.rollback(bob)
        assert session_of(api) == (("bob", "pw"), None, 2, ["bob"])
        assert sent_cookie(api) == "sid=bob"


def test_handle_survives_changes_to_the_cookies_it_restored(api: HttpClient) -> None:
    """A handle gives the same session again, whatever was done to the first one."""
    api.cookies.set("a", "1")
    handle = api.checkpoint("a is 1")
    for _ in range(2):
        api.cookies.clear()
        api.rollback(handle)
        (cookie,) = api.cookies.jar
        assert cookie.value == "1"
        cookie.value = "2"


def test_sibling_branches_have_their_own_history(api: HttpClient) -> None:
    """Going on from one handle twice never mixes the requests of the two branches."""
    api.get("/text")
    root = api.checkpoint("root")
    api.get("/json")
    left = api.checkpoint("left")
    api.rollback(root)
    api.get("/empty")
    api.rollback(left)
    assert [httpx.URL(record.url).path for record in api.history] == ["/text", "/json"]


def test_headers_and_cookies_are_restored_in_place(api: HttpClient) -> None:
    """An action that holds on to the headers or the cookies sees the rollback."""
    headers, cookies = api.headers, api.cookies
    handle = api.checkpoint("start")
    headers["X-Tenant"] = "a"
    cookies.set("a", "1")
    api.rollback(handle)
    assert "X-Tenant" not in headers
    assert len(cookies.jar) == 0


def test_headers_outside_ascii_survive_observation_and_rollback(api: HttpClient) -> None:
    """Looking at the session does not fix the encoding of later headers."""
    api.observe()
    api.headers["X-Name"] = "Zoë"
    named = api.checkpoint("named")
    api.headers["X-Name"] = "Ann"
    api.rollback(named)
    assert api.headers["X-Name"] == "Zoë"


CHANGES: dict[str, Callable[[HttpClient], Any]] = {
    "a new header": lambda api: api.headers.update({"X-Tenant": "b"}),
    "another value of a header": lambda api: api.headers.update({"X-Old": "2"}),
    "a header removed": lambda api: api.headers.pop("X-Old"),
    "a cookie from the server": lambda api: api.post("/login"),
    "a cookie set": lambda api: api.cookies.set("new", "1"),
    "another value of a cookie": lambda api: api.cookies.set("old", "2"),
    "a cookie changed in place": lambda api: setattr(next(iter(api.cookies.jar)), "value", "3"),
    "the same cookie for another path": lambda api: api.cookies.set("old", "1", path="/admin"),
    "the same cookie for another domain": lambda api: api.cookies.set("old", "1", domain="x.test"),
    "a cookie deleted": lambda api: api.cookies.delete("old"),
    "bearer auth": lambda api: setattr(api, "auth", "token"),
    "basic auth": lambda api: setattr(api, "auth", ("user", "password")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_any_change_shows_in_the_observation_and_rolls_back(
    api: HttpClient, change: Callable[[HttpClient], Any]
) -> None:
    """Observations differ after a change, and are equal again after rollback."""
    api.headers["X-Old"] = "1"
    api.cookies.set("old", "1")
    before = api.observe()
    handle = api.checkpoint("before")
    change(api)
    after = api.observe()
    changed = api.checkpoint("after")
    api.rollback(handle)
    assert api.observe() == before != after
    api.rollback(changed)
    assert api.observe() == after


def test_requests_alone_do_not_change_the_observation(api: HttpClient) -> None:
    """The history is no part of the state, or no two paths would ever meet."""
    before = api.observe()
    api.get("/json")
    assert api.observe() == before


def test_expiry_times_do_not_change_the_observation(api: HttpClient) -> None:
    """Two logins at different times show the same state; the time is metadata."""
    api.post("/login")
    before = api.observe()
    (cookie,) = (each for each in api.cookies.jar if each.name == "sid")
    cookie.expires = (cookie.expires or 0) + 7
    assert api.observe() == before
    assert api.observe().metadata["cookie_expires"] == {
        "sid; Domain=127.0.0.1; Path=/": cookie.expires
    }
    cookie.expires = None
    assert api.observe() != before


def test_observation_does_not_follow_later_changes(api: HttpClient) -> None:
    """An observation taken is a copy."""
    api.cookies.set("a", "1")
    before = api.observe()
    next(iter(api.cookies.jar)).value = "2"
    api.headers["X-Tenant"] = "b"
    assert before.data["cookies"]["a; Domain=; Path=/"]["value"] == "1"
    assert "x-tenant" not in before.data["headers"]


def test_observing_an_unchanged_session_costs_next_to_nothing(api: HttpClient) -> None:
    """Observe and checkpoint are cached: they run after every step."""
    api.post("/login")
    first, handle = api.observe(), api.checkpoint("logged in")
    assert api.observe() is first
    api.cookies.clear()
    api.rollback(handle)
    assert api.observe() is first
    started = time.perf_counter()
    for _ in range(1000):
        api.observe()
        api.checkpoint("step")
    # Measured 12 microseconds for both; the limit leaves room for a busy machine.
    assert time.perf_counter() - started < 0.2


def test_auth_pair_is_http_basic(api: HttpClient) -> None:
    """A pair is sent as RFC 7617 says."""
    api.auth = ("ann", "secret")
    expected = "Basic " + base64.b64encode(b"ann:secret").decode()
    assert sent_header(api, "authorization") == expected


def test_auth_str_is_a_bearer_token(api: HttpClient) -> None:
    """A str is sent as RFC 6750 says."""
    api.auth = "abc"
    assert sent_header(api, "authorization") == "Bearer abc"


def test_auth_of_one_request_wins(api: HttpClient) -> None:
    """What a request says itself is more specific than the session."""
    api.auth = "abc"
    assert sent_header(api, "authorization", auth="other") == "Bearer other"
    assert sent_header(api, "authorization", auth=None) is None
    assert sent_header(api, "authorization", headers={"authorization": "Odd x"}) == "Odd x"
    assert sent_header(api, "authorization") == "Bearer abc"


def test_environment_does_not_change_requests(
    server: str, closed_port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy named by the environment is not used unless asked for."""
    monkeypatch.setenv("HTTP_PROXY", closed_port)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    api = HttpClient(server)
    assert api.get("/json").status_code == 200
    api.close()
    proxied = HttpClient(server, trust_env=True)
    with pytest.raises(httpx.ConnectError):
        proxied.get("/json")
    proxied.close()


def test_redirects_are_not_followed_by_default(api: HttpClient) -> None:
    """A redirect is an answer like any other."""
    assert api.get("/redirect//echo").status_code == 302


def test_redirect_to_another_host_carries_no_auth(server: str) -> None:
    """Followed to another origin, Authorization stays behind; each hop is recorded."""
    other = server.replace("127.0.0.1", "localhost")
    api = HttpClient(server, auth="secret", follow_redirects=True)
    assert "authorization" in api.get("/redirect//echo").json()["headers"]
    assert "authorization" not in api.get(f"/redirect/{other}/echo").json()["headers"]
    assert [record.status for record in api.history] == [302, 200, 302, 200]
    assert [record.url for record in api.history[2:]] == [
        f"{server}/redirect/{other}/echo",
        f"{other}/echo",
    ]
    api.close()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/json", {"total": 3}),
        ("/problem", {"title": "no"}),
        ("/broken-json", "{oops"),
        ("/text", "café"),
        ("/bytes", b"\xff\x00\xfe"),
        ("/empty", None),
    ],
)
def test_history_decodes_bodies_by_content_type(api: HttpClient, path: str, body: object) -> None:
    """JSON where the type is JSON, else text, else bytes; None when empty."""
    api.get(path)
    assert api.history[-1].response_body == body


def test_history_shows_what_was_sent(api: HttpClient) -> None:
    """A record holds method, URL, headers, body, status and seconds."""
    api.post("/echo", json={"amount": 5}, params={"dry": 1}, headers={"X-One": "1"})
    (record,) = api.history
    assert (record.method, record.url) == ("POST", f"{api.base_url}/echo?dry=1")
    assert ("x-one", "1") in record.request_headers
    assert record.request_body == {"amount": 5}
    assert (record.status, record.error) == (200, None)
    assert 0 < record.duration < 10
    assert json.loads(record.response_body["body"]) == {"amount": 5}


def test_long_and_streamed_bodies_stay_whole(api: HttpClient) -> None:
    """Bodies are never cut, even when they were sent piece by piece."""
    api.post(
        "/echo", content=(b"x" * 1000 for _ in range(300)), headers={"Content-Length": "300000"}
    )
    (record,) = api.history
    assert record.request_body == "x" * 300_000 == record.response_body["body"]


def test_history_cannot_be_changed(api: HttpClient) -> None:
    """Records are frozen, and a decoded body is a new one each time."""
    api.get("/json")
    (record,) = api.history
    record.response_body["total"] = 4
    assert api.history[0].response_body == {"total": 3}
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        record.status = 500  # type: ignore[misc]


def test_transport_error_reaches_the_action_and_the_history(closed_port: str) -> None:
    """httpx's error comes out unchanged, of a type in transport_errors."""
    api = HttpClient(closed_port)
    with pytest.raises(httpx.ConnectError) as caught:
        api.post("/orders", json={"a": 1})
    assert isinstance(caught.value, HttpClient.transport_errors)
    (record,) = api.history
    assert (record.status, record.response_body, record.request_body) == (None, None, {"a": 1})
    assert record.error == f"ConnectError: {caught.value}"
    api.close()


def test_server_that_never_answers_ends_the_run(silent_server: str) -> None:
    """After max_unanswered requests the error says what was sent and what to do."""
    api = HttpClient(silent_server, timeout=0.1)
    for path in ("/first", "/second"):
        with pytest.raises(httpx.ReadTimeout):
            api.get(path)
    with pytest.raises(ServerNotAnswering) as caught:
        api.get("/third")
    assert isinstance(caught.value.__cause__, httpx.ReadTimeout)
    assert str(caught.value) == (
        f"{silent_server} left 3 requests in a row unanswered. Last error: ReadTimeout: timed out\n"
        "  last answered:    none, since this client was made\n"
        f"  first unanswered: GET {silent_server}/first\n"
        "Start the server, or correct base_url=; if it is only slow, raise timeout= (now 0.1 "
        "seconds). If just this one request gets no answer while others do, it stops the server: "
        "look there first, or raise max_unanswered= (now 3)."
    )
    assert len(api.history) == 3
    api.close()


def test_error_names_the_last_answered_and_the_first_unanswered(api: HttpClient) -> None:
    """A server that dies on a request is pinned down by the two requests around it."""
    api.get("/json")
    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError):
            api.get("/hang-up")
    with pytest.raises(ServerNotAnswering) as caught:
        api.get("/hang-up")
    assert f"last answered:    GET {api.base_url}/json (status 200)" in str(caught.value)
    assert f"first unanswered: GET {api.base_url}/hang-up" in str(caught.value)


def test_rollback_does_not_reset_the_count(closed_port: str) -> None:
    """Whether the server answers is a fact outside the World."""
    api = HttpClient(closed_port, max_unanswered=2)
    handle = api.checkpoint("start")
    with pytest.raises(httpx.ConnectError):
        api.get("/")
    api.rollback(handle)
    with pytest.raises(ServerNotAnswering, match="left 2 requests in a row unanswered"):
        api.get("/")
    api.close()


def test_an_answer_resets_the_count(api: HttpClient) -> None:
    """Only requests in a row count."""
    for _ in range(4):
        for _ in range(2):
            with pytest.raises(httpx.RemoteProtocolError):
                api.get("/hang-up")
        api.get("/json")


def test_requests_to_other_hosts_and_wrong_urls_do_not_count(
    api: HttpClient, closed_port: str
) -> None:
    """What says nothing about the server under test never ends the run."""
    for _ in range(3):
        with pytest.raises(httpx.ConnectError):
            api.get(f"{closed_port}/hook")
        with pytest.raises(httpx.UnsupportedProtocol):
            api.get(api.base_url.replace("http", "ftp"))
    assert len(api.history) == 6


def test_check_ready_returns_when_the_server_listens(api: HttpClient) -> None:
    """A listening server is ready at once, and no request is sent."""
    api.check_ready(timeout=1.0)
    assert api.history == ()


def test_check_ready_waits_for_a_server_that_starts_late(closed_port: str) -> None:
    """Connecting is tried again until the server is there."""
    port = httpx.URL(closed_port).port
    listeners = []
    late = threading.Timer(
        0.3, lambda: listeners.append(socket.create_server(("127.0.0.1", port or 0)))
    )
    late.start()
    api = HttpClient(closed_port)
    api.check_ready(timeout=10.0)
    late.join()
    listeners[0].close()
    api.close()


def test_check_ready_says_what_it_tried(closed_port: str) -> None:
    """The error names the URL, the seconds, the system's error and the remedy."""
    api = HttpClient(closed_port)
    port = httpx.URL(closed_port).port
    with pytest.raises(ServerNotAnswering) as caught:
        api.check_ready(timeout=0.2)
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)
    assert str(caught.value) == (
        f"No connection to {closed_port} (host 127.0.0.1, port {port}) in 0.2 seconds: "
        f"{caught.value.__cause__}. Start the server, or correct base_url=; if it starts slowly, "
        "write check_ready(timeout=0.4)."
    )
    api.close()


def test_check_ready_needs_no_network_with_a_transport(closed_port: str) -> None:
    """With a transport of the user's there is nothing to connect to."""
    api = HttpClient(closed_port, transport=httpx.HTTPTransport())
    api.check_ready(timeout=0.1)
    api.close()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"base_url": 8000}, ["base_url=8000", "must be a str", 'base_url="http://127.0.0.1']),
        ({"base_url": "localhost:80"}, ["base_url='localhost:80'", "start with http:// or"]),
        ({"base_url": "ftp://a"}, ["base_url='ftp://a'", "start with http:// or https://"]),
        ({"base_url": "http://"}, ["base_url='http://'", "and a host"]),
        ({"base_url": "http://a:b"}, ["base_url='http://a:b'", "not a URL"]),
        ({"base_url": "http://me:pw@a"}, ["base_url= for a", "write auth=(user, password)"]),
        ({"timeout": -1}, ["timeout=-1", "above 0", "Write timeout=10.0"]),
        ({"timeout": None}, ["timeout=None", "for ever", "Write timeout=10.0"]),
        ({"max_unanswered": 0}, ["max_unanswered=0", "at least 1", "Write max_unanswered=3"]),
        ({"max_unanswered": True}, ["max_unanswered=True", "an int"]),
        ({"auth": ["a", "b"]}, ["auth of type list", "compared and rolled back", "auth=("]),
        ({"auth": "Bearer x"}, ["auth of type str", "the token alone"]),
        ({"auth": httpx.BasicAuth("a", "b")}, ["auth of type BasicAuth", "plain values"]),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], parts: list[str]) -> None:
    """The error says what was refused, why, and what to write instead."""
    with pytest.raises(DefinitionError) as caught:
        HttpClient(**{"base_url": "http://127.0.0.1:1", **arguments})
    for part in parts:
        assert part in str(caught.value)
    assert "pw" not in str(caught.value)


def test_wrong_auth_is_refused_later_too(api: HttpClient) -> None:
    """Assigning auth checks it like the constructor, and does not print it."""
    with pytest.raises(DefinitionError) as caught:
        api.auth = ("only-one-secret",)  # type: ignore[assignment]
    assert "only-one-secret" not in str(caught.value)
    assert api.auth is None


def test_record_can_be_built_by_hand() -> None:
    """Reporters and their tests need no server to have a record."""
    record = RequestRecord(method="GET", url="http://a/", duration=0.1)
    assert (record.request_body, record.response_body, record.status) == (None, None, None)


def test_the_client_passes_the_conformance_suite() -> None:
    """Cookies, default headers and auth roll back as any system does."""

    def set_cookie(client: HttpClient, random: Random) -> None:
        client.cookies.set(f"c{random.randrange(3)}", str(random.random()))

    def set_header(client: HttpClient, random: Random) -> None:
        client.headers[f"X-{random.randrange(3)}"] = str(random.random())

    def log_in(client: HttpClient, random: Random) -> None:
        client.auth = ("ada", str(random.random()))

    check_rollbackable(lambda: HttpClient("http://127.0.0.1:9"), [set_cookie, set_header, log_in])


def test_a_transport_that_answers_at_once_is_recorded() -> None:
    """As httpx's own for tests; the time is what it took here."""
    transport = httpx.MockTransport(lambda request: httpx.Response(204))
    with closing(HttpClient("http://127.0.0.1:1", transport=transport)) as client:
        assert client.get("/").status_code == 204
        (record,) = client.history
    assert record.duration >= 0
