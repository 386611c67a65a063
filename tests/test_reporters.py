"""Reports say the same of a run in each format, and no text of a service breaks one of them."""

import functools
import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import attrs
import jsonschema
import junitparser
import pytest
from hypothesis import given
from hypothesis import strategies as st
from outcomes import by_agent, by_machine, store_of

import venomqa_hyp.reporters
from venomqa_hyp import (
    Action,
    ActionCounts,
    ExplorationResult,
    Graph,
    Invariant,
    InvariantCounts,
    Severity,
    State,
    Step,
)
from venomqa_hyp.agent.merge import Found, merge
from venomqa_hyp.core import Differing, Divergence, Violation
from venomqa_hyp.core.counterexample import Counterexample
from venomqa_hyp.reporters import (
    to_github_annotations,
    to_json,
    to_junit,
    to_markdown,
    to_step_summary,
    to_text,
)

SCHEMA_FILE = Path(venomqa_hyp.reporters.__file__).parent / "schema" / "result.json"
SCHEMA = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
#: Markup of every output, control characters, surrogates, and what separates lines.
NASTY = (
    "a|b `c` ```d <e> & ]]> \x00\x1b\x0b\ud800\uffff 100%, x: y\r\n"
    "::error::z\x85\u2028é😀\n```\n# z"
)


def create(api: Any, context: Any) -> None:
    api["order"] = "new"


def pay(api: Any, context: Any) -> None:
    api["order"], api["paid"] = "paid", 5


def refund(api: Any, context: Any) -> None:
    api["refunded"] = api.get("refunded", 0) + 5


def print_receipt(api: Any, context: Any) -> None:
    if "refunded" not in api:  # one path leads here, whatever is executed first
        raise RuntimeError("the printer is | `offline`\nsince noon")


def within_payment(world: Any) -> bool | str:
    seen = world.api.get("refunded", 0), world.api.get("paid", 0)
    return seen[0] <= seen[1] or f"refunded {seen[0]} of {seen[1]} paid"


def visits() -> Action:
    """Return an action over a counter that no rollback reaches."""
    count = itertools.count()

    def visit(api: Any, context: Any) -> None:
        api["visits"] = next(count)

    return Action("visit", visit)


WORKFLOW = [
    Action("create", create, max_calls=1),
    Action("pay", pay, preconditions=["create"], max_calls=1),
    Action("refund", refund, preconditions=["pay"], max_calls=2),
]
NEVER = Action("ship", create, preconditions=[lambda context: False])
PRINT = Action("print_receipt", print_receipt, preconditions=["pay"], max_calls=1)
RULES = [
    Invariant("within_payment", within_payment, description="No more is refunded than was paid."),
    Invariant("has a store", lambda world: True, severity=Severity.LOW),
]


def recorded(outcome: Any) -> ExplorationResult:
    assert outcome.record is not None, outcome.raised
    record: ExplorationResult = outcome.record
    return record


RUNS: dict[str, Callable[[], ExplorationResult]] = {
    "broken rules": lambda: recorded(
        by_agent(store_of(), [*WORKFLOW, PRINT, NEVER], RULES, max_steps=200)
    ),
    "nothing found": lambda: recorded(by_agent(store_of(), WORKFLOW[:2], RULES, max_steps=200)),
    "machine": lambda: recorded(by_machine(store_of(), WORKFLOW, RULES)),
    "divergence": lambda: recorded(
        by_machine(store_of(), [*WORKFLOW[:2], visits()], RULES, on_divergence="warn")
    ),
}


@functools.cache
def run(name: str) -> ExplorationResult:
    return RUNS[name]()


def empty(**given_: Any) -> ExplorationResult:
    for key, kind in (("actions", ActionCounts), ("invariants", InvariantCounts)):
        given_[key] = {name: kind() for name in given_.get(key, ())}
    return ExplorationResult(Graph(State("a", {}, {})), (), 0.0, **given_)


def broken(text: str, severity: Severity = Severity.HIGH) -> Violation:
    """Return a violation in which every text is this one."""
    known = Counterexample(text, severity.value, text, text, ())
    return Violation(text, severity, text, (Step("pay", {"note": text}),), counterexample=known)


