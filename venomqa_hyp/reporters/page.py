"""A run as a page in HTML: one file, which opens offline and is readable without scripts.

The one file that uses Jinja2. The script only draws the graph, out of data that are compressed
(RFC 1952) and in base64; ``DecompressionStream`` opens them. A policy (CSP) in the page forbids
everything but this style and this script, which it names by their hashes.
"""

import base64
import gzip
import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import attrs

from venomqa_hyp.core import ExplorationResult, Violation
from venomqa_hyp.core.counterexample import Counterexample
from venomqa_hyp.core.counterexample_text import MARKS, title
from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.reporters import summary
from venomqa_hyp.reporters.state_graph import graph_document

if TYPE_CHECKING:
    from jinja2 import Template

#: One module, in this order.
_SCRIPTS = ("graph.js", "paint.js", "panel.js", "main.js")
_ASSETS = files("venomqa_hyp.reporters") / "assets"


@attrs.frozen
class _Finding:
    """A violation as it is shown.

    :ivar text: the whole of it as plain text.
    :ivar title: of its steps; empty where the failure was not confirmed.
    """

    name: str
    severity: str
    seen: str
    text: str
    title: str
    counterexample: Counterexample | None


def to_html(result: ExplorationResult, *, name: str = "") -> str:
    """Return a run as a page in HTML, to be written to a file in UTF-8.

    What is named as a secret is left out, in the data of the graph too. Needs Jinja2.

    :param name: of the machine, for the heading.
    :raises DefinitionError: where Jinja2 is not installed.
    """
    template = _template()
    violations = summary.worst_first(result)
    style, script = _asset("report.css"), "\n".join(map(_asset, _SCRIPTS))
    return template.render(
        name=name,
        verdict=summary.verdict(result),
        figures=summary.figures(result),
        findings=[_finding(item) for item in violations],
        coverage={
            "action": summary.counts_of_actions(result),
            "invariant": summary.counts_of_invariants(result),
        },
        bad={
            "action": summary.never_executed(result),
            "invariant": [item.name for item in violations],
        },
        notes=summary.notes(result),
        marks=MARKS,
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        data=_packed(graph_document(result.graph, violations)),
    )


@cache
def _template() -> "Template":
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as missing:
        raise DefinitionError(
            "to_html needs Jinja2, which is not installed: pip install 'venomqa-hyp[html]'"
        ) from missing
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: summary.printable(value) if type(value) is str else value,
    )
    return environment.from_string(_asset("report.html.jinja"))


@cache
def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Return the source expression of a text (Content Security Policy Level 3, section 2.3.1)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _packed(document: dict[str, Any]) -> str:
    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _finding(violation: Violation) -> _Finding:
    known = violation.counterexample
    return _Finding(
        violation.name,
        violation.severity.value,
        summary.seen(violation),
        summary.violation_text(violation),
        "" if known is None else title(known),
        known,
    )
