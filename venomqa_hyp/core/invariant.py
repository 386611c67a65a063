"""Invariants: what must hold in every state, and what is recorded when one does not."""

import enum
import inspect
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypedDict, TypeVar, Unpack, overload

import attrs

from venomqa_hyp.core.counterexample import Counterexample
from venomqa_hyp.errors import DefinitionError, DigestError
from venomqa_hyp.values.digest import canonical_text

#: A World; rules of core do not know it.
_World = TypeVar("_World")


class Severity(enum.Enum):
    """How bad a violation is."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@attrs.frozen(eq=False)
class Invariant:
    """A named check that must hold in every state.

    :ivar check: ``(world) -> None or True`` where it holds, ``False`` or a message where it is
        violated; raising counts as violated.
    :ivar when: ``(world) -> bool``; where it is false the check is skipped in that state.
    :ivar at_end: whether it must hold only where a path ends; see ``docs/coverage.md``.
    :ivar sometimes: whether it need hold only once in a run; :func:`sometimes` makes such a check.
    """

    name: str
    check: Callable[..., object]
    severity: Severity = attrs.field(default=Severity.HIGH, kw_only=True)
    description: str = attrs.field(default="", kw_only=True)
    when: Callable[..., bool] | None = attrs.field(default=None, kw_only=True)
    at_end: bool = attrs.field(default=False, kw_only=True)
    sometimes: bool = attrs.field(default=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise DefinitionError(
                f"an invariant is named {self.name!r}, but reports need a name. "
                'Write Invariant("refunds_within_payment", check).'
            )
        for role, function in (("check", self.check), ("when", self.when)):
            if function is None and role == "when":
                continue
            if not callable(function):
                raise DefinitionError(
                    f"invariant {self.name!r}: {role} is {function!r:.60} of type "
                    f"{type(function).__name__}, but it must be a callable (world). "
                    f"Write Invariant({self.name!r}, a_function)."
                )
        if not isinstance(self.severity, Severity):
            raise DefinitionError(
                f"invariant {self.name!r}: severity is {self.severity!r}, but it must be one of "
                f"{', '.join(f'Severity.{item.name}' for item in Severity)}."
            )
        if self.at_end and self.sometimes:
            raise DefinitionError(
                f"invariant {self.name!r}: at_end and sometimes are both true, but what must hold "
                "once in a run is looked for in every state. Leave at_end out."
            )
        if not self.description and (doc := inspect.getdoc(self.check)):
            object.__setattr__(self, "description", doc.splitlines()[0])


class InvariantOptions(TypedDict, total=False):
    """The keywords of :func:`invariant`; see :class:`Invariant`."""

    name: str
    severity: Severity
    description: str
    when: Callable[..., bool] | None
    at_end: bool


@overload
def invariant(function: Callable[[_World], object], /) -> Invariant: ...
@overload
def invariant(
    **options: Unpack[InvariantOptions],
) -> Callable[[Callable[[_World], object]], Invariant]: ...
def invariant(
    function: Callable[[_World], object] | None = None, /, **options: Unpack[InvariantOptions]
) -> Invariant | Callable[[Callable[[_World], object]], Invariant]:
    """Turn a function into an :class:`Invariant` of the same name.

    Takes the keywords of :class:`Invariant`, and ``name``; with none of them, the parentheses may
    be left out.
    """

    def decorate(check: Callable[[_World], object]) -> Invariant:
        named = {"name": check.__name__, **options}
        return Invariant(check=check, **named)  # type: ignore[arg-type]

    return decorate if function is None else decorate(function)


def sometimes(
    name: str,
    check: Callable[..., object],
    *,
    description: str = "",
    when: Callable[..., bool] | None = None,
) -> Invariant:
    """Return a check that must hold at least once in a run, and is listed among the invariants.

    A run that found nothing, and in which it never held, ends with ``VacuousRun``.

    :param check: as that of an :class:`Invariant`; where it raises it does not hold.
    """
    return Invariant(name, check, description=description, when=when, sometimes=True)


@attrs.frozen(eq=False)
class Step:
    """One execution of an action, asked for with these arguments."""

    action: str
    arguments: Mapping[str, Any]

    def __str__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.action}({shown})"

    @cached_property
    def key(self) -> str | None:
        """The text that tells this step from others; ``None`` where an argument has no digest."""
        if not self.arguments:
            return self.action
        try:
            return self.action + canonical_text(self.arguments)
        except DigestError:
            return None


Path = tuple[Step, ...]


@attrs.frozen(eq=False)
class Verdict:
    """What one invariant said of one state: the message is ``None`` where it holds.

    :ivar vacuous: whether ``when`` was false, so that nothing was checked.
    """

    invariant: Invariant
    message: str | None = None
    exception: BaseException | None = None
    vacuous: bool = False

    @property
    def holds(self) -> bool:
        """Whether the invariant holds, or was not asked."""
        return self.message is None


@attrs.frozen(eq=False)
class Violation:
    """A broken rule and the steps that show it.

    :ivar name: the invariant's name, or the action's where the action itself raised.
    :ivar message: what was seen.
    :ivar reproduction_path: the steps from the initial state, the last one breaks the rule.
    :ivar origin: tells one bug from another of the same name.
    :ivar counterexample: what each step sent and changed; ``None`` where the failure was not
        confirmed by executing its steps.
    :ivar states: the ids of the states after each step, up to the first that is not recorded.
    """

    name: str
    severity: Severity
    message: str
    reproduction_path: Path
    exception: BaseException | None = attrs.field(default=None, repr=False)
    origin: str = attrs.field(default="", repr=False)
    counterexample: Counterexample | None = attrs.field(default=None, repr=False)
    states: tuple[str, ...] = attrs.field(default=(), repr=False)