def full_of(text: str) -> ExplorationResult:
    """Return a record in which every text is this one."""
    return empty(
        actions=(text,),
        invariants=(f"{text}!",),
        divergence=Divergence(text, text, (Differing(text, text, text),), text, (text,)),
        loops=(text,),
        volatile=(text,),
        worker_failures=(text,),
        unmet=(text,),
        refuted=(text,),
        fixed=(text,),
        late_writes=(text,),
        distrusted=(text,),
        ended_by=text,
        exhausted=text,
        skipped=text,
    )


def with_violations(result: ExplorationResult, *violations: Violation) -> ExplorationResult:
    return attrs.evolve(result, violations=violations)


def cases(xml: str) -> dict[str, ElementTree.Element]:
    """Return name -> test case."""
    return {item.get("name", ""): item for item in ElementTree.fromstring(xml).iter("testcase")}


def outcomes(xml: str) -> dict[str, list[str]]:
    return {name: tags(case) for name, case in cases(xml).items()}


def tags(case: ElementTree.Element) -> list[str]:
    return [item.tag for item in case if item.tag != "system-out"]


MARKDOWN = """\
## `Shop`

**2 violations found: 2 high.**

| run | |
|---|---|
| executions | N |
| executions repeated | N |
| recalled | N |
| states | 5 |
| transitions | N |
| duration | N s |
| action coverage | 80% (4 of 5 actions) |
| ended by | exhausted |
| explored | all 5 states explored |

### HIGH: `print_receipt`

`` RuntimeError: the printer is | `offline` ``

```text
3 steps:
 1. create()
     store: + order: new
 2. pay()
     store: ~ order: new -> paid
     store: + paid: 5
 3. print_receipt()

[HIGH] print_receipt
  seen:     RuntimeError: the printer is | `offline`
            since noon
```

### HIGH: `within_payment`

`refunded 10 of 5 paid`

```text
4 steps:
 1. create()
     store: + order: new
 2. pay()
     store: ~ order: new -> paid
     store: + paid: 5
 3. refund()
     store: + refunded: 5
 4. refund()
     store: ~ refunded: 5 -> 10

[HIGH] within_payment
  expected: No more is refunded than was paid.
  seen:     refunded 10 of 5 paid
```

### Actions that were never executed

```text
ship
```

### What came of each action

| action | enabled | executed | recalled | changed the state | outcomes |
|---|---|---|---|---|---|
| `create` | N of N | N | N | N | N x returned |
| `pay` | N of N | N | N | N | N x returned |
| `refund` | N of N | N | N | N | N x returned |
| `print_receipt` | N of N | N | N | N | N x returned, N x raised RuntimeError |
| `ship` | N of N | N | N | N | |

### What came of each invariant

| invariant | checked | vacuous | held | did not hold | kind |
|---|---|---|---|---|---|
| `has a store` | N | N | N | N | always |
| `within_payment` | N | N | N | N | always |
"""


RETURNED_OR_RAISED = "N x returned, N x raised RuntimeError"


def test_the_markdown_of_a_run() -> None:
    """Verdict, figures, each violation with its counterexample, and what else there is to say."""
    told = to_markdown(run("broken rules"), name="Shop")
    # Whether shorter sequences were looked for depends on which was met first.
    told = told.replace(", the shortest sequence found", "")
    cost = r"\| (executions|executions repeated|recalled|transitions|duration) \| [\d.,]+"
    head, title, tables = re.sub(cost, r"| \1 | N", told).partition("### What came")
    tables = re.sub(r"\b\d+\b", "N", tables)
    # The most frequent comes first.
    tables = tables.replace("N x raised RuntimeError, N x returned", RETURNED_OR_RAISED)
    assert head + title + tables == MARKDOWN


def test_a_run_without_findings_is_short() -> None:
    """Sections without content are left out."""
    told = to_markdown(run("nothing found"))
    assert told.startswith("**No violation found.**\n\n| run | |\n")
    assert told.count("#") == 2 * len("###")
    assert "```" not in told


def test_markdown_shows_every_note() -> None:
    told = to_markdown(full_of("because of this"))
    assert "No violation found, but the World does not repeat itself." in told
    assert re.findall("^### (.*)", told, re.MULTILINE) == [
        "Divergence",
        "Seen once, and not again",
        "Not reached",
        "Actions that did not repeat themselves",
        "Actions that were never executed",
        "Actions that lead nowhere",
        "Late writes",
        "Volatile places",
        "Worker failures",
        "Fixed since an earlier run",
        "What came of each action",
        "What came of each invariant",
    ]


