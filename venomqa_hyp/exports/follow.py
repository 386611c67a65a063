"""Sends the requests of a script again, and compares the replies."""

import enum
import os
import uuid
from collections.abc import Mapping
from typing import Any

import attrs
import httpx

from venomqa_hyp.core.script import HEADER, SETUP, Binding, Expected, Script, ScriptStep, filled
from venomqa_hyp.reporters.exports import script_in_har


class Outcome(enum.Enum):
    """What came of sending the requests of a script again."""

    AS_WITH_BUG = "all replies are as they were with the bug"
    OTHERWISE = "a reply is not as it was with the bug"
    NOT_REACHED = "the failure could not be reached"


@attrs.frozen
class Followed:
    """An outcome, and the reply that decided."""

    outcome: Outcome
    reason: str = ""


def replay_har(
    text: str, base_url: str | None = None, secrets: Mapping[str, str] | None = None
) -> Outcome:
    """Send the requests of an exported archive again, with the values that the replies make now.

    :param text: of the file.
    :param base_url: where the service listens; where the archive was recorded by default.
    :param secrets: name -> value, which the archive does not hold; the environment by default.
    :raises Undecodable: the archive was not exported by venomqa-hyp.
    """
    given = os.environ if secrets is None else secrets
    return follow(script_in_har(text), base_url, given).outcome


def follow(script: Script, base_url: str | None, secrets: Mapping[str, str]) -> Followed:
    """Send the requests of a script as long as they are answered as they were."""
    if missing := [name for name in script.secrets if name not in secrets]:
        return Followed(Outcome.NOT_REACHED, f"no value was given for {', '.join(missing)}")
    values: dict[str, Any] = {name: secrets[name] for name in script.secrets}
    values |= {name: str(uuid.uuid4()) for name in script.created}
    with httpx.Client(base_url=base_url or script.base_url, trust_env=False, timeout=60) as client:
        for step in script.steps:
            is_last = step is script.steps[-1]
            try:
                reply = _sent(client, step, values)
                ended = _compared(step, reply, is_last)
                if ended is None:
                    values |= {item.name: _read(item, reply) for item in step.bindings}
            except (httpx.HTTPError, KeyError, IndexError, TypeError, ValueError) as error:
                reason = f"{step.method} {step.url}: {type(error).__name__}: {error}"
                return Followed(Outcome.NOT_REACHED, reason)
            if ended is not None:
                return ended
    return Followed(Outcome.AS_WITH_BUG)


def _sent(client: httpx.Client, step: ScriptStep, values: Mapping[str, Any]) -> httpx.Response:
    options: dict[str, Any] = {}
    body = filled(step.body, values)
    if step.kind == "json":
        options["json"] = body
    elif step.kind == "form":
        fields: dict[str, list[str]] = {}
        for name, value in body:
            fields.setdefault(name, []).append(value)
        options["data"] = fields
    elif step.kind == "text":
        options["content"] = body.encode()
    headers = [(name, filled(value, values)) for name, value in step.headers]
    return client.request(step.method, filled(step.url, values), headers=headers, **options)


def _compared(step: ScriptStep, reply: httpx.Response, is_last: bool) -> Followed | None:
    """Return how it ends where a reply is not as it was."""
    seen = f"{reply.request.method} {reply.request.url} answered {reply.status_code}"
    if reply.status_code != step.status:
        lost = step.role == SETUP or reply.status_code >= 500
        lost = lost or (not is_last and reply.status_code in (401, 404))
        outcome = Outcome.NOT_REACHED if lost else Outcome.OTHERWISE
        return Followed(outcome, f"{seen}, not {step.status}")
    for item in step.expected:
        if not _is_as_then(item, reply):
            return Followed(Outcome.OTHERWISE, f"{seen} with another {item.place}")
    return None


def _is_as_then(item: Expected, reply: httpx.Response) -> bool:
    try:
        seen: Any = reply.json()
        for key in item.place:
            seen = seen[key]
        seen = len(seen) if item.is_length else seen
    except (KeyError, IndexError, TypeError, ValueError):
        return False
    return bool(seen == item.value) and isinstance(seen, bool) == isinstance(item.value, bool)


def _read(binding: Binding, reply: httpx.Response) -> Any:
    if binding.source == HEADER:
        value: Any = reply.headers[str(binding.place[0])]
    else:
        value = reply.json()
        for key in binding.place:
            value = value[key]
    if binding.before:
        value = value.split(binding.before, 1)[1]
    return value.split(binding.after, 1)[0] if binding.after else value
