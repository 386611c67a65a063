"""The requests of a failing path, in a form in which they can be sent again to a fresh service.

What the service made (ids, tokens, ETags) is *bound*: it has a name, a place in the reply that it
is read from, and stands under that name in later requests. Texts of requests are templates in the
syntax of Python's format strings:

================== ================================================================
``{order_1}``      a value that an earlier reply is bound to, as text
``{order_1:json}`` the same, with the type that it has in the reply; only alone
``{order_1:url}``  the same, percent-encoded
``{PIN:number}``   a secret that is a number; only alone
``{PASSWORD}``     a secret; its value is in no document, and read from the environment
``{{``, ``}}``     braces
================== ================================================================
"""

import json
from collections.abc import Iterator, Mapping
from string import Formatter
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import attrs

#: What a request belongs to: the opening of the World, the path, or the rule that was checked.
SETUP, STEP, CHECK = "setup", "step", "check"
#: Forms that stand for a value that is no text.
RAW = frozenset({"json", "number"})
#: What a value is read from.
JSON, HEADER = "json", "header"

Place = tuple[str | int, ...]

_NO_VALUES: Mapping[str, str] = MappingProxyType({})


@attrs.frozen
class Binding:
    """A value of a reply that later requests send.

    :ivar source: ``"json"`` or ``"header"``.
    :ivar place: the keys and indices that lead to it in the body; or the name of a header.
    :ivar before: the value begins after this text; likewise ``after``. Empty where it is all.
    :ivar is_text: whether it is a text there, and not a number.
    :ivar value: what it was; redacted where it is a secret.
    """

    name: str
    source: str
    place: Place
    before: str = ""
    after: str = ""
    is_text: bool = True
    value: str = ""


@attrs.frozen
class Expected:
    """A part of a reply that was so when the failure was seen.

    :ivar place: the keys and indices that lead to it in the body.
    :ivar value: a number, text or truth value; of a list only its length, see :attr:`is_length`.
    """

    place: Place
    value: Any
    is_length: bool = False


@attrs.frozen
class ScriptStep:
    """One request.

    :ivar role: ``"setup"``, ``"step"`` or ``"check"``.
    :ivar number: of its step, from 1; else 0.
    :ivar call: of its step, with names: ``order_1 = create_order(amount=2)``; else empty.
    :ivar url: a template, relative to the base URL.
    :ivar headers: names and templates, without what every client sends by itself.
    :ivar kind: of the body: ``"json"`` (a tree with templates as texts), ``"form"`` (pairs of
        templates), ``"text"`` (a template), or empty.
    :ivar status: of the reply.
    :ivar reply_body: redacted text; it may be cut.
    :ivar seconds: from the request to the reply.
    :ivar expected: what of the reply shows the failure, beside its status.
    """

    role: str
    number: int
    call: str
    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    kind: str
    body: Any
    status: int
    reply_headers: tuple[tuple[str, str], ...] = ()
    reply_body: str = ""
    seconds: float = 0.0
    bindings: tuple[Binding, ...] = ()
    expected: tuple[Expected, ...] = ()


@attrs.frozen
class Script:
    """The requests of a failing path.

    :ivar base_url: where they were sent.
    :ivar secrets: the names of the secrets that requests send and no reply made.
    :ivar created: the names of values that the client makes anew each time, as UUIDs.
    :ivar obstacles: why the requests alone cannot show the failure.
    :ivar values: of the secrets, by name; only in the process that found the failure.
    """

    base_url: str
    steps: tuple[ScriptStep, ...]
    secrets: tuple[str, ...] = ()
    created: tuple[str, ...] = ()
    obstacles: tuple[str, ...] = ()
    values: Mapping[str, str] = attrs.field(default=_NO_VALUES, repr=False, eq=False)


def parts(template: str) -> Iterator[tuple[str, str, str]]:
    """Yield the parts of a template: literal text, the name that follows it, and its form."""
    for literal, name, form, _ in Formatter().parse(template):
        yield literal, name or "", form or ""


def literal(text: str) -> str:
    """Return a template that stands for exactly this text."""
    return text.replace("{", "{{").replace("}", "}}")


def filled(template: Any, values: Mapping[str, Any]) -> Any:
    """Return a template, or a tree of them, with the values in place of their names."""
    if isinstance(template, Mapping):
        return {filled(key, values): filled(item, values) for key, item in template.items()}
    if isinstance(template, (list, tuple)):
        return [filled(item, values) for item in template]
    if not isinstance(template, str):
        return template
    texts = []
    for text, name, form in parts(template):
        if form in RAW:
            return _number(values[name]) if form == "number" else values[name]
        value = str(values[name]) if name else ""
        texts += [text, quote(value, safe="") if form == "url" else value]
    return "".join(texts)


def _number(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text  # it is redacted
