"""Actions: what a test may do, and what came of doing it."""

import functools
import inspect
import keyword
import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, TypedDict, Unpack, overload

import attrs
from hypothesis.stateful import Bundle
from hypothesis.strategies import SearchStrategy

from venomqa_hyp.errors import DefinitionError

_NOTHING: Mapping[str, object] = MappingProxyType({})


@attrs.frozen
class FromContext:
    """Stands for one of the values held under a context key."""

    key: str


def from_context(key: str) -> FromContext:
    """Draw an argument from the context of the present path.

    A list, tuple or set held under ``key`` offers its elements, any other value offers itself.
    While there is none the action is disabled.
    """
    if not isinstance(key, str):
        raise DefinitionError(
            f"from_context({key!r}): the key is {_a(key)}, but context keys are strings. "
            'Write from_context("order_ids").'
        )
    return FromContext(key)


#: ``(api, context, **arguments) -> value``.
Execute = Callable[..., object]
#: What an argument is drawn from.
Argument = SearchStrategy[object] | FromContext
Precondition = str | Callable[..., bool]


def _tuple(given: Iterable[Precondition]) -> tuple[Precondition, ...]:
    if not isinstance(given, (list, tuple, set, frozenset)):
        return given  # type: ignore[return-value]  # refused later on
    return tuple(item.name if isinstance(item, Action) else item for item in given)