def test_lost_workers_are_in_the_verdict() -> None:
    assert "not all workers ended well" in to_markdown(empty(worker_failures=("worker 0 died",)))


def test_text_of_the_service_is_no_markdown() -> None:
    """A Markdown parser finds each text in code, and nothing of it anywhere else."""
    parser = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable("table")
    # What stands in the table is written by this package.
    result = attrs.evolve(full_of(NASTY), ended_by="", exhausted=None, skipped=None)
    told = to_markdown(with_violations(result, broken(NASTY)), name=NASTY)
    tokens = parser.parse(told)
    kinds = {token.type for token in tokens}
    assert not kinds & {"html_block", "bullet_list_open", "code_block", "blockquote_open"}
    inside = {item.type for token in tokens for item in token.children or ()}
    assert inside <= {"text", "code_inline", "strong_open", "strong_close"}
    assert not any(
        "`" in child.content
        for token in tokens
        for child in token.children or ()
        if child.type == "text"
    )
    fenced = [token.content for token in tokens if token.type == "fence"]
    assert len(fenced) == 11
    assert all("```d" in text for text in fenced)


def test_junit_has_a_case_for_each_action_and_rule() -> None:
    """What passed is there too, so that a trend can be drawn."""
    assert outcomes(to_junit(run("broken rules"))) == {
        "create": [],
        "pay": [],
        "refund": [],
        "print_receipt": ["failure"],
        "ship": ["skipped"],
        "has a store": [],
        "within_payment": ["failure"],
    }


def test_a_failure_holds_the_whole_counterexample() -> None:
    """Both in its text, which is all that GitLab reads, and with a message for the others."""
    result = run("broken rules")
    violation = next(item for item in result.violations if item.name == "within_payment")
    assert violation.counterexample is not None
    case = cases(to_junit(result, name="Shop"))["within_payment"]
    assert case.get("classname") == "Shop"
    failure, counts = case
    assert re.fullmatch(r"checked: .*\n(.*\n)*did not hold: [1-9]\d*\nkind: always", counts.text)
    assert failure.attrib == {
        "message": "[HIGH] within_payment: refunded 10 of 5 paid",
        "type": "InvariantViolated",
    }
    assert failure.text == to_text(violation.counterexample)
    raised, _ = cases(to_junit(result))["print_receipt"]
    assert raised.get("type") == "ActionRaised"


def test_another_parser_counts_the_same() -> None:
    """junitparser reads suites, totals and results of several machines."""
    named = {name: run(name) for name in RUNS}
    read = junitparser.JUnitXml.fromstring(to_junit(named, name="all"))
    assert [suite.name for suite in read] == list(RUNS)
    assert (read.tests, read.failures, read.errors, read.skipped) == (22, 3, 1, 1)
    for suite in read:
        results = [result for case in suite for result in case.result]
        counted = [
            sum(isinstance(item, kind) for item in results)
            for kind in (junitparser.Failure, junitparser.Error, junitparser.Skipped)
        ]
        assert (suite.failures, suite.errors, suite.skipped) == tuple(counted)
        assert suite.tests == len(list(suite))
        assert suite.time == pytest.approx(named[suite.name].duration, abs=0.001)


def test_a_divergence_is_an_error() -> None:
    result = run("divergence")
    assert result.divergence is not None
    (error,) = cases(to_junit(result))["the World repeats itself"]
    assert error.tag == "error"
    assert error.text == str(result.divergence)
    assert error.get("message") == result.divergence.what


def test_lost_workers_are_an_error() -> None:
    (error,) = cases(to_junit(empty(worker_failures=("worker 0 died",))))["all workers end well"]
    assert (error.tag, error.text) == ("error", "worker 0 died")


def test_several_bugs_of_one_rule_are_several_cases() -> None:
    """A reader of JUnit XML may take only one failure of a test case."""
    result = with_violations(empty(invariants=("paid",)), broken("paid"), broken("paid"))
    assert outcomes(to_junit(result)) == {"paid": ["failure"], "paid (2)": ["failure"]}


def test_a_rule_that_the_record_does_not_name_is_reported() -> None:
    """An action of which no counts are known may have raised."""
    result = attrs.evolve(run("broken rules"), actions={}, invariants={})
    assert list(cases(to_junit(result))) == ["print_receipt", "within_payment"]


