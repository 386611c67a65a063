"""A server in this process that speaks the part of WireMock's protocol that the adapter needs."""

import base64
import json
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from venomqa_hyp.adapters.mocks.loopback import Answer, LoopbackServer, Request
from venomqa_hyp.adapters.mocks.wiremock.matching import (
    check,
    check_kinds,
    check_words,
    matches,
)

_STARTED = "Started"
_STUB = frozenset(
    {
        "id",
        "uuid",
        "name",
        "priority",
        "scenarioName",
        "requiredScenarioState",
        "newScenarioState",
        "metadata",
        "request",
        "response",
    }
)
_NAMES = ("id", "uuid", "scenarioName", "requiredScenarioState", "newScenarioState")
_RESPONSE = frozenset(
    {"status", "headers", "body", "jsonBody", "base64Body", "fixedDelayMilliseconds"}
)
_ADMIN = "/__admin/"


class StubServer:
    """Answer requests as the stubs say, and record them.

    Speaks of WireMock's JSON: ``method``, ``url``, ``urlPath``, ``urlPattern``,
    ``urlPathPattern``, ``queryParameters``, ``headers`` and ``bodyPatterns`` of requests, with
    ``equalTo``, ``contains``, ``doesNotContain``, ``matches``, ``doesNotMatch``, ``equalToJson``
    and ``absent``; ``status``, ``headers``, ``body``, ``jsonBody``, ``base64Body`` and
    ``fixedDelayMilliseconds`` of responses; priorities and scenarios. Anything else is refused with
    status 422. Regular expressions are Python's.

    :param port: 0 takes a free one.
    :raises SystemUnavailable: the port cannot be used.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._lock = threading.RLock()
        #: The one that was added last comes first.
        self._stubs: list[dict[str, Any]] = []
        self._states: dict[str, str] = {}
        self._journal: list[dict[str, Any]] = []
        self._server = LoopbackServer(self._answer, "wiremock", host=host, port=port)
        self.host, self.port, self.url = self._server.host, self._server.port, self._server.url

    def close(self) -> None:
        """Stop the server."""
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, request: Request) -> Answer:
        path = urlsplit(request.path).path
        if not path.startswith(_ADMIN):
            return self._answer_by_stub(request)
        parts = [unquote(part) for part in path.removeprefix(_ADMIN).split("/")]
        try:
            with self._lock:
                return self._administer(request, parts)
        except ValueError as error:
            return _json(422, {"errors": [{"code": 10, "title": str(error)}]})

    def _answer_by_stub(self, request: Request) -> Answer:
        with self._lock:
            stub = next((item for item in self._in_order() if self._takes(item, request)), None)
            if stub is not None and "newScenarioState" in stub and "scenarioName" in stub:
                self._states[stub["scenarioName"]] = stub["newScenarioState"]
            response = {"status": 404} if stub is None else stub.get("response", {})
            self._journal.insert(0, _recorded(request, stub, response))
        if stub is None:
            text = f"No stub matches {request.method} {request.path}"
            return Answer(404, text.encode(), (("Content-Type", "text/plain"),))
        time.sleep(response.get("fixedDelayMilliseconds", 0) / 1000)
        return _response(response)

    def _in_order(self) -> list[dict[str, Any]]:
        return sorted(self._stubs, key=lambda stub: int(stub.get("priority", 5)))

    def _takes(self, stub: Mapping[str, Any], request: Request) -> bool:
        state = self._states.get(stub.get("scenarioName", ""))
        if state not in (None, stub.get("requiredScenarioState", state)):
            return False
        return matches(stub.get("request", {}), request)

    def _administer(self, request: Request, parts: list[str]) -> Answer:
        answer: Answer | None = None
        match parts[0]:
            case "mappings":
                answer = self._administer_mappings(request, parts[1:])
            case "scenarios":
                answer = self._administer_scenarios(request, parts[1:])
            case "requests":
                answer = self._administer_requests(request, parts[1:])
            case "reset" if request.method == "POST":
                self._set_stubs([])
                self._journal = []
                answer = _json(200, {})
        if answer is None:
            title = f"no such request: {request.method} {request.path}"
            return _json(404, {"errors": [{"code": 404, "title": title}]})
        return answer

    def _administer_mappings(self, request: Request, parts: list[str]) -> Answer | None:
        match request.method, parts:
            case "GET", []:
                return _json(200, {"mappings": self._in_order(), "meta": _total(self._stubs)})
            case "POST", []:
                return _json(201, self._add(json.loads(request.body)))
            case "POST", ["import"]:
                self._import(json.loads(request.body))
                return _json(200, {})
            case ("DELETE", []) | ("POST", ["reset"]):
                self._set_stubs([])
                return _json(200, {})
            case _, [number]:
                return self._administer_stub(request, number)
        return None

    def _administer_scenarios(self, request: Request, parts: list[str]) -> Answer | None:
        match request.method, parts:
            case "GET", []:
                return _json(200, {"scenarios": [self._scenario(name) for name in self._states]})
            case "POST", ["reset"]:
                self._states = dict.fromkeys(self._states, _STARTED)
                return _json(200, {})
            case "PUT", [name, "state"] if name in self._states:
                self._states[name] = json.loads(request.body or b"{}").get("state", _STARTED)
                return _json(200, {})
        return None

    def _administer_requests(self, request: Request, parts: list[str]) -> Answer | None:
        match request.method, parts:
            case "GET", []:
                shown = {"requests": self._journal, "meta": _total(self._journal)}
                return _json(200, {**shown, "requestJournalDisabled": False})
            case ("DELETE", []) | ("POST", ["reset"]):
                self._journal = []
                return _json(200, {})
            case "DELETE", [number]:
                self._journal = [item for item in self._journal if item["id"] != number]
                return _json(200, {})
        return None

    def _administer_stub(self, request: Request, number: str) -> Answer:
        at = next((at for at, stub in enumerate(self._stubs) if stub["id"] == number), None)
        if at is None:
            return _json(404, {"errors": [{"code": 404, "title": f"no mapping {number}"}]})
        if request.method == "GET":
            return _json(200, self._stubs[at])
        stubs = list(self._stubs)
        if request.method == "DELETE":
            del stubs[at]
        elif request.method == "PUT":
            stubs[at] = _checked({**json.loads(request.body), "id": number, "uuid": number})
        else:
            return _json(405, {})
        self._set_stubs(stubs)
        return _json(200, stubs[at] if request.method == "PUT" else {})

    def _add(self, given: Any) -> dict[str, Any]:
        stub = _checked(given)
        self._set_stubs([stub, *(item for item in self._stubs if item["id"] != stub["id"])])
        return stub

    def _import(self, given: Any) -> None:
        """Add stubs: of several, the first counts as added last."""
        stubs = [_checked(stub) for stub in given.get("mappings", [])]
        ids = {stub["id"] for stub in stubs}
        kept = [stub for stub in self._stubs if stub["id"] not in ids]
        if given.get("importOptions", {}).get("deleteAllNotInImport"):
            kept = []
        self._set_stubs([*stubs, *kept])

    def _set_stubs(self, stubs: list[dict[str, Any]]) -> None:
        """Replace the stubs; a scenario lives as long as one of its stubs."""
        names = {stub["scenarioName"]: _STARTED for stub in stubs if "scenarioName" in stub}
        self._stubs = stubs
        self._states = {name: self._states.get(name, start) for name, start in names.items()}

    def _scenario(self, name: str) -> dict[str, Any]:
        stubs = [stub for stub in self._stubs if stub.get("scenarioName") == name]
        words = ("requiredScenarioState", "newScenarioState")
        states = {stub[word] for stub in stubs for word in words if word in stub}
        possible = sorted({_STARTED, *states})
        return {"id": name, "name": name, "state": self._states[name], "possibleStates": possible}


def _checked(given: object) -> dict[str, Any]:
    check_words("the stub", given, _STUB)
    assert isinstance(given, dict)
    check(given.get("request", {}))
    check_kinds("the stub", given, {"priority": int, **dict.fromkeys(_NAMES, str)})
    response = given.get("response", {})
    check_words("response", response, _RESPONSE)
    check_kinds("response", response, {"status": int, "headers": dict, "body": str})
    check_kinds("response", response, {"base64Body": str, "fixedDelayMilliseconds": int})
    base64.b64decode(response.get("base64Body", ""), validate=True)
    number = given.get("id") or given.get("uuid") or str(uuid.uuid4())
    return {**given, "id": number, "uuid": number}


def _response(response: Mapping[str, Any]) -> Answer:
    headers = []
    for name, value in response.get("headers", {}).items():
        headers += [(name, str(item)) for item in (value if isinstance(value, list) else [value])]
    if "jsonBody" in response:
        body = json.dumps(response["jsonBody"], separators=(",", ":")).encode()
    elif "base64Body" in response:
        body = base64.b64decode(response["base64Body"])
    else:
        body = response.get("body", "").encode()
    return Answer(response.get("status", 200), body, tuple(headers))


def _recorded(
    request: Request, stub: Mapping[str, Any] | None, response: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the entry of the journal, in the words of WireMock that the adapter reads."""
    headers: dict[str, Any] = {}
    for name, value in request.headers:
        earlier = headers.get(name)
        several = [*(earlier if isinstance(earlier, list) else [earlier]), value]
        headers[name] = value if earlier is None else several
    return {
        "id": str(uuid.uuid4()),
        "request": {
            "method": request.method,
            "url": request.path,
            "headers": headers,
            "bodyAsBase64": base64.b64encode(request.body).decode(),
            "body": request.body.decode("utf-8", "replace"),
        },
        "response": {"status": response.get("status", 200)},
        "wasMatched": stub is not None,
        **({} if stub is None else {"stubMapping": stub}),
    }


def _total(items: list[Any]) -> dict[str, int]:
    return {"total": len(items)}


def _json(status: int, value: Any) -> Answer:
    return Answer(status, json.dumps(value).encode(), (("Content-Type", "application/json"),))
