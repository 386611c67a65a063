"""What every export says first: which rule broke, what was verified, and what it needs."""

import re

import attrs

from venomqa_hyp.core import Counterexample
from venomqa_hyp.core.script import CHECK, SETUP, STEP, Script, ScriptStep

NOT_VERIFIED = "not verified: it was not executed"


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
    """

    counterexample: Counterexample
    verdict: str = NOT_VERIFIED
    rule: Reference | None = None
    world: Reference | None = None

    @property
    def script(self) -> Script:
        """The requests."""
        assert self.counterexample.script is not None
        return self.counterexample.script

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
    steps = export.script.steps
    by = "what the rule itself reads" if steps[-1].role == CHECK else "the replies"
    return [
        f"It sends the requests again and compares {by} with what was seen with the bug: where",
        "all is as it was then, the bug shows. A fix that changes no reply cannot be seen so.",
    ]


def needed(export: Export) -> list[str]:
    """Return the lines that say which environment variables are read."""
    script = export.script
    lines = [f"BASE_URL: where the service listens ({script.base_url} if it is not set)"]
    return [*lines, *(f"{name}: a secret that the requests send" for name in script.secrets)]


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
