"""Stubs of HTTP services: the bundled server and WireMock itself, by the same tests.

WireMock runs where there is a Java. It comes with the `wiremock` package; VENOMQA_TEST_WIREMOCK
gives the path of another jar.
"""

import importlib.util
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from venomqa_hyp.adapters import StubServer, WireMockAdapter
from venomqa_hyp.errors import DefinitionError, SystemUnavailable
from venomqa_hyp.testing import check_rollbackable, volatile_places
from venomqa_hyp.testing.process import serve

Open = Callable[[], WireMockAdapter]


def jar() -> Path | None:
    if named := os.environ.get("VENOMQA_TEST_WIREMOCK"):
        return Path(named)
    package = importlib.util.find_spec("wiremock")
    if package is None or package.origin is None:
        return None
    return next((Path(package.origin).parent / "server").glob("wiremock-*.jar"), None)


@pytest.fixture(scope="module", params=["bundled", "wiremock"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Open]:
    """Return what opens an adapter with no stubs."""
    if request.param == "bundled":
        yield WireMockAdapter
        return
    java, found = shutil.which("java"), jar()
    if java is None or found is None:
        missing = "needs a Java and the package wiremock, which carries the server"
        if os.environ.get("VENOMQA_TEST_REQUIRE_SERVERS") == "1":
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)
    root = tmp_path_factory.mktemp("wiremock")
    options = ["--port", "{port}", "--root-dir", str(root), "--bind-address", "127.0.0.1"]
    command = [java, "-jar", str(found), *options, "--container-threads", "10"]
    with serve(command, startup_timeout=60) as server:

        def empty() -> WireMockAdapter:
            httpx.post(f"{server.url}/__admin/reset").raise_for_status()
            return WireMockAdapter(server.url)

        yield empty


@pytest.fixture
def stubs(opened: Open) -> Iterator[WireMockAdapter]:
    with opened() as adapter:
        yield adapter


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as made:
        yield made


def mappings(stubs: WireMockAdapter, client: httpx.Client) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = client.get(f"{stubs.url}/__admin/mappings").json()["mappings"]
    return listed


def test_keeps_the_contract(opened: Open, client: httpx.Client) -> None:
    """Every rule of Rollbackable: stubs, their order, scenarios, requests, edits, deletions."""

    def add(stubs: WireMockAdapter, chance: random.Random) -> None:
        stubs.stub(
            {"method": "POST", "urlPath": f"/charge/{chance.randrange(3)}"},
            {"status": chance.choice([200, 201, 402]), "jsonBody": {"n": chance.random()}},
            priority=chance.choice([1, 5]),
        )

    def step(stubs: WireMockAdapter, chance: random.Random) -> None:
        name = f"pay-{chance.randrange(2)}.x~"
        state, number = stubs.observe().data["scenarios"].get(name, "Started"), chance.random()
        request = {"method": "GET", "url": f"/{name}/{number}"}
        scenario = {"requiredScenarioState": state, "newScenarioState": f"at {number}"}
        stubs.stub(request, {"body": "next"}, scenarioName=name, **scenario)
        assert client.get(f"{stubs.url}/{name}/{number}").text == "next"

    def call(stubs: WireMockAdapter, chance: random.Random) -> None:
        url = f"{stubs.url}/charge/{chance.randrange(3)}?x={chance.randrange(9)}"
        client.post(url, content=chance.randbytes(4))

    def delete(stubs: WireMockAdapter, chance: random.Random) -> None:
        if listed := mappings(stubs, client):
            number = chance.choice(listed)["id"]
            client.delete(f"{stubs.url}/__admin/mappings/{number}").raise_for_status()
        else:
            add(stubs, chance)

    def edit(stubs: WireMockAdapter, chance: random.Random) -> None:
        if listed := mappings(stubs, client):
            edited = chance.choice(listed) | {"response": {"body": str(chance.random())}}
            url = f"{stubs.url}/__admin/mappings/{edited['id']}"
            client.put(url, json=edited).raise_for_status()
        else:
            add(stubs, chance)

    check_rollbackable(opened, [add, step, call, delete, edit], operations=25)


def test_requests_are_recorded_and_rolled_back(
    stubs: WireMockAdapter, client: httpx.Client
) -> None:
    """In order; also those that a rollback took away come back with a later handle."""
    stubs.stub({"method": "POST", "url": "/charge"}, {"status": 201, "jsonBody": {"id": 7}})
    empty = stubs.checkpoint("empty")
    client.post(f"{stubs.url}/charge", json={"amount": 5}, headers={"X-Key": "k"})
    client.get(f"{stubs.url}/elsewhere?q=1")
    two = stubs.checkpoint("two")
    stubs.rollback(empty)
    assert stubs.requests == ()
    client.post(f"{stubs.url}/charge", content=b"\xff")
    assert [request.body for request in stubs.requests] == [b"\xff"]
    stubs.rollback(two)
    charged, missed = stubs.requests
    assert (charged.method, charged.url, charged.json) == ("POST", "/charge", {"amount": 5})
    assert (charged.headers["x-key"], charged.matched, charged.status) == ("k", True, 201)
    assert (missed.url, missed.matched, missed.status) == ("/elsewhere?q=1", False, 404)


