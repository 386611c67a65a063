"""Records as plain values, which JSON holds, and back.

Left out is what only this process can hold: what was observed (its digest and summary stay),
what actions returned, and exceptions (their text stays). An argument or a context value that
:mod:`venomqa_hyp.values.encoding` cannot save becomes :class:`Unsaved`, with what it looked like.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_origin

import attrs

from venomqa_hyp.core.action import ActionResult
from venomqa_hyp.core.counterexample import (
    ADDED,
    CHANGED,
    REMOVED,
    Change,
    Counterexample,
    CounterexampleStep,
    Exchange,
)
from venomqa_hyp.core.counts import ActionCounts, InvariantCounts
from venomqa_hyp.core.divergence import Differing, Divergence
from venomqa_hyp.core.invariant import Severity, Step, Violation
from venomqa_hyp.core.observation import Observation
from venomqa_hyp.core.script import Binding, Expected, Script, ScriptStep
from venomqa_hyp.core.state import State, Transition
from venomqa_hyp.values.encoding import (
    MAX_NESTING,
    Json,
    Undecodable,
    Unencodable,
    Unsaved,
    decode,
    encode,
    encode_within,
    expect,
    shown,
)

_OWN_NESTING = 10

_Record = TypeVar("_Record")
_Counts = TypeVar("_Counts", ActionCounts, InvariantCounts)
Document = dict[str, Any]


def to_json(document: Document) -> dict[str, Json]:
    """Return the JSON value of a document."""
    encoded = encode_within(document, "the document", MAX_NESTING + _OWN_NESTING)
    assert isinstance(encoded, dict)
    return encoded


def from_json(encoded: Any) -> Document:
    """Return the document of a JSON value.

    :raises Undecodable: for what :func:`to_json` never returns.
    """
    return Document(expect(dict, decode(encoded), "the document"))


def field(record: Any, key: str, kind: Any) -> Any:
    """Return the value under ``key``, which must be of that type or union of types.

    :raises Undecodable: when it is not.
    """
    if key not in expect(dict, record, "a record"):
        raise Undecodable(f"a record has no {key!r}: {shown(record)}")
    if not isinstance(record[key], kind):
        raise Undecodable(f"{key!r} is {shown(record[key])}, but it must be of type {kind}")
    return record[key]


def listed(record: object, key: str, read: Callable[[object], _Record]) -> list[_Record]:
    """Return what ``read`` makes of each item of the list under ``key``."""
    return [read(item) for item in field(record, key, list | tuple)]


def state_document(state: State, depth: int | None) -> Document:
    """Describe a state.

    :param depth: steps from the initial state on the path that first reached it.
    """
    return {
        "id": state.id,
        "depth": depth,
        "observations": {
            name: {"digest": seen.digest, "summary": seen.summary}
            for name, seen in state.observations.items()
        },
        "context": _savable_values(state.context),
    }


def state_from(record: object) -> State:
    """Return the state of a document, with nothing left of its observations but the digests."""
    observations = {
        name: Observation(name, {}, {}, field(seen, "digest", str), field(seen, "summary", str))
        for name, seen in field(record, "observations", dict).items()
    }
    return State(field(record, "id", str), observations, field(record, "context", dict))


def step_document(step: Step) -> Document:
    """Describe a step."""
    return {"action": step.action, "arguments": _savable_values(step.arguments)}


def step_from(record: object) -> Step:
    """Return the step of a document."""
    return Step(field(record, "action", str), field(record, "arguments", dict))


def transition_document(transition: Transition) -> Document:
    """Describe a transition and what came of it."""
    result = transition.result
    return {
        "source": transition.from_id,
        "target": transition.to_id,
        **step_document(transition.step),
        "success": result.success,
        "status": result.status,
        "error": result.error,
        "duration": result.duration,
    }


def transition_from(record: object) -> Transition:
    """Return the transition of a document; what the action returned is not known any more."""
    result = ActionResult(
        field(record, "success", bool),
        status=field(record, "status", int | None),
        error=field(record, "error", str | None),
        duration=field(record, "duration", float),
    )
    return Transition(
        field(record, "source", str), step_from(record), field(record, "target", str), result
    )


def violation_document(violation: Violation) -> Document:
    """Describe a violation."""
    return {
        "name": violation.name,
        "severity": violation.severity.value,
        "message": violation.message,
        "origin": violation.origin,
        "reproduction_path": [step_document(step) for step in violation.reproduction_path],
        "counterexample": counterexample_document(violation.counterexample),
        "states": list(violation.states),
    }


def violation_from(record: Any) -> Violation:
    """Return the violation of a document, without its exception."""
    # A key that was added to format 1; earlier records do not have it.
    record = {"states": (), **expect(dict, record, "a violation")}
    severity = field(record, "severity", str)
    if severity not in [item.value for item in Severity]:
        raise Undecodable(f"'severity' is {shown(severity)}, which is none")
    return Violation(
        field(record, "name", str),
        Severity(severity),
        field(record, "message", str),
        tuple(listed(record, "reproduction_path", step_from)),
        origin=field(record, "origin", str),
        counterexample=counterexample_from(record.get("counterexample")),
        states=tuple(listed(record, "states", lambda item: expect(str, item, "a state"))),
    )


def counterexample_document(counterexample: Counterexample | None) -> Document | None:
    """Describe a counterexample."""
    if counterexample is None:
        return None
    steps = [_counterexample_step_document(step) for step in counterexample.steps]
    script = script_document(counterexample.script)
    return {**attrs.asdict(counterexample, recurse=False), "steps": steps, "script": script}


def counterexample_from(record: Any) -> Counterexample | None:
    """Return the counterexample of a document.

    :raises Undecodable: it describes none.
    """
    if record is None:
        return None
    texts = {key: field(record, key, str) for key in ("name", "severity", "message", "expected")}
    steps = tuple(listed(record, "steps", _counterexample_step_from))
    shortened, script = field(record, "shortened", bool), script_from(record.get("script"))
    return Counterexample(steps=steps, shortened=shortened, script=script, **texts)


def script_document(script: Script | None) -> Document | None:
    """Describe a script, without the values of secrets."""
    if script is None:
        return None
    document = attrs.asdict(script)
    del document["values"]
    return Document(_as_lists(document))


def script_from(record: Any) -> Script | None:
    """Return the script of a document.

    :raises Undecodable: it describes none.
    """
    if record is None:
        return None
    secrets, created, obstacles = (
        tuple(listed(record, key, lambda item: str(expect(str, item, "a text"))))
        for key in ("secrets", "created", "obstacles")
    )
    steps = tuple(listed(record, "steps", _script_step_from))
    return Script(field(record, "base_url", str), steps, secrets, created, obstacles)


def _script_step_from(record: Any) -> ScriptStep:
    texts = {
        key: field(record, key, str)
        for key in ("role", "call", "method", "url", "kind", "reply_body")
    }
    return ScriptStep(
        headers=_pairs_from(record, "headers"),
        body=record.get("body"),
        number=field(record, "number", int),
        status=field(record, "status", int),
        reply_headers=_pairs_from(record, "reply_headers"),
        seconds=float(field(record, "seconds", int | float)),
        bindings=tuple(listed(record, "bindings", _binding_from)),
        expected=tuple(listed(record, "expected", _expected_from)),
        **texts,
    )


def _pairs_from(record: Any, key: str) -> tuple[tuple[str, str], ...]:
    return tuple(
        (expect(str, name, "a name"), expect(str, value, "a value"))
        for name, value in field(record, key, list)
    )


def _binding_from(record: Any) -> Binding:
    keys = ("name", "source", "before", "after", "value")
    texts = {key: field(record, key, str) for key in keys}
    place = tuple(field(record, "place", list))
    return Binding(place=place, is_text=field(record, "is_text", bool), **texts)


def _expected_from(record: Any) -> Expected:
    place = tuple(field(record, "place", list))
    return Expected(place, record.get("value"), field(record, "is_length", bool))


def _as_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_lists(item) for key, item in value.items()}
    return [_as_lists(item) for item in value] if isinstance(value, (list, tuple)) else value


def _counterexample_step_document(step: CounterexampleStep) -> Document:
    document: Document = {
        "call": step.call,
        "result": step.result,
        "exchanges": [attrs.asdict(item) for item in step.exchanges],
        "changes": [attrs.asdict(item) for item in step.changes],
    }
    return {key: value for key, value in document.items() if value}  # nothing of what it did not do


def _counterexample_step_from(record: Any) -> CounterexampleStep:
    record = {"result": "", "exchanges": (), "changes": (), **expect(dict, record, "a step")}
    return CounterexampleStep(
        field(record, "call", str),
        field(record, "result", str),
        tuple(listed(record, "exchanges", _exchange_from)),
        tuple(listed(record, "changes", _change_from)),
    )


def _exchange_from(record: object) -> Exchange:
    return Exchange(field(record, "request", str), field(record, "reply", str))


def _change_from(record: object) -> Change:
    change = Change(*(field(record, key, str) for key in ("system", "kind", "place", "text")))
    if change.kind not in (ADDED, REMOVED, CHANGED):
        raise Undecodable(f"'kind' is {shown(change.kind)}, which is none")
    return change


def counts_document(counts: Mapping[str, ActionCounts] | Mapping[str, InvariantCounts]) -> Any:
    """Describe what came of each action, or of each invariant."""
    return [{"name": name, **attrs.asdict(item)} for name, item in counts.items()]


def counts_from(record: object, key: str, kind: type[_Counts]) -> dict[str, _Counts]:
    """Return the counts under ``key``, by name."""
    return {field(item, "name", str): _one_count(item, kind) for item in field(record, key, list)}


def _one_count(record: object, kind: type[_Counts]) -> _Counts:
    types = {item.name: get_origin(item.type) or item.type for item in attrs.fields(kind)}
    return kind(**{name: field(record, name, of) for name, of in types.items()})


def divergence_document(divergence: Divergence | None) -> Document | None:
    """Describe a divergence."""
    if divergence is None:
        return None
    places = [attrs.asdict(item) for item in divergence.places]
    own = attrs.asdict(divergence, recurse=False)
    return {**own, "places": places, "actions": list(divergence.actions)}


def divergence_from(record: Any) -> Divergence | None:
    """Return the divergence of a document."""
    if record is None:
        return None
    places = listed(
        record, "places", lambda item: Differing(*(field(item, key, str) for key in _DIFFERING))
    )
    texts = {key: field(record, key, str) for key in ("step", "what", "advice")}
    actions = tuple(field({"actions": (), **record}, "actions", list | tuple))
    return Divergence(places=tuple(places), actions=actions, **texts)


_DIFFERING = ("system", "place", "text")


def _savable_values(values: Mapping[str, object]) -> Document:
    return {name: _savable(value) for name, value in values.items()}


def _savable(value: object) -> Any:
    try:
        encode(value)
    except Unencodable:
        return Unsaved(shown(value))
    return value