def test_a_rule_named_as_an_action_is_the_one_that_failed() -> None:
    result = with_violations(empty(actions=("pay",), invariants=("pay",)), broken("pay"))
    found = [tags(case) for case in ElementTree.fromstring(to_junit(result))[0][1:3]]
    assert found == [["skipped"], ["failure"]]


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_makes_valid_xml(text: str) -> None:
    """What XML 1.0 does not allow is replaced, the rest is read as it was written."""
    result = with_violations(empty(), broken(text))
    xml = to_junit({text: result})
    xml.encode()
    (case,) = ElementTree.fromstring(xml.encode()).iter("testcase")
    allowed = re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)
    assert case.get("classname") == case.get("name") == allowed


def test_nasty_texts_pass_through_every_reporter() -> None:
    """Each report can be written to a UTF-8 file, and JUnit XML of it be read."""
    result = with_violations(full_of(NASTY), broken(NASTY))
    for text in (
        to_markdown(result, name=NASTY),
        to_junit({NASTY: result}),
        to_github_annotations(result, file=NASTY),
        to_step_summary(result, name=NASTY),
        to_json(result),
    ):
        text.encode()
    assert sorted(map(tuple, outcomes(to_junit({NASTY: result})).values())) == [
        (),
        ("error",),
        ("error",),
        ("error",),
        ("failure",),
    ]
    junitparser.JUnitXml.fromstring(to_junit({NASTY: result}).encode())
    again = ExplorationResult.from_dict(json.loads(to_json(result)))
    assert again.to_dict() == result.to_dict()


def read_commands(text: str) -> list[tuple[dict[str, str], str]]:
    """Read workflow commands as the runner does."""
    read = []
    for line in text.split("\n"):
        command, _, message = line.removeprefix("::").partition("::")
        kind, _, given_ = command.partition(" ")
        assert kind == "error"
        properties = dict(item.split("=", 1) for item in given_.split(","))
        read.append(({name: unescaped(item) for name, item in properties.items()}, message))
    return [(properties, unescaped(message)) for properties, message in read]


def unescaped(text: str) -> str:
    for code, sign in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        text = text.replace(code, sign)
    return text


def test_annotations_are_escaped() -> None:
    """The bytes are those that the documentation of GitHub gives."""
    result = with_violations(empty(), broken("100%, x: y\nz"))
    told = to_github_annotations(result, file="a,b:c.py", line=3)
    head, _, message = told.partition("::100%25")
    assert head == "::error file=a%2Cb%3Ac.py,line=3,title=[HIGH] 100%25%2C x%3A y%0Az"
    assert message.startswith(", x: y%0Az%0A%0ABroken in the initial state")


@given(st.text(st.characters(exclude_categories=())))
def test_an_annotation_is_one_line_and_read_back(text: str) -> None:
    """No text of a service begins a command of its own."""
    told = to_github_annotations(with_violations(empty(), broken(text)), file="a.py")
    assert re.search("[\r\n]", told) is None
    ((properties, message),) = read_commands(told)
    allowed = re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)
    assert properties == {"file": "a.py", "title": f"[HIGH] {allowed}"}
    assert message.startswith(allowed)


def test_a_place_is_left_out_where_there_is_none() -> None:
    result = with_violations(empty(), broken("x"))
    assert to_github_annotations(result, line=3).startswith("::error title=[HIGH] x::")
    assert to_github_annotations(result, file="a").startswith("::error file=a,title=")
    assert to_github_annotations(run("nothing found")) == ""


def test_a_divergence_is_annotated() -> None:
    ((properties, message),) = read_commands(to_github_annotations(run("divergence")))
    assert properties == {"title": "The World does not repeat itself"}
    assert message == str(run("divergence").divergence)


@pytest.mark.parametrize("count", [10, 11, 25])
def test_more_annotations_than_github_shows_are_counted(count: int) -> None:
    found = with_violations(empty(), *(broken(f"rule_{number}") for number in range(count)))
    read = read_commands(to_github_annotations(found))
    assert len(read) == 10
    expected = "[HIGH] rule_9" if count == 10 else "More"
    assert read[-1][0]["title"] == expected
    assert count == 10 or read[-1][1] == f"{count - 9} more: see the summary of the job."


def test_a_long_annotation_is_cut() -> None:
    told = to_github_annotations(with_violations(empty(), broken("é" * 100_000)))
    assert told.endswith("é%0A(cut)")


def test_a_summary_that_fits_is_the_markdown() -> None:
    for name in RUNS:
        assert to_step_summary(run(name), name="Shop") == to_markdown(run(name), name="Shop")


