"""A failure as a pytest function: plain httpx, or a World where only the rule can see it."""

from collections.abc import Iterator, Mapping
from typing import Any

from venomqa_hyp.core.script import HEADER, RAW, SETUP, Binding, Expected, ScriptStep, parts
from venomqa_hyp.reporters.exports.heading import (
    AS_WITH_BUG,
    RULE_BROKEN,
    Export,
    compared,
    heading,
    identifier,
    needed,
    title,
)

_WIDTH = 96
#: Methods that httpx has a function for which takes a body.
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_WITHOUT = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
_INDENT = "    "

_OTHERWISE = '''

class Otherwise(Exception):
    """A reply is not as it was with the bug, so the bug does not show this way."""


def as_then(reply, status, *, last=False):
    """Go on only where a reply has the status that it had with the bug."""
    lost = () if last else (401, 404)
    if reply.status_code != status:
        seen = f"{reply.request.method} {reply.request.url} answered {reply.status_code}"
        if reply.status_code >= 500 or reply.status_code in lost:
            pytest.fail(f"{seen}, not {status}: the failure cannot be reached. {reply.text:.500}")
        raise Otherwise(f"{seen}, not {status}")'''
_MUST_BE = '''

def must_be(reply, status):
    """Return the reply to a request that prepares the test."""
    assert reply.status_code == status, f"{reply.status_code}, not {status}: {reply.text:.500}"'''
_SAME = '''

def same(reply, *expected):
    """Go on only where these parts of a reply are as they were with the bug."""
    for place, value in expected:
        try:
            seen = reply.json()
            for key in place:
                seen = len(seen) if key is len else seen[key]
        except (KeyError, IndexError, TypeError, ValueError):
            raise Otherwise(f"there is nothing at {place}") from None
        if seen != value or isinstance(seen, bool) != isinstance(value, bool):
            raise Otherwise(f"{place} is {seen!r}, not {value!r}")'''


def to_pytest(export: Export) -> str:
    """Return a module with one test: it fails where the bug is."""
    return "\n".join(_lines(export)) + "\n"


def _lines(export: Export) -> Iterator[str]:
    script, name = export.script, identifier(export.counterexample.name)
    yield from _docstring(export)
    yield from _imports(export)
    if export.secrets or not export.checks_rule:
        yield ""
    if not export.checks_rule:
        yield f'BASE_URL = os.environ.get("BASE_URL", {_quoted(script.base_url)})'
    for secret in export.secrets:
        yield f"{secret} = os.environ[{_quoted(secret)}]"
    yield _OTHERWISE
    if not export.checks_rule and any(step.role == SETUP for step in script.steps):
        yield _MUST_BE
    if not export.checks_rule and any(step.expected for step in script.steps):
        yield _SAME
    yield from _follow(export)
    yield ""
    yield ""
    yield f"def test_{name}():"
    yield from _test_in_world(export) if export.checks_rule else _test(export)


def _docstring(export: Export) -> Iterator[str]:
    yield f'"""{_prose(title(export)[0])}'
    yield ""
    yield from map(_prose, title(export)[1:])
    yield f"Exported by venomqa-hyp; {_prose(export.verdict)}."
    yield ""
    if export.checks_rule:
        yield "It sends the requests again in a World, and then checks the rule there. Run it in"
        yield "the folder in which its imports are found: python -m pytest path/to/this_file.py"
    else:
        yield from compared(export)
    if lines := needed(export):
        yield "\nEnvironment variables:"
        yield from (f"    {_prose(line)}" for line in lines)
    yield '"""'
    yield ""


def _imports(export: Export) -> Iterator[str]:
    script = export.script
    if any(":number}" in repr(step.body) for step in export.steps):
        yield "import json"
    if export.secrets or not export.checks_rule:
        yield "import os"
    if script.created and not export.checks_rule:
        yield "import uuid"
    if export.checks_rule:
        yield "from contextlib import suppress"
    if any(form == "url" for step in script.steps for _, _, form in parts(step.url)):
        yield "from urllib.parse import quote"
    yield ""
    if not export.checks_rule:
        yield "import httpx"
    yield "import pytest"
    imported = [item for item in (export.rule, export.world) if item and export.checks_rule]
    yield from sorted(f"from {item.module} import {item.name}" for item in imported)


def _follow(export: Export) -> Iterator[str]:
    """Yield the function that sends the requests."""
    script = export.script
    yield ""
    yield ""
    yield f"def follow(client{', opened' if _binds_setup(export) else ''}):"
    yield '    """Send the requests, as long as they are answered as they were with the bug."""'
    if not export.checks_rule:
        yield from (f"    {name} = str(uuid.uuid4())" for name in script.created)
    if _binds_setup(export):
        for at, step in enumerate(step for step in script.steps if step.role == SETUP):
            for binding in step.bindings:
                yield f"    {binding.name} = {_read(binding, f'opened[{at}]', recorded=True)}"
    texts = {item.name for step in script.steps for item in step.bindings if item.is_text}
    texts |= {*export.secrets, *script.created}
    previous = ""
    for step in export.steps:
        if heading(step) != previous:
            yield f"    # {_prose(heading(step))}"
        previous = heading(step)
        yield from _request(step, texts)
        yield from _after(export, step)


def _binds_setup(export: Export) -> bool:
    steps = export.script.steps
    return export.checks_rule and any(step.bindings for step in steps if step.role == SETUP)


