"""The system: stubs, scenarios and recorded requests of a WireMock server, rolled back."""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import httpx

from venomqa_hyp.adapters.mocks.bodies import observed_body
from venomqa_hyp.adapters.mocks.snapshots import SnapshotSystem
from venomqa_hyp.adapters.mocks.wiremock.server import StubServer
from venomqa_hyp.errors import DefinitionError, RollbackError, SystemUnavailable, WorldError

_IDS = ("id", "uuid")
_STARTED = "Started"
#: Of the connection, not of the request: they differ with the port, and say nothing.
_UNOBSERVED = frozenset({"connection", "host"})
#: WireMock does not decode the name in the path of a scenario, so others cannot be set back.
_SCENARIO = re.compile(r"[\w.~-]+", re.ASCII)


@attrs.frozen
class RecordedRequest:
    """A request that the application sent to the stubbed service.

    :ivar url: path and query.
    :ivar headers: name in lower case -> value, or a list of values.
    :ivar matched: whether a stub took it; the others were answered with 404.
    :ivar status: of the answer.
    """

    method: str
    url: str
    headers: Mapping[str, Any] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    matched: bool
    status: int

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@attrs.frozen
class _Content:
    mappings: tuple[Mapping[str, Any], ...]
    states: Mapping[str, str]
    requests: tuple[RecordedRequest, ...]


