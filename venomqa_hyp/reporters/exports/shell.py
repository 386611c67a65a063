"""A failure as a shell script: bash, curl and jq."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from venomqa_hyp.core.script import (
    HEADER,
    RAW,
    SETUP,
    Binding,
    Expected,
    ScriptStep,
    literal,
    parts,
)
from venomqa_hyp.reporters.exports.heading import (
    AS_WITH_BUG,
    Export,
    compared,
    heading,
    needed,
    title,
)

_FUNCTIONS = r"""
for tool in curl jq; do
  command -v "$tool" > /dev/null || { echo "this script needs $tool" >&2; exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'echo "line $LINENO failed: the requests cannot be followed" >&2; exit 2' ERR

# send METHOD PATH [options of curl]: sets $status, and writes the reply into $work
send() {
  local method=$1 url=$2
  shift 2
  case $url in http://* | https://*) ;; *) url=$BASE_URL$url ;; esac
  : > "$work/body"
  if [ "$method" = HEAD ]; then set -- --head "$@"; else set -- --request "$method" "$@"; fi
  status=$(curl --silent --show-error --max-time 60 --noproxy '*' --globoff --path-as-is \
    --cookie "$work/jar" --cookie-jar "$work/jar" --dump-header "$work/headers" \
    --output "$work/body" --write-out '%{http_code}' "$@" "$url")
  echo "$method $url: $status"
}

# as_then STATUS [codes]: goes on only where the reply has the status that it had with the bug
as_then() {
  if [ "$status" = "$1" ]; then return 0; fi
  case " ${2:-} " in *" $status "*) lost ;; esac
  case $status in 5* | 000) lost ;; esac
  echo "The answer is $status, not $1 as with the bug."
  exit 0
}

lost() {
  echo "The answer is $status: the failure cannot be reached." >&2
  cat "$work/body" >&2
  exit 2
}
"""
#: Name -> a function that only some scripts need.
_HELPERS = {
    "same": r"""
# same EXPRESSION: goes on only where a part of the reply is as it was with the bug
same() {
  if jq --exit-status "$1" "$work/body" > /dev/null 2>&1; then return 0; fi
  echo "The answer is not as with the bug, where $1."
  exit 0
}
""",
    "json": r"""
# json EXPRESSION: a value of the reply
json() { jq --exit-status --raw-output "$1" "$work/body"; }
""",
    "header": r"""
# header NAME: a header of the reply
header() {
  tr -d '\r' < "$work/headers" | awk -v name="$1" '
    { at = index($0, ":") }
    at && tolower(substr($0, 1, at - 1)) == name {
      value = substr($0, at + 1); sub(/^[ \t]+/, "", value); print value; found = 1; exit
    }
    END { exit !found }'
}
""",
    "within": r"""
