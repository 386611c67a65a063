"""Makes the counterexample of a failure from the transcript of its path."""

import base64
import linecache
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

from venomqa_hyp.core.counterexample import (
    ADDED,
    CHANGED,
    Change,
    Counterexample,
    CounterexampleStep,
    Exchange,
)
from venomqa_hyp.core.redaction import Redaction, words
from venomqa_hyp.core.script import Script
from venomqa_hyp.explore.counterexample.effects import Effect
from venomqa_hyp.explore.counterexample.names import names_of
from venomqa_hyp.explore.counterexample.script import script_of
from venomqa_hyp.explore.counterexample.transcript import Entered, Transcript
from venomqa_hyp.explore.counterexample.wording import Wording
from venomqa_hyp.explore.failure import Failure

#: Changes of one system that are listed for a step.
MOST_CHANGES = 12


def counterexample_of(
    failure: Failure,
    transcript: Transcript,
    description: str = "",
    *,
    shortened: bool = False,
    redaction: Redaction | None = None,
) -> Counterexample:
    """Return what people read of a failure.

    :param transcript: of the path that fails, from the initial state.
    :param description: of the invariant.
    """
    entered, hidden = transcript.entered, redaction or Redaction()
    initial = entered[0].at.parent.state.context if entered and entered[0].at.parent else {}
    names = names_of(entered, initial)
    secrets = frozenset(_secrets(entered, initial, hidden))
    wording = Wording(names, hidden, secrets)
    last = wording.at(len(entered))
    steps = tuple(_step(step, wording.at(number)) for number, step in enumerate(entered))
    calls = [step.call for step in steps]
    return Counterexample(
        failure.name,
        failure.severity.value,
        last.message(failure.message.rstrip(": ")),
        last.message(_assertion(failure) or description),
        steps,
        shortened,
        _script(transcript, failure.rule, calls, names, hidden, secrets),
    )


def _script(transcript: Transcript, *given: Any) -> Script | None:
    """Return the script; a client of the user's may record requests in another way."""
    try:
        return script_of(transcript, *given)
    except Exception as problem:
        return Script("", (), obstacles=(f"its requests: {type(problem).__name__}: {problem}",))


def _step(step: Entered, wording: Wording) -> CounterexampleStep:
    exchanges = tuple(_exchange(request, wording) for request in step.requests)
    result = "" if exchanges else _result(step, wording)
    return CounterexampleStep(_call(step, wording), result, exchanges, _changes(step, wording))


def _call(step: Entered, wording: Wording) -> str:
    assert step.at.taken is not None
    names, called = wording.names, step.at.taken.step
    owned = {
        name: names.owned.get((item.pool, item.owner)) for name, item in step.at.chosen.items()
    }
    before = wording.at(wording.step - 1)  # what the step itself makes is no argument of it
    arguments = [
        f"{name}={owned.get(name) or before.argument(name, value)}"
        for name, value in called.arguments.items()
    ]
    made = ", ".join(names.assigned.get(wording.step, ()))
    return f"{made}{' = ' if made else ''}{called.action}({', '.join(arguments)})"


def _result(step: Entered, wording: Wording) -> str:
    assert step.at.taken is not None
    result = step.at.taken.result
    if result.exception is not None:
        return ""  # it is the failure
    if not result.success:
        return wording.done(wording.plain(result.error or "failed"))
    if result.value is None or result.status is not None:
        return "" if result.status is None else f"status {result.status}"
    made = wording.names.assigned.get(wording.step, [])
    text = wording.argument("", result.value)
    return "" if text in made else text


def _exchange(request: Any, wording: Wording) -> Exchange:
    url = str(request.url)
    before = wording.at(wording.step - 1)
    body = before.body(request.request_body, url)
    asked = f"{request.method} {before.address(url)} {body}".rstrip()
    if request.status is None:
        return Exchange(asked, wording.done(wording.plain(f"no reply: {request.error}"), 200))
    return Exchange(asked, f"{request.status} {wording.body(request.response_body, url)}".rstrip())


