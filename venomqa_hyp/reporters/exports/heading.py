"""What every export says first: which rule broke, what was verified, and what it needs."""

import re

import attrs

from venomqa_hyp.core import Counterexample
from venomqa_hyp.core.script import CHECK, SETUP, STEP, Script, ScriptStep

NOT_VERIFIED = "not verified: it was not executed"
#: What an export says where it fails: by the rule itself, or by the replies alone.
RULE_BROKEN, AS_WITH_BUG = "The bug shows: ", "Answered as with the bug: "


@attrs.frozen
class Reference:
    """Something that a file can import.

    :ivar name: of a function or object in that module.
    """

    module: str
    name: str


@attrs.frozen
class Export:
    """What an export is written from.

    :ivar counterexample: with its script.
    :ivar verdict: ``"reproduces: ..."`` or ``"not verified: ..."``.
    :ivar rule: the invariant that was broken, where it can be imported.
    :ivar world: what opens a World, where it can be imported.
    :ivar is_of_rule: whether an invariant was broken, and no action raised.
    """

    counterexample: Counterexample
    verdict: str = NOT_VERIFIED
    rule: Reference | None = None
    world: Reference | None = None
    is_of_rule: bool = True

    @property
    def script(self) -> Script:
        """The requests."""
        assert self.counterexample.script is not None
        return self.counterexample.script

    @property
    def steps(self) -> tuple[ScriptStep, ...]:
        """The requests that it sends itself: a World that it opens sends those of the set-up."""
        steps = self.script.steps
        return tuple(step for step in steps if step.role == STEP) if self.checks_rule else steps

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secrets that it sends."""
        sent = repr([(step.url, step.headers, step.body) for step in self.steps])
        return tuple(name for name in self.script.secrets if f"{{{name}" in sent)

    @property
    def checks_rule(self) -> bool:
        """Whether the rule itself can be checked, in a World."""
        return self.rule is not None and self.world is not None


def title(export: Export) -> list[str]:
    """Return the lines that say what is broken."""
    found = export.counterexample
    seen = [f"[{found.severity.upper()}] {found.name}: {_line(found.message)}"]
    return [*seen, f"Expected: {_line(found.expected)}"] if found.expected else seen


def compared(export: Export) -> list[str]:
    """Return the lines that say what an export does which sees nothing but replies."""
    lines = [
        "It sends the requests again, and fails where all replies are as they were with the bug.",
        "A fix that changes no reply cannot be seen so.",
    ]
    if export.script.steps[-1].role == CHECK:
        return [*lines, "The last requests are those by which the rule was checked."]
    if export.is_of_rule:
        return [*lines, "The rule itself is not checked: it reads what no request shows."]
    return lines


def needed(export: Export) -> list[str]:
    """Return the lines that say which environment variables are read."""
    base_url = export.script.base_url
    where = [f"BASE_URL: where the service listens ({base_url} if it is not set)"]
    secrets = [f"{name}: a secret that the requests send" for name in export.secrets]
    return secrets if export.checks_rule else [*where, *secrets]


def heading(step: ScriptStep) -> str:
    """Return what a request belongs to."""
    if step.role == STEP:
        return f"{step.number}. {step.call}"
    return "What opening the World sent:" if step.role == SETUP else "What the rule reads:"


def identifier(name: str) -> str:
    """Return a name in which only letters, digits and underscores are left."""
    return re.sub(r"\W+", "_", name).strip("_") or "failure"


def _line(text: str) -> str:
    return " ".join(text.split())
