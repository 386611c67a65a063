"""A counterexample as plain text, for pytest, the command line and logs.

::

    1. order_1 = create_order(amount=2)
         > POST /orders {"amount": 2}
         < 201 {"id": order_1, "status": "new"}
         db: + orders order_1: amount 2, status new
    2. ...

    [CRITICAL] refunds_within_payments
      expected: The refunds of an order never exceed its payments.
      seen:     order_1: refunded 3 of 2 paid
"""

import textwrap
from collections.abc import Iterator

import attrs

from venomqa_hyp.core.counterexample import (
    ADDED,
    CHANGED,
    REMOVED,
    Change,
    Counterexample,
    CounterexampleStep,
)

WIDTH = 100
_INDENT = " " * 5
_HANGING = " " * 4
#: What a change did -> its sign.
MARKS = {ADDED: "+", REMOVED: "-", CHANGED: "~"}


@attrs.frozen
class Line:
    """A line of text.

    :ivar kind: what it says, for colours: ``"title"``, ``"call"``, ``"exchange"``, ``"result"``,
        ``"added"``, ``"removed"``, ``"changed"``, ``"broken"``, or empty.
    """

    text: str
    kind: str = ""


def to_text(counterexample: Counterexample, width: int = WIDTH) -> str:
    """Return a counterexample as text.

    :param width: columns of a line.
    """
    return "\n".join(line.text for line in lines(counterexample, width))


def lines(counterexample: Counterexample, width: int = WIDTH) -> Iterator[Line]:
    """Yield the lines of a counterexample, with what each of them says."""
    yield Line(title(counterexample), "title")
    for number, step in enumerate(counterexample.steps, 1):
        yield from _wrapped(f"{number:>2}. ", step.call, "call", width)
        yield from _of_step(step, width)
    yield Line("")
    yield Line(f"[{counterexample.severity.upper()}] {counterexample.name}", "broken")
    if counterexample.expected:
        yield from _paragraph("  expected: ", counterexample.expected, "", width)
    yield from _paragraph("  seen:     ", counterexample.message, "broken", width)


def title(counterexample: Counterexample) -> str:
    """Return how many steps there are, as a heading for them."""
    count = len(counterexample.steps)
    if not count:
        return "Broken in the initial state, before any step."
    steps = f"{count} step{'' if count == 1 else 's'}"
    return f"{steps}, the shortest sequence found:" if counterexample.shortened else f"{steps}:"


def _of_step(step: CounterexampleStep, width: int) -> Iterator[Line]:
    for exchange in step.exchanges:
        yield from _wrapped(f"{_INDENT}> ", exchange.request, "exchange", width)
        yield from _wrapped(f"{_INDENT}< ", exchange.reply, "exchange", width)
    if step.result:
        yield from _wrapped(f"{_INDENT}-> ", step.result, "result", width)
    for change in step.changes:
        yield from _wrapped(f"{_INDENT}{change.system}: ", _change(change), change.kind, width)


def _change(change: Change) -> str:
    colon = ": " if change.place and change.text else ""
    return f"{MARKS[change.kind]} {change.place}{colon}{change.text}"


def _paragraph(head: str, text: str, kind: str, width: int) -> Iterator[Line]:
    for at, line in enumerate(text.splitlines() or [""]):
        yield from _wrapped(" " * len(head) if at else head, line, kind, width)


def _wrapped(head: str, text: str, kind: str, width: int) -> Iterator[Line]:
    indent = " " * len(head) if len(head) < width // 3 else _INDENT + _HANGING
    wrapped = textwrap.wrap(
        text,
        width,
        initial_indent=head,
        subsequent_indent=indent,
        break_on_hyphens=False,
    )
    for line in wrapped or [head.rstrip()]:
        yield Line(line, kind)