def _changes(step: Entered, wording: Wording) -> tuple[Change, ...]:
    listed: list[Change] = []
    more: dict[str, int] = {}
    counts: dict[str, int] = {}
    for effect in step.effects:
        counts[effect.system] = counts.get(effect.system, 0) + 1
        if counts[effect.system] > MOST_CHANGES:
            more[effect.system] = more.get(effect.system, 0) + 1
        else:
            listed.append(_row(effect, wording) if effect.is_row else _value(effect, wording))
    listed += [Change(system, CHANGED, "", f"and {n:,} more") for system, n in more.items()]
    return tuple(listed)


def _row(effect: Effect, wording: Wording) -> Change:
    table, *key = effect.place
    before, after = effect.before or {}, effect.after or {}
    keys = zip(effect.key, key, strict=False)
    place = " ".join([table, *(wording.column(column, part, table) for column, part in keys)])
    if effect.kind == CHANGED:
        texts = [
            f"{column} {wording.column(column, before.get(column), table)}"
            f" -> {wording.column(column, after.get(column), table)}"
            for column in effect.columns
        ]
    else:
        texts = [
            f"{column} {wording.column(column, value, table)}"
            for column, value in (after or before).items()
            if column not in effect.key
        ]
    return Change(effect.system, effect.kind, wording.done(place), ", ".join(texts))


def _value(effect: Effect, wording: Wording) -> Change:
    if not effect.place:
        return Change(effect.system, effect.kind, "", "in what is not shown")
    parts = [str(part) for part in effect.place]
    place = ".".join(_part(parts, at, wording) for at in range(len(parts)))
    words = [part for part in parts if wording.redaction.hides(part)]
    field = words[0] if words else parts[-1]
    before, after = (wording.value(_mail(item), field) for item in (effect.before, effect.after))
    text = f"{before} -> {after}" if effect.kind == CHANGED else ""
    return Change(
        effect.system, effect.kind, place, text or (after if effect.kind == ADDED else before)
    )


def _mail(value: Any) -> Any:
    """Return what counts of a mail, without the headers that only programs read."""
    if not isinstance(value, Mapping) or not {"recipients", "headers", "body"} <= value.keys():
        return value
    subject = value["headers"].get("subject") if isinstance(value["headers"], Mapping) else None
    return {
        "to": value["recipients"],
        **({"subject": " ".join(map(str, subject))} if subject else {}),
        "body": value["body"],
    }


def _part(parts: list[str], at: int, wording: Wording) -> str:
    if at:
        return wording.key(parts[at], parts[at - 1])
    return wording.done(wording.plain(parts[at], numbers=True))


def _assertion(failure: Failure) -> str:
    """Return the line of the assertion that failed, where its message does not say it."""
    error = failure.exception
    if not isinstance(error, AssertionError):
        return ""
    frames = traceback.extract_tb(failure.traceback or error.__traceback__)
    line = linecache.getline(frames[-1].filename, frames[-1].lineno or 0).strip() if frames else ""
    return line if line.startswith("assert ") else ""


def _secrets(
    entered: tuple[Entered, ...], initial: Mapping[str, Any], redaction: Redaction
) -> Iterator[str]:
    """Yield every secret that is at hand, so that it is shown nowhere."""
    yield from redaction.secrets(initial)
    for step in entered:
        assert step.at.taken is not None
        yield from redaction.secrets(step.at.state.context)
        yield from redaction.secrets(step.at.taken.step.arguments)
        for request in step.requests:
            yield from redaction.secrets(request.request_body)
            yield from redaction.secrets(request.response_body)
            yield from _of_headers(request, redaction)
        for effect in step.effects:
            for value in (effect.before, effect.after):
                yield from redaction.secrets(value, ".".join(map(str, effect.place)))
    for seen in entered[-1].after.observations.values() if entered and entered[-1].after else ():
        yield from redaction.secrets_of_system(seen.data)


def _of_headers(request: Any, redaction: Redaction) -> Iterator[str]:
    pairs = [
        *(getattr(request, "request_headers", None) or ()),
        *(getattr(request, "response_headers", None) or ()),
    ]
    for name, value in pairs:
        if redaction.hides(name):
            yield from words(str(value))
            yield from redaction.secrets(_basic(str(value)), name)


def _basic(value: str) -> list[str]:
    """Return the password of HTTP Basic credentials (RFC 7617)."""
    scheme, _, encoded = value.partition(" ")
    if scheme.lower() != "basic":
        return []
    try:
        return [base64.b64decode(encoded).decode().partition(":")[2]]
    except ValueError:
        return []
