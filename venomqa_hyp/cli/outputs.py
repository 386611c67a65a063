"""The forms in which results are written: by name, and by the suffix of a file."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import attrs

from venomqa_hyp import reporters
from venomqa_hyp.agent.merge import Found, merge
from venomqa_hyp.core import ExplorationResult
from venomqa_hyp.errors import DefinitionError, WorldError
from venomqa_hyp.values.encoding import Undecodable

#: Name of the machine -> its result.
Results = Mapping[str, ExplorationResult]


@attrs.frozen
class Form:
    """One form of a report.

    :ivar suffix: of a file, with the dot.
    :ivar holds_one: whether a file has the result of one machine only.
    """

    suffix: str
    render: Callable[[Results], str]
    holds_one: bool = False


def _of_each(render: Callable[[ExplorationResult, str], str]) -> Callable[[Results], str]:
    return lambda results: "\n".join(render(result, name) for name, result in results.items())


FORMS: Mapping[str, Form] = {
    "json": Form(".json", _of_each(lambda result, _: reporters.to_json(result)), holds_one=True),
    "junit": Form(".xml", reporters.to_junit),
    "markdown": Form(
        ".md", _of_each(lambda result, name: reporters.to_markdown(result, name=name))
    ),
    "html": Form(
        ".html", _of_each(lambda result, name: reporters.to_html(result, name=name)), holds_one=True
    ),
    "dot": Form(
        ".dot",
        _of_each(lambda result, _: reporters.to_dot(result.graph, result.violations)),
        holds_one=True,
    ),
    "mermaid": Form(
        ".mmd",
        _of_each(lambda result, _: reporters.to_mermaid(result.graph, result.violations)),
        holds_one=True,
    ),
}
GRAPHS = ("dot", "mermaid")


def form_of(path: Path) -> Form:
    """Return the form that the suffix of a file asks for.

    :raises DefinitionError: it asks for none.
    """
    for form in FORMS.values():
        if form.suffix == path.suffix.lower():
            return form
    known = ", ".join(f"{form.suffix} ({name})" for name, form in FORMS.items())
    raise DefinitionError(
        f"the report {str(path)!r} has the suffix {path.suffix!r}, which names no form. "
        f"Write one of {known}."
    )


def checked(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return paths that can be reports, before anything is run.

    :raises DefinitionError: one cannot.
    """
    kept = tuple(paths)
    for path in kept:
        if form_of(path) is FORMS["html"] and find_spec("jinja2") is None:
            raise DefinitionError(
                "html needs Jinja2, which is not installed: pip install 'venomqa-hyp[html]'"
            )
    return kept


def write(path: Path, form: Form, results: Results) -> list[Path]:
    """Write a report, and return the files.

    Where a file holds one machine and there are several, each has a file of its own, with the name
    of the machine before the suffix.

    :raises WorldError: a file cannot be written.
    """
    if not form.holds_one or len(results) == 1:
        return [_write(path, form.render(results))]
    return [
        _write(_with_name(path, name), form.render({name: result}))
        for name, result in results.items()
    ]


def read(path: Path) -> ExplorationResult:
    """Read a result that was written as JSON.

    :raises DefinitionError: the file holds none.
    """
    try:
        return ExplorationResult.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        reason = error.strerror or str(error)
    except (ValueError, RecursionError) as error:
        reason = f"it is no JSON: {error}"
    except Undecodable as error:
        reason = str(error)
    raise DefinitionError(
        f"{str(path)!r} cannot be read as a result: {reason}. Write a file that "
        "venomqa run --report result.json has made."
    )


def merged(paths: Sequence[Path]) -> ExplorationResult:
    """Return one result of several files; their durations are added up.

    :raises DefinitionError: one of them holds none.
    """
    results = {number: read(path) for number, path in enumerate(paths, 1)}
    found = {number: Found(result, {}) for number, result in results.items()}
    return merge(found, (), sum(result.duration for result in results.values()))


def parsed(names: str, known: Sequence[str] = tuple(FORMS)) -> list[str]:
    """Return the names of forms in ``html,junit``.

    :raises DefinitionError: one is none.
    """
    found = [name.strip() for name in names.split(",") if name.strip()]
    for name in found:
        if name not in known:
            raise DefinitionError(f"{name!r} is no form of a report. Write {', '.join(known)}.")
    return found


def _with_name(path: Path, name: str) -> Path:
    plain = re.sub(r"[^\w.-]+", "_", name)
    return path.with_name(f"{path.stem}-{plain}{path.suffix}")


def _write(path: Path, text: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise WorldError(
            f"{path} cannot be written: {error.strerror or error}. Name another file or folder."
        ) from error
    return path
