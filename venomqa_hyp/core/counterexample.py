"""A failure as people read it: each step with its requests, replies and changes.

Everything in it is text that may be printed: values that a step made have names (``order_1``),
secrets are left out, and what is long is cut.
"""

import attrs

from venomqa_hyp.core.script import Script

#: What a change did to the thing it names.
ADDED, REMOVED, CHANGED = "added", "removed", "changed"


@attrs.frozen
class Exchange:
    """A request and its reply.

    :ivar request: ``POST /orders {"amount": 2}``.
    :ivar reply: ``201 {"id": order_1}``, or why there was none.
    """

    request: str
    reply: str


@attrs.frozen
class Change:
    """One thing in a system that a step changed.

    :ivar kind: ``"added"``, ``"removed"`` or ``"changed"``.
    :ivar place: a row, as ``orders order_1``; a key; empty where only a digest differs.
    :ivar text: the values, as ``status new -> paid``.
    """

    system: str
    kind: str
    place: str
    text: str


@attrs.frozen
class CounterexampleStep:
    """One step.

    :ivar call: ``order_1 = create_order(amount=2)``.
    :ivar result: what the action returned or why it failed, where no request says so; else empty.
    """

    call: str
    result: str = ""
    exchanges: tuple[Exchange, ...] = ()
    changes: tuple[Change, ...] = ()


@attrs.frozen
class Counterexample:
    """A failure with all that its steps did.

    :ivar name: the invariant's name, or the action's where the action itself raised.
    :ivar severity: ``"critical"``, ``"high"``, ``"medium"`` or ``"low"``.
    :ivar message: what was seen.
    :ivar expected: what should be: the description of the invariant, or the line of the assertion.
    :ivar steps: from the initial state; none where that is already broken.
    :ivar shortened: whether shorter sequences were looked for.
    :ivar script: its requests, to be sent again; ``None`` where it has none.
    """

    name: str
    severity: str
    message: str
    expected: str
    steps: tuple[CounterexampleStep, ...]
    shortened: bool = False
    script: Script | None = attrs.field(default=None, repr=False)