def test_repeated_headers_are_recorded(stubs: WireMockAdapter, client: httpx.Client) -> None:
    """As a list."""
    client.get(stubs.url, headers=[("X-A", "1"), ("X-B", "2"), ("X-A", "3")])
    (asked,) = stubs.requests
    assert (asked.headers["x-a"], asked.headers["x-b"]) == (["1", "3"], "2")


def test_scenarios_go_on_where_they_were(stubs: WireMockAdapter, client: httpx.Client) -> None:
    """A stub that answers once answers once again after a rollback."""
    request = {"method": "GET", "url": "/job"}
    stubs.stub(request, {"body": "done"}, scenarioName="job", requiredScenarioState="ready")
    stubs.stub(
        request,
        {"body": "wait"},
        scenarioName="job",
        requiredScenarioState="Started",
        newScenarioState="ready",
    )
    start = stubs.checkpoint("start")
    for _ in range(2):
        answers = [client.get(f"{stubs.url}/job").text for _ in range(3)]
        assert answers == ["wait", "done", "done"]
        assert stubs.observe().data["scenarios"] == {"job": "ready"}
        stubs.rollback(start)


@pytest.mark.parametrize(
    ("request_", "sent", "matched"),
    [
        ({"url": "/a?x=1"}, ("GET", "/a?x=1"), True),
        ({"url": "/a"}, ("GET", "/a?x=1"), False),
        ({"urlPath": "/a"}, ("GET", "/a?x=1"), True),
        ({"method": "POST", "urlPath": "/a"}, ("GET", "/a"), False),
        ({"method": "ANY", "urlPattern": "/a\\?x=\\d"}, ("GET", "/a?x=1"), True),
        ({"urlPathPattern": "/[ab]"}, ("GET", "/b?x"), True),
        ({"urlPathPattern": "/[ab]"}, ("GET", "/bc"), False),
        ({"urlPath": "/a", "queryParameters": {"x": {"equalTo": "1"}}}, ("GET", "/a?x=1"), True),
        ({"urlPath": "/a", "queryParameters": {"x": {"equalTo": "2"}}}, ("GET", "/a?x=1"), False),
        ({"urlPath": "/a", "queryParameters": {"x": {"absent": True}}}, ("GET", "/a"), True),
        ({"urlPath": "/a", "queryParameters": {"x": {"absent": True}}}, ("GET", "/a?x=1"), False),
        ({"urlPath": "/a", "headers": {"x-key": {"contains": "bc"}}}, ("GET", "/a"), True),
        ({"urlPath": "/a", "headers": {"X-Key": {"matches": "b.*"}}}, ("GET", "/a"), False),
        ({"urlPath": "/a", "headers": {"X-No": {"contains": "b"}}}, ("GET", "/a"), False),
        (
            {
                "urlPath": "/a",
                "headers": {"X-Key": {"equalTo": "ABCD", "caseInsensitive": True}},
            },
            ("GET", "/a"),
            True,
        ),
        ({"urlPath": "/a", "bodyPatterns": [{"contains": "amount"}]}, ("POST", "/a"), True),
        (
            {"urlPath": "/a", "bodyPatterns": [{"doesNotMatch": ".*list.*"}]},
            ("POST", "/a"),
            False,
        ),
        (
            {"urlPath": "/a", "bodyPatterns": [{"equalToJson": {"list": [1, 2], "amount": 5}}]},
            ("POST", "/a"),
            True,
        ),
        (
            {"urlPath": "/a", "bodyPatterns": [{"equalToJson": '{"amount": 5}'}]},
            ("POST", "/a"),
            False,
        ),
        (
            {
                "urlPath": "/a",
                "bodyPatterns": [
                    {
                        "equalToJson": {"list": [2, 1]},
                        "ignoreArrayOrder": True,
                        "ignoreExtraElements": True,
                    }
                ],
            },
            ("POST", "/a"),
            True,
        ),
    ],
)
def test_requests_match(
    stubs: WireMockAdapter,
    client: httpx.Client,
    request_: dict[str, Any],
    sent: tuple[str, str],
    matched: bool,
) -> None:
    """The bundled server decides as WireMock does."""
    stubs.stub(request_, {"status": 200, "body": "stub"})
    content = b'{"amount": 5, "list": [1, 2]}' if sent[0] == "POST" else None
    answer = client.request(
        sent[0], stubs.url + sent[1], content=content, headers={"X-Key": "abcd"}
    )
    assert answer.status_code == (200 if matched else 404)


def test_a_state_without_a_scenario_asks_for_nothing(
    stubs: WireMockAdapter, client: httpx.Client
) -> None:
    """As WireMock has it."""
    stubs.stub({"url": "/a"}, {"body": "a"}, requiredScenarioState="ready")
    assert client.get(f"{stubs.url}/a").text == "a"