class WireMockAdapter(SnapshotSystem):
    """Stub an HTTP service that the application calls, and roll the stubs back.

    What is rolled back are the stubs (mappings), the states of scenarios, and which requests were
    recorded. The adapter takes the requests out of the server's own journal, because they could
    not be put back there: ask :attr:`requests`, not the server.

    The ``data`` of an observation::

        {"mappings": [{"request": {...}, "response": {...}}], "scenarios": {"payment": "Started"},
         "requests": [{"method": "POST", "url": "/charge", "headers": {...}, "body": {"json": ...},
                       "matched": True, "status": 201}]}

    Left out are the ids of mappings and requests, times, the headers ``Host`` and ``Connection``.
    Not covered: global settings, files below ``__files``, recording, and what extensions keep.

    :param url: of a WireMock server, 2.35 or newer; nobody else may use it. Without one, a
        :class:`StubServer` is started in this process, and stopped in :meth:`close`.
    :raises SystemUnavailable: the server does not answer, or keeps no journal.
    """

    def __init__(
        self, url: str | None = None, *, timeout: float = 5.0, name: str = "wiremock"
    ) -> None:
        super().__init__(name)
        self._server: StubServer | None = None
        if url is None:
            self._server = StubServer()
            url = self._server.url
        #: Where the application finds the stubs.
        self.url = url.rstrip("/")
        self._http = httpx.Client(base_url=f"{self.url}/__admin", timeout=timeout, trust_env=False)
        self._requests: tuple[RecordedRequest, ...] = ()
        try:
            self._take_requests()
        except BaseException:
            self.close()
            raise

    @property
    def requests(self) -> tuple[RecordedRequest, ...]:
        """All requests recorded so far, oldest first."""
        with self._lock:
            self._take_requests()
            return self._requests

    def stub(
        self, request: Mapping[str, Any], response: Mapping[str, Any], **more: Any
    ) -> Mapping[str, Any]:
        """Add a stub, in WireMock's JSON; the newest of equal priority counts.

        :param more: ``priority``, ``scenarioName``, ``requiredScenarioState``...
        :return: the stub as the server keeps it, with its id.
        :raises DefinitionError: the server refuses it.
        """
        given = {"request": request, "response": response, **more}
        answer = self._send("POST", "mappings", given)
        if answer.status_code != 201:
            raise DefinitionError(
                f"{self.name}: the server refuses the stub {given}: {answer.text}"
            )
        added: Mapping[str, Any] = answer.json()
        return added

    def close(self) -> None:
        """Leave the stubs as they are; stop the bundled server."""
        super().close()
        self._http.close()
        if self._server is not None:
            self._server.close()
            self._server = None

    def _save(self) -> _Content:
        self._take_requests()
        mappings = self._mappings()
        states = self._states(mappings)
        for scenario in states:
            if not _SCENARIO.fullmatch(scenario):
                raise DefinitionError(
                    f"{self.name}: the state of scenario {scenario!r} could not be set back, since "
                    "WireMock takes the name in a path as it is. Use letters, digits, '-', '_', "
                    "'.' and '~' only."
                )
        return _Content(mappings, states, self._requests)

    def _load(self, content: _Content) -> None:
        self._take_requests()
        self._requests = content.requests
        if list(content.mappings) != list(self._mappings()):
            self._set_mappings(content.mappings)
        for scenario, state in self._states(content.mappings).items():
            if state != (wanted := content.states.get(scenario, _STARTED)):
                self._done(self._send("PUT", f"scenarios/{scenario}/state", {"state": wanted}))

    def _describe(self) -> Mapping[str, Any]:
        self._take_requests()
        mappings = self._mappings()
        return {
            "mappings": [
                {word: item for word, item in mapping.items() if word not in _IDS}
                for mapping in mappings
            ],
            "scenarios": self._states(mappings),
            "requests": [_described(request) for request in self._requests],
        }

    def _take_requests(self) -> None:
        """Move what the server recorded to the end of our own list."""
        journal = self._get("requests")
        if journal.get("requestJournalDisabled"):
            raise SystemUnavailable(
                f"{self.name}: {self.url} keeps no journal, so the requests of the application "
                "cannot be seen. Start WireMock without --no-request-journal."
            )
        recorded = journal["requests"][::-1]
        for entry in recorded:
            self._done(self._send("DELETE", f"requests/{entry['id']}"))
        self._requests += tuple(map(_parsed, recorded))

    def _mappings(self) -> tuple[Mapping[str, Any], ...]:
        return tuple(self._get("mappings")["mappings"])

    def _set_mappings(self, mappings: Sequence[Mapping[str, Any]]) -> None:
        # An import keeps the place of a stub that is there already; the order decides who answers.
        self._done(self._send("DELETE", "mappings"))
        self._done(self._send("POST", "mappings/import", {"mappings": mappings}))
        if list(mappings) != list(self._mappings()):
            raise RollbackError(
                f"{self.name}: the stubs of {self.url} are not what was imported. Does another "
                "client change them? Each World needs a server of its own."
            )

    def _states(self, mappings: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        # WireMock (3.13) keeps a scenario whose last stub was edited before it was deleted.
        named = {mapping.get("scenarioName") for mapping in mappings}
        scenarios = self._get("scenarios")["scenarios"]
        return {item["name"]: item["state"] for item in scenarios if item["name"] in named}

    def _get(self, path: str) -> Any:
        return self._done(self._send("GET", path)).json()

    def _send(self, method: str, path: str, content: Any = None) -> httpx.Response:
        try:
            return self._http.request(method, path, json=content)
        except (httpx.HTTPError, RuntimeError) as error:
            raise SystemUnavailable(
                f"{self.name}: WireMock at {self.url} does not answer {method} {path}: {error}. "
                "Start it, or leave the URL out to use the bundled server."
            ) from error

    def _done(self, answer: httpx.Response) -> httpx.Response:
        if not answer.is_success:
            raise WorldError(
                f"{self.name}: {answer.request.method} {answer.request.url} was answered with "
                f"{answer.status_code}: {answer.text:.300}. WireMock 2.35 or newer is needed."
            )
        return answer


def _parsed(entry: Mapping[str, Any]) -> RecordedRequest:
    request = entry["request"]
    return RecordedRequest(
        request["method"],
        request["url"],
        {name.lower(): value for name, value in request.get("headers", {}).items()},
        base64.b64decode(request.get("bodyAsBase64", "")),
        entry["wasMatched"],
        entry["response"]["status"],
    )


def _described(request: RecordedRequest) -> dict[str, Any]:
    headers = {name: value for name, value in request.headers.items() if name not in _UNOBSERVED}
    return {
        **attrs.asdict(request),
        "headers": headers,
        "body": observed_body(request.body),
    }