# within TEXT BEFORE AFTER: what stands between two texts
within() {
  local text=$1
  text=${text#*"$2"}
  if [ -n "$3" ]; then text=${text%%"$3"*}; fi
  printf '%s' "$text"
}
""",
    "url": r"""
# url TEXT: the text percent-encoded
url() { jq --null-input --raw-output --arg text "$1" '$text | @uri'; }
""",
}
_NEW_UUID = "$(cat /proc/sys/kernel/random/uuid 2> /dev/null || uuidgen | tr A-F a-f)"


def to_shell(export: Export) -> str:
    """Return a script that exits with 1 where all is answered as with the bug, else with 0.

    It exits with 2 where the requests could not be followed to the end.
    """
    return "\n".join(_lines(export)) + "\n"


def _lines(export: Export) -> Iterator[str]:
    requests = "\n".join(_requests(export))
    yield "#!/usr/bin/env bash"
    yield from map(_comment, title(export))
    yield "#"
    yield _comment(f"Exported by venomqa-hyp; {export.verdict}.")
    yield from map(_comment, compared(export))
    yield "# Exit status: 1 as with the bug, 0 otherwise, 2 if the requests could not be followed."
    yield "#"
    yield from (_comment(f"  {line}") for line in needed(export))
    yield "set -Eeuo pipefail"
    yield ""
    yield f"BASE_URL=${{BASE_URL:-{shlex.quote(export.script.base_url)}}}"
    yield "BASE_URL=${BASE_URL%/}"
    for name in export.script.secrets:
        yield f'[ -n "${{{name}:-}}" ] || {{ echo "set {name}" >&2; exit 2; }}'
    helpers = [text for name, text in _HELPERS.items() if re.search(rf"\b{name} ", requests)]
    yield "".join([_FUNCTIONS, *helpers])
    yield from (f"{name}={_NEW_UUID}" for name in export.script.created)
    yield requests
    yield ""
    yield f"echo {shlex.quote(AS_WITH_BUG + export.counterexample.message)}"
    yield "exit 1"


def _requests(export: Export) -> Iterator[str]:
    previous = ""
    for step in export.script.steps:
        if heading(step) != previous:
            yield f"\n{_comment(heading(step))}"
        previous = heading(step)
        yield from _request(step)
        yield from _after(step, is_last=step is export.script.steps[-1])


def _request(step: ScriptStep) -> Iterator[str]:
    options = [f"--header {_text(literal(name) + ': ' + value)}" for name, value in step.headers]
    if step.kind == "json":
        yield from _json_body(step.body)
        options += ["--header 'Content-Type: application/json'"] * (not _has_type(step))
        options.append('--data-binary "$body"')
    elif step.kind == "form":
        options += [f"--data-urlencode {_text(f'{name}={value}')}" for name, value in step.body]
    elif step.kind == "text":
        options += ["--header 'Content-Type:'"] * (not _has_type(step))
        options.append(f"--data-binary {_text(step.body)}")
    words = " \\\n  ".join([f"send {step.method} {_text(step.url)}", *options])
    yield words


def _has_type(step: ScriptStep) -> bool:
    return any(name.lower() == "content-type" for name, _ in step.headers)


def _json_body(body: Any) -> Iterator[str]:
    names = dict(_names(body))
    if not names:
        yield f"body={shlex.quote(json.dumps(_plain(body), ensure_ascii=False))}"
        return
    given = " ".join(
        f'{"--argjson" if is_raw else "--arg"} {_variable(name, is_raw)} "${name}"'
        for name, is_raw in names
    )
    yield f"body=$(jq --null-input --compact-output {given} \\"
    yield f"  {shlex.quote(_program(body))})"


def _variable(name: str, is_raw: bool) -> str:
    return f"{name}_json" if is_raw else name


def _names(body: Any) -> Iterator[tuple[tuple[str, bool], None]]:
    """Yield the names in a tree of templates, and whether their values are no texts."""
    if isinstance(body, Mapping):
        for key, item in body.items():
            yield from (*_names(key), *_names(item))
    elif isinstance(body, (list, tuple)):
        for item in body:
            yield from _names(item)
    elif isinstance(body, str):
        yield from (((name, form in RAW), None) for _, name, form in parts(body) if name)


def _plain(body: Any) -> Any:
    if isinstance(body, Mapping):
        return {_plain(key): _plain(item) for key, item in body.items()}
    if isinstance(body, (list, tuple)):
        return [_plain(item) for item in body]
    return "".join(text for text, _, _ in parts(body)) if isinstance(body, str) else body


def _program(body: Any) -> str:
    """Return the expression of jq that makes a body."""
    if isinstance(body, Mapping):
        items = (f"{_program(key)}: {_program(item)}" for key, item in body.items())
        return f"{{{', '.join(items)}}}"
    if isinstance(body, (list, tuple)):
        return f"[{', '.join(map(_program, body))}]"
    if not isinstance(body, str):
        return json.dumps(body)
    pieces = [
        piece
        for text, name, form in parts(body)
        for piece in (
            json.dumps(text, ensure_ascii=False) if text or not name else "",
            f"${_variable(name, form in RAW)}" if name else "",
        )
        if piece
    ]
    return f"({' + '.join(pieces)})" if len(pieces) > 1 else "".join(pieces) or '""'


def _after(step: ScriptStep, *, is_last: bool) -> Iterator[str]:
    if step.role == SETUP:
        yield f'if [ "$status" != {step.status} ]; then lost; fi'
    else:
        lost = "" if is_last else ' "401 404"'
        yield f"as_then {step.status}{lost}"
    yield from (f"same {shlex.quote(_expected(item))}" for item in step.expected)
    for binding in step.bindings:
        yield f"{binding.name}={_read(binding)}"


def _expected(item: Expected) -> str:
    value = json.dumps(item.value, ensure_ascii=False)
    got = f"getpath({json.dumps(list(item.place), ensure_ascii=False)})"
    return f"({got} | length) == {value}" if item.is_length else f"{got} == {value}"


def _read(binding: Binding) -> str:
    if binding.source == HEADER:
        read = f"$(header {shlex.quote(str(binding.place[0]))})"
    else:
        read = f"$(json {shlex.quote(f'getpath({json.dumps(list(binding.place))})')})"
    if binding.before or binding.after:
        around = f"{shlex.quote(binding.before)} {shlex.quote(binding.after)}"
        return f'$(within "{read}" {around})'
    return read


def _text(template: str) -> str:
    """Return a template as a word of the shell, in double quotes."""
    return '"' + "".join(_literal(text) + _value(*rest) for text, *rest in parts(template)) + '"'


def _literal(text: str) -> str:
    return "".join(f"\\{sign}" if sign in '\\"$`' else sign for sign in text)


def _value(name: str, form: str) -> str:
    if not name:
        return ""
    return f'$(url "${name}")' if form == "url" else f"${{{name}}}"


def _comment(text: str) -> str:
    plain = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
    return f"# {plain}".rstrip()
