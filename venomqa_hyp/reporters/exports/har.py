"""A failure as an HTTP Archive (HAR 1.2): what was sent and answered, with secrets redacted."""

import datetime
import io
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from venomqa_hyp.core.documents import from_json, script_document, script_from, to_json
from venomqa_hyp.core.redaction import REDACTED
from venomqa_hyp.core.script import Script, ScriptStep, filled
from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.reporters.exports.heading import Export, title
from venomqa_hyp.values.encoding import Undecodable

#: A field of our own, as HAR permits: its name begins with an underscore.
SCRIPT_FIELD = "_venomqa_script"
#: When requests were sent is not recorded, only how long they took.
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_TYPES = {"json": "application/json", "form": "application/x-www-form-urlencoded", "": ""}


def to_har(export: Export) -> str:
    """Return an archive; its field ``_venomqa_script`` says what later requests take from replies.

    :raises DefinitionError: harfile is not installed.
    """
    harfile, written = _harfile(), io.StringIO()
    comment = " ".join([*title(export), f"{export.verdict}.", "Times of day are not recorded."])
    values = _recorded(export.script)
    with harfile.open(
        written, creator=harfile.Creator(name="venomqa-hyp", version="1"), comment=comment
    ) as har:
        at = _EPOCH
        for step in export.script.steps:
            _add(harfile, har, step, export.script.base_url, values, at)
            at += datetime.timedelta(seconds=step.seconds)
    document = json.loads(written.getvalue())
    script = script_document(export.script)
    assert script is not None
    document["log"][SCRIPT_FIELD] = to_json(script)
    return json.dumps(document, indent=2) + "\n"


def script_in_har(text: str) -> Script:
    """Return the script in an archive that :func:`to_har` wrote.

    :raises Undecodable: there is none.
    """
    try:
        document = json.loads(text)["log"][SCRIPT_FIELD]
    except (ValueError, KeyError, TypeError):
        raise Undecodable(
            f"it has no field log.{SCRIPT_FIELD}, so it was not exported by venomqa-hyp"
        ) from None
    script = script_from(from_json(document))
    assert script is not None
    return script


def _harfile() -> Any:
    try:
        import harfile
    except ImportError:
        raise DefinitionError(
            "to_har needs harfile, which is not installed: pip install 'venomqa-hyp[har]'"
        ) from None
    return harfile


def _recorded(script: Script) -> dict[str, Any]:
    """Return name -> the value in the recorded run, as far as it may be shown."""
    values: dict[str, Any] = dict.fromkeys((*script.secrets, *script.created), REDACTED)
    for step in script.steps:
        for binding in step.bindings:
            is_number = not binding.is_text and binding.value.lstrip("-").isdigit()
            values[binding.name] = int(binding.value) if is_number else binding.value
    return values


def _add(
    harfile: Any,
    har: Any,
    step: ScriptStep,
    base_url: str,
    values: Mapping[str, Any],
    at: datetime.datetime,
) -> None:
    milliseconds = step.seconds * 1000
    har.add_entry(
        startedDateTime=at,
        time=milliseconds,
        request=_request(harfile, step, base_url, values),
        response=_response(harfile, step),
        timings=harfile.Timings(send=0, wait=milliseconds, receive=0),
        comment=step.call or step.role,
    )


def _request(harfile: Any, step: ScriptStep, base_url: str, values: Mapping[str, Any]) -> Any:
    url = filled(step.url, values)
    url = url if "://" in url.partition("?")[0] else base_url + url
    return harfile.Request(
        step.method,
        url,
        "HTTP/1.1",
        headers=[harfile.Record(name, filled(value, values)) for name, value in step.headers],
        queryString=[harfile.Record(*pair) for pair in parse_qsl(urlsplit(url).query, True)],
        postData=_posted(harfile, step, values),
    )


def _response(harfile: Any, step: ScriptStep) -> Any:
    headers = {name.lower(): value for name, value in step.reply_headers}
    return harfile.Response(
        status=step.status,
        statusText="",
        httpVersion="HTTP/1.1",
        headers=[harfile.Record(*pair) for pair in step.reply_headers],
        content=harfile.Content(
            size=len(step.reply_body.encode()),
            mimeType=headers.get("content-type", ""),
            text=step.reply_body,
        ),
        redirectURL=headers.get("location", ""),
    )


def _posted(harfile: Any, step: ScriptStep, values: Mapping[str, Any]) -> Any:
    if not step.kind:
        return None
    sent = {name.lower(): value for name, value in step.headers}.get("content-type")
    body = filled(step.body, values)
    if step.kind == "json":
        body = json.dumps(body, ensure_ascii=False)
    elif step.kind == "form":
        body = urlencode([tuple(pair) for pair in body])
    return harfile.PostData(mimeType=sent or _TYPES.get(step.kind, "text/plain"), text=body)
