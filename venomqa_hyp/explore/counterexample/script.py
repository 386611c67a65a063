"""Makes the script of a failing path: its requests, bound to the replies before them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import attrs

from venomqa_hyp.core.redaction import Redaction
from venomqa_hyp.core.script import (
    CHECK,
    SETUP,
    STEP,
    Expected,
    Script,
    ScriptStep,
    literal,
)
from venomqa_hyp.explore.counterexample.made import Made, json_of
from venomqa_hyp.explore.counterexample.names import ID_FIELD, Names
from venomqa_hyp.explore.counterexample.nouns import collection, noun
from venomqa_hyp.explore.counterexample.replies import Replies, pairs
from venomqa_hyp.explore.counterexample.transcript import Transcript

#: Headers that every client writes for itself; cookies are kept by its jar.
_OWN_HEADERS = frozenset(
    {
        *("host", "content-length", "transfer-encoding", "connection", "accept-encoding"),
        *("user-agent", "cookie"),
    }
)
_FORM = "application/x-www-form-urlencoded"
_RESERVED = {"BASE_URL"}


@attrs.frozen(eq=False)
class _Sent:
    """A request and what it belongs to."""

    role: str
    number: int
    call: str
    request: Any


def script_of(
    transcript: Transcript,
    rule: str | None,
    calls: Iterable[str],
    names: Names,
    redaction: Redaction,
    secrets: Iterable[str],
) -> Script | None:
    """Return the requests of a path; ``None`` where it sent none.

    :param rule: the invariant that was broken; ``None`` where an action raised.
    :param calls: of each step, with names.
    :param secrets: texts that stand under the name of a secret somewhere.
    """
    sent = list(_all_sent(transcript, rule, calls))
    if not any(item.role == STEP for item in sent):
        return None
    writer = _Writer(names, redaction, secrets, _base_url(transcript))
    steps = [writer.step(number, item) for number, item in enumerate(sent)]
    bound = [writer.bound(number, step) for number, step in enumerate(steps)]
    obstacles = (*_obstacles(transcript), *writer.obstacles)
    last = max(number for number, step in enumerate(bound) if step.role != SETUP)
    shown = [
        attrs.evolve(step, expected=writer.expected(sent[number].request))
        if step.role == CHECK or number == last
        else step
        for number, step in enumerate(bound)
    ]
    return Script(
        writer.base_url, tuple(shown), tuple(writer.values), (), obstacles, dict(writer.values)
    )


def _all_sent(transcript: Transcript, rule: str | None, calls: Iterable[str]) -> Iterator[_Sent]:
    for request in transcript.opened:
        yield _Sent(SETUP, 0, "", request)
    for number, (step, call) in enumerate(zip(transcript.entered, calls, strict=True), 1):
        for request in step.requests:
            yield _Sent(STEP, number, call, request)
    for request in transcript.checked.get(rule or "", ()):
        yield _Sent(CHECK, 0, "", request)


def _base_url(transcript: Transcript) -> str:
    if transcript.base_url:
        return transcript.base_url.rstrip("/")
    first = next(request for step in transcript.entered for request in step.requests)
    parts = urlsplit(str(first.url))
    return f"{parts.scheme}://{parts.netloc}"


def _obstacles(transcript: Transcript) -> Iterator[str]:
    for number, step in enumerate(transcript.entered, 1):
        assert step.at.taken is not None
        if not step.requests and step.effects:
            yield (
                f"step {number} ({step.at.taken.step.action}) changed something without a request"
            )


class _Writer:
    """Writes requests as templates, one after the other."""

    def __init__(
        self, names: Names, redaction: Redaction, secrets: Iterable[str], base_url: str
    ) -> None:
        self.base_url = base_url
        self.values: dict[str, str] = {}
        self.obstacles: list[str] = []
        self._made = Made(names)
        self._redaction = redaction
        self._replies = Replies(redaction, secrets)
        self._cookies: set[tuple[str, str]] = set()

    def step(self, number: int, sent: _Sent) -> ScriptStep:
        """Return a request; what its reply is bound to comes later."""
        request = sent.request
        url = str(request.url)
        kind, body = self._body(number, request)
        headers = tuple(self._headers(request, kind))
        step = ScriptStep(
            sent.role,
            sent.number,
            sent.call,
            request.method,
            self._url(url),
            headers,
            kind,
            body,
            request.status or 0,
            self._replies.headers(request),
            self._replies.body(request),
            float(getattr(request, "duration", 0.0)),
        )
        if request.status is None:
            self.obstacles.append(f"request {number + 1} got no reply: {request.error}")
        self._made.reply(number, url, pairs(request, "response_headers"), request.response_body)
        self._note_cookies(request)
        return step

    def expected(self, request: Any) -> tuple[Expected, ...]:
        """Return what of a reply is the same each time, as far as can be known."""
        return self._replies.expected(request, self._made.used)

    def bound(self, number: int, step: ScriptStep) -> ScriptStep:
        """Return a request with what later ones take from its reply."""
        bindings = tuple(map(self._replies.binding, self._made.bindings(number)))
        return attrs.evolve(step, bindings=bindings)

    def _url(self, url: str) -> str:
        rest = url.removeprefix(self.base_url)
        url = rest if rest[:1] in ("", "/", "?") else url
        path, mark, query = url.partition("?")
        segments = path.split("/")
        written = [
            self._text(segment, "", noun(segments[at - 1]) if at else "", in_url=True)
            for at, segment in enumerate(segments)
        ]
        given = [item.partition("=") for item in query.split("&")] if query else []
        asked = [
            f"{literal(name)}{equals}{self._text(value, unquote(name), '', in_url=True)}"
            for name, equals, value in given
        ]
        return "/".join(written) + mark + "&".join(asked)

    def _headers(self, request: Any, kind: str) -> Iterator[tuple[str, str]]:
        for name, value in pairs(request, "request_headers"):
            key = name.lower()
            is_usual = (key, value) in {("accept", "*/*"), ("content-type", _USUAL.get(kind, ""))}
            if key == "cookie" and not self._in_jar(value):
                yield name, self._secret(name, value)
            elif key not in _OWN_HEADERS and not is_usual:
                yield name, self._text(value, name, "")

    def _body(self, number: int, request: Any) -> tuple[str, Any]:
        body, place = request.request_body, collection(str(request.url))
        headers = {name.lower(): value for name, value in pairs(request, "request_headers")}
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        content = getattr(request, "request_content", b"")
        if body is None:
            return "", ""
        if not isinstance(body, (str, bytes)) or (
            "json" in kind and isinstance(json_of(content), str)
        ):
            return "json", self._tree(body, "", place)
        if isinstance(body, bytes) or kind.startswith("multipart/"):
            self.obstacles.append(f"the body of request {number + 1} is no text ({kind})")
            return "", ""
        if kind == _FORM:
            fields = parse_qsl(body, keep_blank_values=True)
            return "form", [(literal(name), self._text(text, name, place)) for name, text in fields]
        return "text", self._text(body, "", place)

    def _tree(self, value: Any, field: str, place: str) -> Any:
        if isinstance(value, Mapping):
            return {
                self._text(key, "", ""): self._tree(item, str(key), place)
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [self._tree(item, field, place) for item in value]
        if isinstance(value, str):
            return self._text(value, field, place)
        if isinstance(value, bool) or value is None:
            return value
        where = place if ID_FIELD.search(field) else ""
        name = self._made.find(str(value), field, where)
        if name is not None:
            return f"{{{name}:json}}"
        if self._redaction.hides(field):
            return self._secret(field, str(value), form=":number")
        self._made.sent(str(value))
        return value

    def _text(self, text: str, field: str, place: str, *, in_url: bool = False) -> str:
        """Return the template of a text."""
        plain = unquote(text) if in_url else text
        name = self._made.find(plain, field, place)
        if name is not None:
            return _named(name, plain, in_url)
        found = list(self._made.within(plain))
        if len(found) == 1 and self._redaction.hides(field) and plain:
            return self._secret(field, plain, in_url=in_url)
        return "".join(
            self._literal(part, in_url) + (_named(name, plain, in_url) if name else "")
            for part, name in found
        )

    def _literal(self, text: str, in_url: bool) -> str:
        """Return the template of what no reply made."""
        for secret in self._replies.secrets:
            if secret in text:
                before, _, after = text.partition(secret)
                name = self._secret("secret", secret, in_url=in_url)
                return self._literal(before, in_url) + name + self._literal(after, in_url)
        if self._redaction.text(text) != text:
            return self._secret("secret", text, in_url=in_url)
        self._made.sent(text)
        return literal(quote(text, safe="!$&'()*+,;=:@~") if in_url else text)

    def _secret(self, field: str, value: str, *, in_url: bool = False, form: str = "") -> str:
        """Return the name of an environment variable that stands for a secret."""
        stem = re.sub(r"\W+", "_", field).strip("_").upper() or "SECRET"
        stem = f"SECRET_{stem}" if stem[0].isdigit() else stem
        known = next((name for name, text in self.values.items() if text == value), "")
        taken = {*self.values, *_RESERVED}
        number = 1
        while not known:
            name = stem if number == 1 else f"{stem}_{number}"
            known, number = ("" if name in taken else name), number + 1
        self.values[known] = value
        return _named(known, value, in_url) if not form else f"{{{known}{form}}}"

    def _note_cookies(self, request: Any) -> None:
        for name, value in pairs(request, "response_headers"):
            if name.lower() == "set-cookie":
                key, _, rest = value.partition("=")
                self._cookies.add((key.strip(), rest.partition(";")[0].strip()))

    def _in_jar(self, header: str) -> bool:
        """Return whether each cookie was set by a reply."""
        sent = (item.partition("=") for item in header.split(";"))
        return all((name.strip(), value.strip()) in self._cookies for name, _, value in sent)


_USUAL = {"json": "application/json", "form": _FORM, "text": ""}


def _named(name: str, value: str, in_url: bool) -> str:
    return f"{{{name}:url}}" if in_url and quote(value, safe="") != value else f"{{{name}}}"
