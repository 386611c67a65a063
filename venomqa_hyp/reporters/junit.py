"""Runs as JUnit XML, which CI servers show: one test case for each action and each invariant.

There is no standard. Written is what the family ``xunit2`` of pytest writes, which is the schema
``junit-10.xsd`` of Jenkins's xUnit plugin. GitLab reads neither the attributes of ``<failure>`` nor
the properties of a suite, so the text of an element says all of it.
"""

from collections.abc import Iterator, Mapping
from xml.etree import ElementTree

import attrs

from venomqa_hyp.core import ExplorationResult, Violation
from venomqa_hyp.reporters.summary import (
    Note,
    counts_of_actions,
    counts_of_invariants,
    divergence_text,
    figures,
    notes,
    printable,
    seen,
    violation_text,
    violation_title,
    worst_first,
)

_COUNTED = {"failures": "failure", "errors": "error", "skipped": "skipped"}


@attrs.frozen
class _Case:
    """One test case.

    :ivar outcome: ``"failure"``, ``"error"`` or ``"skipped"``; empty where it passed.
    :ivar seconds: ``None`` where it is not known.
    :ivar counts: how often it was tried or checked, and what came of it.
    """

    name: str
    outcome: str = ""
    message: str = ""
    kind: str = ""
    text: str = ""
    seconds: float | None = None
    counts: str = ""


def to_junit(
    results: Mapping[str, ExplorationResult] | ExplorationResult, *, name: str = "venomqa"
) -> str:
    """Return runs as JUnit XML, one test suite for each.

    A rule that was broken in several ways has a test case for each of them: ``paid``, ``paid (2)``.
    A World that did not repeat itself, workers that did not end well, and what the run had to reach
    and did not, are errors.

    :param results: name of a machine -> its run; or one run, which then has ``name``.
    :param name: of all of them together.
    """
    by_name = {name: results} if isinstance(results, ExplorationResult) else results
    suites = [_suite(machine, result) for machine, result in by_name.items()]
    root = ElementTree.Element("testsuites", name=printable(name))
    for key in ("tests", *_COUNTED):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in suites)))
    root.set("time", _seconds(sum(result.duration for result in by_name.values())))
    root.extend(suites)
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{body}\n'


def _suite(machine: str, result: ExplorationResult) -> ElementTree.Element:
    cases = list(_cases(result))
    suite = ElementTree.Element("testsuite", name=printable(machine), tests=str(len(cases)))
    for key, outcome in _COUNTED.items():
        suite.set(key, str(sum(case.outcome == outcome for case in cases)))
    suite.set("time", _seconds(result.duration))
    properties = ElementTree.SubElement(suite, "properties")
    for key, value in figures(result).items():
        ElementTree.SubElement(properties, "property", name=key, value=value)
    suite.extend(_case_element(machine, case) for case in cases)
    if found := notes(result):
        text = "\n\n".join(f"{note.title}:\n{note.text}" for note in found)
        ElementTree.SubElement(suite, "system-out").text = text
    return suite


def _case_element(machine: str, case: _Case) -> ElementTree.Element:
    names = {"classname": printable(machine), "name": printable(case.name)}
    element = ElementTree.Element("testcase", names)
    if case.seconds is not None:
        element.set("time", _seconds(case.seconds))
    if case.outcome:
        # junit-10.xsd gives `skipped` a message and a text, and no other attribute.
        kind = {"type": case.kind} if case.kind else {}
        outcome = ElementTree.SubElement(element, case.outcome, {"message": case.message, **kind})
        outcome.text = case.text
    if case.counts:
        ElementTree.SubElement(element, "system-out").text = case.counts
    return element


def _cases(result: ExplorationResult) -> Iterator[_Case]:
    """Yield the test cases: actions, invariants, other rules that were broken, and errors."""
    broken: dict[str, list[Violation]] = {}
    for violation in worst_first(result):
        broken.setdefault(violation.name, []).append(violation)
    took = _seconds_of_actions(result)
    of_actions, of_invariants = counts_of_actions(result), counts_of_invariants(result)
    for action in result.actions:
        # An invariant may have the name of an action; what is broken is then the invariant.
        own = () if action in result.invariants else broken.pop(action, ())
        passed = _of_action(result, action, took, _lines(of_actions[action]))
        yield from _of_rule(passed, list(own), "ActionRaised")
    for rule in (*result.invariants, *(name for name in broken if name not in result.invariants)):
        passed = _Case(rule, counts=_lines(of_invariants.get(rule, {})))
        yield from _of_rule(passed, broken.get(rule, []), "InvariantViolated")
    yield from _errors(result)


def _of_action(
    result: ExplorationResult, action: str, took: Mapping[str, float], counts: str
) -> _Case:
    if not result.executions.get(action):
        text = f"This action was never executed.\n{counts}"
        return _Case(action, "skipped", "never executed", text=text, counts=counts)
    return _Case(action, seconds=took.get(action), counts=counts)


def _lines(counts: Mapping[str, str]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in counts.items())


def _of_rule(passed: _Case, violations: list[Violation], kind: str) -> Iterator[_Case]:
    if not violations:
        yield passed
    for number, violation in enumerate(violations, 1):
        name = passed.name if number == 1 else f"{passed.name} ({number})"
        message = f"{violation_title(violation)}: {seen(violation)}"
        text = violation_text(violation)
        yield _Case(name, "failure", message, kind, text, passed.seconds, passed.counts)


def _errors(result: ExplorationResult) -> Iterator[_Case]:
    if text := divergence_text(result):
        message = text.partition("\n")[0]
        yield _Case("the World repeats itself", "error", message, "Divergence", text)
    for name, kind, items in (
        ("all workers end well", "WorkerFailure", result.worker_failures),
        ("the run reaches what it must", "VacuousRun", result.unmet),
    ):
        if items:
            text = Note(kind, items).text
            yield _Case(name, "error", text.partition("\n")[0], kind, text)


def _seconds_of_actions(result: ExplorationResult) -> dict[str, float]:
    """Return action -> seconds of its recorded executions; one that is never recorded has none."""
    took: dict[str, float] = {}
    for item in result.graph.transitions:
        took[item.step.action] = took.get(item.step.action, 0.0) + item.result.duration
    return took


def _seconds(duration: float) -> str:
    return f"{duration:.3f}"