def test_responses(stubs: WireMockAdapter, client: httpx.Client) -> None:
    """Status, headers, the three kinds of body and a delay."""
    given: dict[str, dict[str, Any]] = {
        "/text": {"status": 202, "body": "Grüße", "headers": {"X-A": "1"}},
        "/json": {"jsonBody": {"a": [1, None]}, "fixedDelayMilliseconds": 1},
        "/bytes": {"base64Body": "AP8="},
        "/none": {"status": 204},
    }
    for path, response in given.items():
        stubs.stub({"url": path}, response)
    text = client.get(f"{stubs.url}/text")
    assert (text.status_code, text.content, text.headers["x-a"]) == (202, "Grüße".encode(), "1")
    assert client.get(f"{stubs.url}/json").json() == {"a": [1, None]}
    assert client.get(f"{stubs.url}/bytes").content == b"\x00\xff"
    assert client.get(f"{stubs.url}/none").status_code == 204


def test_the_newest_stub_of_the_best_priority_answers(
    stubs: WireMockAdapter, client: httpx.Client
) -> None:
    """Also after they were put back."""
    for body, priority in [("best", 1), ("old", 5), ("new", 5)]:
        stubs.stub({"url": "/a"} if priority == 5 else {"url": "/b"}, {"body": body})
    stubs.stub({"url": "/b"}, {"body": "worse"}, priority=9)
    handle = stubs.checkpoint("four")
    client.delete(f"{stubs.url}/__admin/mappings")
    stubs.rollback(handle)
    assert client.get(f"{stubs.url}/a").text == "new"
    assert client.get(f"{stubs.url}/b").text == "best"


def test_random_ids_in_requests_hide_nothing_else(
    stubs: WireMockAdapter, client: httpx.Client
) -> None:
    """An idempotency key, a trace, an id in the address and one in the body are left out alone."""
    empty, observed = stubs.checkpoint("empty"), []
    for key in ("0a1b2c3d4e5f", "9f8e7d6c5b4a"):
        client.post(
            f"{stubs.url}/charge?key={key}&amount=5",
            json={"order": key, "amount": 5, "back": f"https://shop/done?order={key}"},
            headers={"Idempotency-Key": key},
        )
        observed.append(stubs.observe().data)
        stubs.rollback(empty)
    places = volatile_places(*observed)
    assert places == (
        "requests.*.body.json.back",
        "requests.*.body.json.order",
        "requests.*.headers.idempotency-key",
        "requests.*.url",
    )


def test_scenario_names_that_cannot_be_set_are_refused(stubs: WireMockAdapter) -> None:
    """Before anything could be lost."""
    scenario = {"scenarioName": "two words", "requiredScenarioState": "Started"}
    stubs.stub({"url": "/a"}, {"body": "a"}, **scenario)
    with pytest.raises(DefinitionError, match="Use letters"):
        stubs.checkpoint("start")


def test_a_wrong_stub_is_refused(stubs: WireMockAdapter) -> None:
    """With the words of the server."""
    with pytest.raises(DefinitionError, match="colour"):
        stubs.stub({"url": "/a", "colour": "red"}, {})


@pytest.mark.parametrize(
    ("request_", "response", "told"),
    [
        ({"url": "/a", "urlPath": "/a"}, {}, "more than one of"),
        ({"headers": {"X": {"equalToXml": "<a/>"}}}, {}, "one at a time"),
        ({"headers": {"X": {"equalTo": "a", "contains": "a"}}}, {}, "one at a time"),
        ({"bodyPatterns": [{"matches": "("}]}, {}, "no regular expression"),
        ({"urlPattern": "("}, {}, "no regular expression"),
        ({"url": "/a"}, {"proxyBaseUrl": "http://example.com"}, r"WireMockAdapter\(its URL\)"),
        ("/a", {}, "must be a JSON object"),
        ({"url": 5}, {}, "not a str"),
        ({"headers": []}, {}, "not a dict"),
        ({"headers": {"X": {"equalTo": 5}}}, {}, "not a str"),
        ({"bodyPatterns": [{"equalToJson": "{"}]}, {}, "Expecting"),
        ({"url": "/a"}, {"body": 5}, "not a str"),
        ({"url": "/a"}, {"base64Body": "?"}, "base64"),
    ],
)
def test_what_the_bundled_server_does_not_speak_is_refused(
    request_: Any, response: Any, told: str
) -> None:
    """It never answers by half of the conditions."""
    with WireMockAdapter() as stubs, pytest.raises(DefinitionError, match=told):
        stubs.stub(request_, response)


def test_a_server_that_is_gone_is_told() -> None:
    """At the start, and later."""
    with StubServer() as server:
        stubs = WireMockAdapter(server.url)
    with pytest.raises(SystemUnavailable, match="does not answer"):
        stubs.observe()
    stubs.close()
    with pytest.raises(SystemUnavailable, match="leave the URL out"):
        WireMockAdapter(server.url)