@attrs.frozen(eq=False)
class Action:
    """A named callable ``execute(api, context, **arguments)``.

    An execution *succeeds* when it returns, and what it returns is not a response of status 400
    or above. What it raises is a finding, except what the api client counts as a transport error.

    :ivar arguments: name -> Hypothesis strategy, ``Bundle`` or ``from_context("key")``.
    :ivar preconditions: actions, or their names, that must have succeeded earlier on the same
        path, or callables ``(context) -> bool``.
    :ivar target: the Bundle that receives what ``execute`` returns.
    :ivar max_calls: executions per path at most; ``None`` for no limit.
    :ivar weight: how often a weighted exploration picks it, relative to the others.
    :raises DefinitionError: on anything that could not run, at once.
    """

    name: str
    execute: Execute
    arguments: Mapping[str, Argument] = attrs.field(default=MappingProxyType({}), kw_only=True)
    preconditions: tuple[Precondition, ...] = attrs.field(
        default=(), kw_only=True, converter=_tuple
    )
    target: Bundle[object] | None = attrs.field(default=None, kw_only=True)
    max_calls: int | None = attrs.field(default=None, kw_only=True)
    weight: float = attrs.field(default=1.0, kw_only=True)
    tags: tuple[str, ...] = attrs.field(default=(), kw_only=True, converter=tuple)
    description: str = attrs.field(default="", kw_only=True)

    def __attrs_post_init__(self) -> None:
        _check_name(self.name)
        _check_callable(self)
        _check_arguments(self)
        _check_preconditions(self)
        _check_numbers(self)
        if self.target is not None and not isinstance(self.target, Bundle):
            raise DefinitionError(
                f"action {self.name!r}: target is {_a(self.target)}, but only a Bundle can receive "
                'results. Write target=Bundle("orders"), with Bundle from hypothesis.stateful.'
            )
        object.__setattr__(self, "arguments", MappingProxyType(dict(self.arguments)))
        if not self.description and (doc := inspect.getdoc(self.execute)):
            object.__setattr__(self, "description", doc.splitlines()[0])

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call the function itself, as another action may that does more."""
        return self.execute(*arguments, **named)

    @property
    def required(self) -> tuple[str, ...]:
        """The names of the actions that must have succeeded earlier on the path."""
        return tuple(item for item in self.preconditions if isinstance(item, str))

    @property
    def guards(self) -> tuple[Callable[..., bool], ...]:
        """The preconditions that are callables ``(context) -> bool``."""
        return tuple(item for item in self.preconditions if not isinstance(item, str))


class ActionOptions(TypedDict, total=False):
    """The keywords of :func:`action`; see :class:`Action`."""

    name: str
    arguments: Mapping[str, Argument]
    preconditions: Iterable[Precondition]
    target: Bundle[object] | None
    max_calls: int | None
    weight: float
    tags: Iterable[str]
    description: str


@overload
def action(function: Execute, /) -> Action: ...
@overload
def action(**options: Unpack[ActionOptions]) -> Callable[[Execute], Action]: ...
def action(
    function: Execute | None = None, /, **options: Unpack[ActionOptions]
) -> Action | Callable[[Execute], Action]:
    """Turn a function into an :class:`Action` of the same name.

    Takes the keywords of :class:`Action`, and ``name``; with none of them, the parentheses may be
    left out.
    """

    def decorate(execute: Execute) -> Action:
        if not callable(execute):
            raise DefinitionError(
                f"@action was given {_a(execute)}, but it takes a function, and all else by "
                'keyword. Write @action(arguments={"amount": st.integers(1, 100)}).'
            )
        named = {"name": execute.__name__, **options}
        return Action(execute=execute, **named)  # type: ignore[arg-type]

    return decorate if function is None else decorate(function)


@attrs.frozen(eq=False)
class ActionResult:
    """What came of one execution.

    :ivar success: whether later actions may count on it (see :class:`Action`).
    :ivar value: what ``execute`` returned.
    :ivar status: the status code, where the value is a response.
    :ivar error: why it failed, in words.
    :ivar exception: what ``execute`` raised, where that is a finding.
    :ivar duration: seconds.
    :ivar traceback: where the exception was raised; raising it again adds to its own.
    """

    success: bool
    value: Any = None
    status: int | None = None
    error: str | None = None
    exception: BaseException | None = attrs.field(default=None, repr=False)
    duration: float = 0.0
    traceback: TracebackType | None = attrs.field(default=None, repr=False)

    @classmethod
    def returned(cls, value: object, duration: float) -> "ActionResult":
        """Describe an execution that returned ``value``."""
        status = getattr(value, "status_code", None)
        if isinstance(status, int) and status >= 400:
            return cls(False, value, status, f"answered {status}", duration=duration)
        return cls(True, value, status if isinstance(status, int) else None, duration=duration)


def is_async(function: object) -> bool:
    """Return whether calling ``function`` only makes a coroutine."""
    if isinstance(function, functools.partial):
        return is_async(function.func)
    call = getattr(type(function), "__call__", None)  # noqa: B004  # the method itself is wanted
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def _a(value: object) -> str:
    return f"{value!r:.60} of type {type(value).__name__}"


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise DefinitionError(
            f"an action is named {name!r}, but the name becomes a method of the state machine and "
            'so must be a Python identifier. Write Action("create_order", ...).'
        )
    if name.startswith("_"):
        raise DefinitionError(
            f"an action is named {name!r}, but names that start with an underscore are kept for "
            f"the state machine. Write Action({name.lstrip('_') or 'name'!r}, ...)."
        )


def _check_callable(action: Action) -> None:
    if not callable(action.execute):
        raise DefinitionError(
            f"action {action.name!r}: execute is {_a(action.execute)}, but it must be a callable "
            f"(api, context, **arguments). Write Action({action.name!r}, a_function)."
        )


def _check_arguments(action: Action) -> None:
    if not isinstance(action.arguments, Mapping):
        raise DefinitionError(
            f"action {action.name!r}: arguments is {_a(action.arguments)}, but it maps names to "
            'strategies. Write arguments={"amount": st.integers(1, 100)}.'
        )
    for name, strategy in action.arguments.items():
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
            raise DefinitionError(
                f"action {action.name!r}: an argument is named {name!r}, but it is passed by "
                'keyword and so must be a Python identifier. Write arguments={"amount": ...}.'
            )
        if not isinstance(strategy, (SearchStrategy, FromContext)):
            raise DefinitionError(
                f"action {action.name!r}: argument {name!r} is {_a(strategy)}, but it must be a "
                "Hypothesis strategy, a Bundle or from_context(...). "
                f'Write arguments={{"{name}": st.just({strategy!r:.40})}} for a fixed value.'
            )
    try:
        signature = inspect.signature(action.execute)
    except (TypeError, ValueError):
        return  # a builtin does not tell its signature; calling it will
    try:
        signature.bind(object(), object(), **dict.fromkeys(action.arguments))
    except TypeError as error:
        wanted = ", ".join(["api", "context", *action.arguments])
        raise DefinitionError(
            f"action {action.name!r}: execute has the signature {signature}, but it is called as "
            f"execute({wanted}): {error}. {_remedy(action, signature)}"
        ) from None


def _remedy(action: Action, signature: inspect.Signature) -> str:
    """Say what to write where a function and the arguments of its action do not match."""
    wanted = ", ".join(["api", "context", *action.arguments])
    own = list(signature.parameters.values())[2:]
    undrawn = [item.name for item in own if item.default is item.empty]
    undrawn = [name for name in undrawn if name not in action.arguments]
    if not undrawn or not {"api", "context"}.issubset(signature.parameters):
        return f"Write def {action.name}({wanted}): ..."
    known = {item.name for item in own}
    drawn = ", ".join(f'"{name}": a strategy' for name in undrawn)
    spare = [f"take {name!r} out" for name in action.arguments if name not in known]
    return f"Write {', and '.join([f'arguments={{{drawn}}}', *spare])}."


def _check_preconditions(action: Action) -> None:
    given = action.preconditions
    if not isinstance(given, tuple):
        raise DefinitionError(
            f"action {action.name!r}: preconditions is {_a(given)}, but it is a list of action "
            f"names and callables. Write preconditions=[{given!r:.40}]."
        )
    for item in given:
        if not isinstance(item, str) and not callable(item):
            raise DefinitionError(
                f"action {action.name!r}: precondition {_a(item)} is neither the name of an action "
                'nor a callable (context) -> bool. Write preconditions=["create_order"].'
            )
        if is_async(item):
            raise DefinitionError(
                f"action {action.name!r}: precondition {_a(item)} is async, but it is evaluated "
                "for recorded states, where there is nothing to wait for. Write a plain function "
                "of the context."
            )


def _check_numbers(action: Action) -> None:
    calls = action.max_calls
    if calls is not None and (not isinstance(calls, int) or isinstance(calls, bool) or calls < 1):
        raise DefinitionError(
            f"action {action.name!r}: max_calls is {calls!r}, but it counts executions per path "
            "and so is a whole number from 1, or None for no limit."
        )
    weight = action.weight
    if not isinstance(weight, (int, float)) or not math.isfinite(weight) or weight <= 0:
        raise DefinitionError(
            f"action {action.name!r}: weight is {weight!r}, but it is a finite number above 0. "
            "Leave the action out of the list to switch it off."
        )