def _request(step: ScriptStep, texts: set[str]) -> Iterator[str]:
    has_function = step.method in _WITH_BODY or (step.method in _WITHOUT and not step.kind)
    call = f"client.{step.method.lower()}(" if has_function else "client.request("
    arguments = [] if has_function else [_quoted(step.method)]
    arguments.append(_text(step.url, texts))
    if step.headers:
        pairs = [f"{_quoted(name)}: {_text(value, texts)}" for name, value in step.headers]
        arguments.append(f"headers={{{', '.join(pairs)}}}")
    if step.kind == "json":
        arguments.append(f"json={_tree(step.body, texts)}")
    elif step.kind == "form":
        arguments.append(f"data={_form(step.body, texts)}")
    elif step.kind == "text":
        arguments.append(f"content={_text(step.body, texts)}.encode()")
    line = f"    reply = {call}{', '.join(arguments)})"
    if len(line) <= _WIDTH:
        yield line
    else:
        yield f"    reply = {call}"
        yield from (f"        {argument}," for argument in arguments)
        yield "    )"


def _after(export: Export, step: ScriptStep) -> Iterator[str]:
    is_last = step is export.steps[-1]
    if step.role == SETUP:
        yield f"    must_be(reply, {step.status})"
    else:
        yield f"    as_then(reply, {step.status}{', last=True' if is_last else ''})"
    if step.expected and not export.checks_rule:
        yield "    same("
        yield "        reply,"
        yield from (f"        {_expected(item)}," for item in step.expected)
        yield "    )"
    for binding in step.bindings:
        yield f"    {binding.name} = {_read(binding, 'reply')}"


def _expected(item: Expected) -> str:
    keys = [_value(key) for key in item.place] + (["len"] if item.is_length else [])
    place = f"({', '.join(keys)}{',' if len(keys) == 1 else ''})"
    return f"({place}, {_value(item.value)})"


def _read(binding: Binding, reply: str, *, recorded: bool = False) -> str:
    """Return the expression that reads a value from a reply.

    :param recorded: whether the reply is a record in the history of a World's client.
    """
    if binding.source == HEADER:
        headers = f"dict({reply}.response_headers)" if recorded else f"{reply}.headers"
        text = f"{headers}[{_quoted(str(binding.place[0]))}]"
    else:
        body = f"{reply}.response_body" if recorded else f"{reply}.json()"
        text = body + "".join(f"[{_value(key)}]" for key in binding.place)
    if binding.before:
        text += f".split({_quoted(binding.before)}, 1)[1]"
    if binding.after:
        text += f".split({_quoted(binding.after)}, 1)[0]"
    return text


def _test(export: Export) -> Iterator[str]:
    yield f"    {_quoted_docstring(export)}"
    yield "    try:"
    yield "        with httpx.Client(base_url=BASE_URL, trust_env=False) as client:"
    yield "            follow(client)"
    yield "    except Otherwise:"
    yield "        return"
    yield f"    pytest.fail({_quoted(AS_WITH_BUG + export.counterexample.message)})"


def _test_in_world(export: Export) -> Iterator[str]:
    assert export.rule is not None
    assert export.world is not None
    history = ", world.api.history" if _binds_setup(export) else ""
    yield f"    {_quoted_docstring(export)}"
    yield f"    with {export.world.name}() as world:"
    yield "        start = world.checkpoint()"
    yield "        try:"
    yield "            with suppress(Otherwise):"
    yield f"                follow(world.api{history})"
    yield f"            verdict = world.check({export.rule.name})"
    yield "        finally:"
    yield "            world.rollback(start)"
    yield f'    assert verdict.holds, f"{RULE_BROKEN}{{verdict.message}}"'


def _quoted_docstring(export: Export) -> str:
    found = export.counterexample
    text = _prose(" ".join((found.expected or found.name).split()))
    # A quote at the end would end the docstring early.
    return f'"""{text[:-1]}\\""""' if text.endswith('"') else f'"""{text}"""'


def _text(template: str, texts: set[str]) -> str:
    """Return the expression of a template."""
    pieces = list(parts(template))
    names = [name for _, name, _ in pieces if name]
    if not names:
        return _quoted("".join(text for text, _, _ in pieces))
    if len(pieces) == 1 and not pieces[0][0] and not pieces[0][2] and names[0] in texts:
        return names[0]
    written = "".join(_braces(text) + (_field(name, form)) for text, name, form in pieces)
    return f'f"{written}"'


def _field(name: str, form: str) -> str:
    if not name:
        return ""
    return f"{{quote(str({name}), safe='')}}" if form == "url" else f"{{{name}}}"


def _braces(text: str) -> str:
    return _quoted(text)[1:-1].replace("{", "{{").replace("}", "}}")


def _tree(value: Any, texts: set[str]) -> str:
    if isinstance(value, Mapping):
        items = (f"{_text(key, texts)}: {_tree(item, texts)}" for key, item in value.items())
        return f"{{{', '.join(items)}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_tree(item, texts) for item in value)}]"
    if isinstance(value, str):
        for _, name, form in parts(value):
            if form in RAW:
                return f"json.loads({name})" if form == "number" else name
        return _text(value, texts)
    return _value(value)


def _form(pairs: Any, texts: set[str]) -> str:
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(_text(name, texts), []).append(_text(value, texts))
    items = (
        f"{name}: {values[0] if len(values) == 1 else '[' + ', '.join(values) + ']'}"
        for name, values in fields.items()
    )
    return f"{{{', '.join(items)}}}"


def _value(value: Any) -> str:
    return _quoted(value) if isinstance(value, str) else repr(value)


def _quoted(text: str) -> str:
    """Return a text as Python writes it, in double quotes."""
    return f'"{"".join(map(_spelt, text))}"'


def _spelt(sign: str) -> str:
    if sign in '"\\':
        return f"\\{sign}"
    return sign if sign.isprintable() else ascii(sign)[1:-1]


def _prose(text: str) -> str:
    """Return a text that can stand in a docstring or a comment."""
    plain = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
    return plain.replace("\\", "\\\\").replace('"""', "'''").rstrip()