def test_a_summary_has_at_most_one_mebibyte() -> None:
    """Parts are left out whole, so that no fence stays open, and a note counts them."""
    long = [broken("é " * 20_000 + str(number)) for number in range(30)]
    told = to_step_summary(with_violations(empty(), *long, broken("short")))
    assert 900_000 < len(told.encode()) <= 1024 * 1024
    assert len(re.findall("^```", told, re.MULTILINE)) % 2 == 0
    found = re.search(r"\*\*Cut at 1 MiB: (\d+) parts of the report are left out", told)
    assert found is not None
    assert to_markdown(with_violations(empty(), *long)).count("### ") > told.count("### ")
    assert "31 violations found" in told
    assert "### HIGH: `short`" in told


def test_secrets_of_an_unconfirmed_failure_are_left_out() -> None:
    """Where there is no counterexample, the steps are shown without what is named as a secret."""
    step = Step("login", {"password": "hunter22", "user": "ann"})
    result = empty(
        divergence=Divergence("", "it gave token=abcdef1"), volatile=("password=hunter22",)
    )
    found = Violation("login", Severity.HIGH, "refused password=hunter22", (step,))
    result = with_violations(result, found)
    for text in (to_markdown(result), to_junit(result), to_github_annotations(result)):
        assert "hunter22" not in text
        assert "abcdef1" not in text
        assert "user='ann'" in text


@pytest.mark.parametrize("name", RUNS)
def test_the_schema_describes_every_record(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    document = json.loads(to_json(run(name)))
    jsonschema.validate(document, SCHEMA)
    assert document.keys() == SCHEMA["properties"].keys(), "describe each key"
    again = ExplorationResult.from_dict(document)
    assert again.to_dict() == run(name).to_dict()
    assert again.actions == run(name).actions != ()
    assert again.divergence == run(name).divergence


def test_the_actions_of_a_divergence_survive() -> None:
    """They name what was executed each time, in another process too."""
    divergence = run("divergence").portable().divergence
    assert divergence is not None
    assert divergence.actions == ("visit",)


def test_workers_name_all_parts_once() -> None:
    """Each worker may have an action of its own."""
    found = {
        number: Found(empty(actions=names, invariants=("paid",)), {})
        for number, names in enumerate([("a", "b"), ("b", "c")])
    }
    merged = merge(found, (), 1.0)
    assert (list(merged.actions), list(merged.invariants)) == (["a", "b", "c"], ["paid"])


def test_the_schema_describes_nasty_texts() -> None:
    result = with_violations(full_of(NASTY), broken(NASTY))
    jsonschema.validate(json.loads(to_json(result)), SCHEMA)


def without(path: str, document: Any) -> None:
    *way, last = path.split(".")
    for part in way:
        document = document[int(part) if part.isdigit() else part]
    del document[last]


BROKEN: dict[str, Callable[[Any], Any]] = {
    "another format": lambda document: document.update(format=2),
    "no graph": lambda document: without("graph", document),
    "an edge without a target": lambda document: without("graph.edges.0.target", document),
    "an edge without an action": lambda document: without("graph.edges.0.action", document),
    "an action without counts": lambda document: without("actions.0.outcomes", document),
    "a severity that is none": lambda document: document["violations"][0].update(severity="bad"),
    "a step without a call": lambda document: without(
        "violations.0.counterexample.steps.0.call", document
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_schema_refuses_what_is_no_record(name: str) -> None:
    document = json.loads(to_json(run("broken rules")))
    BROKEN[name](document)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)


def test_a_run_names_all_its_parts() -> None:
    result = run("broken rules")
    assert list(result.actions) == ["create", "pay", "refund", "print_receipt", "ship"]
    assert list(result.invariants) == ["has a store", "within_payment"]


def test_what_was_not_reached_is_in_every_report() -> None:
    """It is no violation, and no run to be called good."""
    result = empty(unmet=("refund: 0 of 3 steps succeeded: 3 x 404",))
    assert "No violation found, but the run did not reach what it must." in to_markdown(result)
    (error,) = cases(to_junit(result))["the run reaches what it must"]
    assert (error.tag, error.text) == ("error", result.unmet[0])
    assert to_github_annotations(result) == (
        "::error title=The run did not reach what it must::refund: 0 of 3 steps succeeded: 3 x 404"
    )
