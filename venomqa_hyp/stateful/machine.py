"""Turn actions and invariants into a Hypothesis state machine."""

import functools
import inspect
import sys
import weakref
from collections.abc import Callable, Iterable
from types import MappingProxyType
from typing import Any, TypeVar, cast

from hypothesis import currently_in_test_context, event, reject
from hypothesis import strategies as st
from hypothesis.stateful import (
    MultipleResults,
    RuleBasedStateMachine,
    invariant,
    multiple,
    precondition,
    rule,
)

from venomqa_hyp.core import Action, ExplorationResult, FromContext, Invariant, Step
from venomqa_hyp.core.counts import outcome_of
from venomqa_hyp.core.vacuity import Require
from venomqa_hyp.errors import DefinitionError, WorldError
from venomqa_hyp.explore import Diverged, Draft, Failure, Position, Strategy, Tally
from venomqa_hyp.stateful import internals
from venomqa_hyp.stateful.definition import Definition, WorldSource, check_name, define
from venomqa_hyp.stateful.failures import Status
from venomqa_hyp.stateful.run import StopRun
from venomqa_hyp.stateful.scope import end_run, find_run
from venomqa_hyp.stateful.settings import default_settings
from venomqa_hyp.stateful.walk import Failed, Walk
from venomqa_hyp.values import snapshot
from venomqa_hyp.world import Context, World, acknowledge

_Answer = TypeVar("_Answer")
_Method = TypeVar("_Method", bound=Callable[..., object])


def venom_machine(
    world: WorldSource,
    actions: Iterable[Action],
    invariants: Iterable[Invariant] = (),
    *,
    name: str = "VenomMachine",
    strategy: Strategy | None = None,
    rollback: bool = True,
    on_divergence: str = "error",
    require: Require = MappingProxyType({}),
) -> type["VenomStateMachine"]:
    """Return a Hypothesis state machine that runs on a World which rolls back.

    Use its ``TestCase`` as a test, subclass it to add rules, or give it to
    ``run_state_machine_as_test``, as any other ``RuleBasedStateMachine``.

    :param world: a World, or a callable that returns one: each run then opens its own and closes
        it, and opens a fresh one to confirm a failure, and for the final example.
    :param actions: they become rules of the same names.
    :param invariants: they become invariants, each with an exception type of its own.
    :param name: the name of the class. With the module, the calling function and the actions it
        identifies the machine in Hypothesis's database.
    :param strategy: the exploration strategy: it decides to which states to return and what to try
        there, between Hypothesis's own random walks. :class:`~venomqa_hyp.Novelty` by default.
    :param rollback: false re-runs every step from a reset World, as plain Hypothesis would.
    :param on_divergence: what a World leads to that does not repeat itself: ``"error"`` ends the
        run, ``"warn"`` goes on without its record, and executes every step again.
    :param require: action -> the least share of its steps that succeed, above 0.0 and up to 1.0, or
        the least number of them. A run that found nothing and does not reach that ends with
        ``VacuousRun``.
    :raises DefinitionError: says which part cannot work, and what to write instead.
    """
    caller = sys._getframe(1)
    return machine_of(
        caller.f_globals.get("__name__", __name__),
        caller.f_code.co_qualname,
        world,
        actions,
        invariants,
        name=name,
        strategy=strategy,
        rollback=rollback,
        on_divergence=on_divergence,
        require=require,
    )


def machine_of(
    module: str,
    function: str,
    world: WorldSource,
    actions: Iterable[Action],
    invariants: Iterable[Invariant],
    *,
    name: str,
    strategy: Strategy | None,
    rollback: bool,
    on_divergence: str,
    require: Require,
) -> type["VenomStateMachine"]:
    """Return what :func:`venom_machine` returns where a function of a module calls it."""
    if not isinstance(name, str) or not name.isidentifier():
        raise DefinitionError(
            f"the machine is named {name!r}, but the name becomes a class name and so must be a "
            'Python identifier. Write venom_machine(..., name="Orders").'
        )
    where = [module, function, name]
    definition = define(
        ".".join(part for part in where if part != "<module>"),
        world,
        actions,
        invariants,
        strategy=strategy,
        rollback=rollback,
        on_divergence=on_divergence,
        require=require,
        taken=frozenset(dir(VenomStateMachine)),
    )
    named = [f"{item.name}({','.join(item.arguments)})" for item in definition.actions.values()]
    members: dict[str, Any] = {
        "__module__": module,
        "__qualname__": name,
        "__doc__": f"{len(definition.actions)} actions, {len(definition.invariants)} invariants.",
        "venom_definition": definition,
        internals.IDENTITY_ATTRIBUTE: internals.identity([*where, *named]),
    }
    members |= {item.name: _as_rule(item) for item in definition.actions.values()}
    for item in definition.invariants:
        if item.at_end:
            continue  # teardown checks it
        check = _as_invariant(item)
        while check.__name__ in members or hasattr(VenomStateMachine, check.__name__):
            check.__name__ += "_"
        members[check.__name__] = invariant()(check)
    return type(name, (VenomStateMachine,), members)


def _ends_run(method: _Method) -> _Method:
    """Let errors of the World or of the definition end the run: they are no findings."""

    @functools.wraps(method)
    def guarded(self: "VenomStateMachine", *arguments: object, **keywords: object) -> Any:
        __tracebackhide__ = True
        try:
            return method(self, *arguments, **keywords)
        except Diverged as diverged:
            self._venom_run.diverged(diverged)
            raise
        except KeyboardInterrupt as interrupt:
            self._venom_run.stopped = interrupt  # Hypothesis may take it for a failure
            acknowledge()
            raise
        except (WorldError, DefinitionError) as error:
            if self._venom_walked is not None and (steps := self._venom_walked.steps):
                error.add_note(f"The steps up to here: {', '.join(map(str, steps))}")
            if self._venom_run_is_own:
                raise
            self._venom_run.stopped = self._venom_run.stopped or error
            raise StopRun from error

    return cast(_Method, guarded)


@_ends_run
def _values_under(machine: "VenomStateMachine", key: str) -> list[object]:
    return [entry.value for entry in machine._venom_walk().at.pools[f"context:{key}"]]


def _is_stuck(machine: "VenomStateMachine") -> bool:
    return not any(map(machine._venom_enabled, machine.venom_definition.actions.values()))


class VenomStateMachine(RuleBasedStateMachine):
    """The base of generated machines, to which :func:`venom_machine` adds rules and invariants.

    :cvar last_run: the record of the last run that ended; ``None`` before.
    """

    venom_definition: Definition
    last_run: ExplorationResult | None = None

    def __init_subclass__(cls, **keywords: object) -> None:
        super().__init_subclass__(**keywords)
        cls.TestCase.settings = default_settings(cls.venom_definition)

    def __init__(self) -> None:
        super().__init__()
        self._venom_run, self._venom_run_is_own = find_run(type(self), self.venom_definition)
        if self._venom_run_is_own:
            weakref.finalize(self, self._venom_run.session.close)
        self._venom_outside = sys.exception()
        self._venom_final = internals.in_final_replay()
        self._venom_lent = False
        self._venom_provider = internals.current_provider()
        self._venom_walked: Walk | None = None
        self._venom_before = 0, 0
        if self._venom_provider is not None:
            self._venom_lead(self._venom_provider)

    @property
    @_ends_run
    def world(self) -> World:
        """The World in the present state; rules and invariants of your own may use it."""
        self._venom_lent = True
        return self._venom_walk().world

    @property
    def context(self) -> Context:
        """The context of the present path."""
        return self.world.context

    def teardown(self) -> None:
        """End the test case; the World stays open until the run ends."""
        __tracebackhide__ = True
        has_failed = sys.exception() is not self._venom_outside
        try:
            super().teardown()
            if self._venom_walked is not None:
                self._venom_leave(self._venom_walked, has_failed=has_failed)
        finally:
            if self._venom_run_is_own:
                end_run(type(self), self._venom_run)

    def _venom_leave(self, walk: Walk, *, has_failed: bool) -> None:
        __tracebackhide__ = True
        try:
            if not has_failed:
                self._venom_finish()
        finally:
            if internals.is_observed():
                self._venom_describe(walk)
        if walk.is_recorded and self._venom_provider is not None:
            self._venom_learn(walk)

    def _venom_describe(self, walk: Walk) -> None:
        """Add to Hypothesis's record of the test case what our run did in it."""
        tally, (executed, recalled) = self._venom_tally, self._venom_before
        event("actions", ", ".join(step.action for step in walk.steps))
        event("executed", tally.executed - executed)
        event("recalled", tally.recalled - recalled)
        event("states of the run", len(self._venom_run.session.graph))

    @_ends_run
    def _venom_finish(self) -> None:
        __tracebackhide__ = True
        self._venom_ask(lambda walk: walk.finish())

    @_ends_run
    def _venom_learn(self, walk: Walk) -> None:
        drafts = self._venom_drafts(walk.at)
        if drafts is not None:
            with self._venom_run.errors_of_ours():
                self._venom_run.guidance.learn(drafts)

    @_ends_run
    def _venom_lead(self, provider: internals.VenomProvider) -> None:
        """Begin a generated test case: by now Hypothesis has replayed what its database holds."""
        with self._venom_run.errors_of_ours():
            self._venom_run.lead(provider, internals.rule_positions(self))

    def _venom_walk(self) -> Walk:
        if self._venom_walked is None:
            tally = self._venom_tally
            self._venom_before = tally.executed, tally.recalled
            self._venom_walked = self._venom_run.walk(
                final=self._venom_final,
                exploring=self._venom_provider is not None,
            )
        return self._venom_walked

    @_ends_run
    def _venom_step(self, action: Action, arguments: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        if _is_always_enabled(action):
            self._venom_tally.tried(action.name, enabled=True)  # Hypothesis does not ask
        result = self._venom_ask(lambda walk: walk.step(Step(action.name, arguments)))
        _event(f"{action.name}: {outcome_of(result)}")
        if action.target is None:
            return None
        return _copied(result.value) if result.success else multiple()

    @_ends_run
    def _venom_check(self, item: Invariant) -> None:
        __tracebackhide__ = True
        if self._venom_ask(lambda walk: walk.check(item)).vacuous:
            _event(f"{item.name}: vacuous")

    def _venom_ask(self, ask: Callable[[Walk], _Answer]) -> _Answer:
        """Ask the walk; raise what fails, or reject the test case where a shorter one follows."""
        __tracebackhide__ = True
        try:
            with self._venom_run.errors_of_ours():
                return ask(self._venom_walk())
        except Failed as failed:
            failure, at = failed.failure, failed.at
        # Outside of the handler: what is raised is not to have ``failed`` for a context.
        with self._venom_run.errors_of_ours():
            error = self._venom_failed(failure, at)
        raise error

    def _venom_failed(self, failure: Failure, at: Position) -> BaseException:
        """Return what to raise for a failure that a test case met."""
        run, final = self._venom_run, self._venom_final or self._venom_run_is_own
        if failure.rule is None:
            _event(f"{failure.name}: raised {type(failure.exception).__name__}")
        run.steering.note_met(failure.origin)
        if final or not self._venom_walk().is_recorded:
            # What a rule of the user did to the World would be missing in it.
            transcript = None if self._venom_lent else self._venom_walk().transcript
            return run.note_failed(failure, at, final=final, transcript=transcript)
        provider = self._venom_provider
        known = run.ledger.find(failure.origin)
        is_new = known is None or known.status is Status.REFUTED
        if provider is not None and is_new and not provider.steered:
            drafts = self._venom_drafts(at)
            if drafts is not None and run.settle_new(failure, at, drafts, provider.all_choices()):
                reject()
        return run.note_failed(failure, at, final=False)

    def _venom_drafts(self, at: Position) -> tuple[Draft, ...] | None:
        """Return the steps of this test case with the choices that made their arguments."""
        provider, drafts = self._venom_provider, at.drafts
        if provider is None:
            return None
        choices = provider.argument_choices([list(draft.given) for draft in drafts])
        return None if choices is None else internals.with_choices(drafts, choices)

    @_ends_run
    def _venom_enabled(self, action: Action) -> bool:
        walk, run = self._venom_walk(), self._venom_run
        rules = run.session.recorder.executor.rules
        if not rules.permits(action, walk.at):
            return False
        return all(guard(walk.context) for guard in action.guards)

    @property
    def _venom_tally(self) -> Tally:
        return self._venom_run.session.recorder.executor.tally

    @precondition(_is_stuck)
    @rule()
    def no_action_enabled(self) -> None:
        """Do nothing, where no action can run: Hypothesis wants a rule for every step."""


@st.composite
def _drawn_from_context(draw: st.DrawFn, key: str) -> Any:
    values = _values_under(draw(st.runner()), key)
    # Shrinks towards the newest value, as Bundles do: what made the older ones can then go.
    return snapshot(values[-1 - draw(st.integers(0, len(values) - 1))])


def _as_rule(action: Action) -> Callable[..., object]:
    def execute(self: VenomStateMachine, **arguments: object) -> Any:
        __tracebackhide__ = True
        return self._venom_step(action, arguments)

    execute.__name__ = action.name
    execute.__qualname__ = action.name
    execute.__doc__ = action.description
    execute.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD),
            *(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in action.arguments),
        ]
    )
    strategies: dict[str, Any] = {
        name: _drawn_from_context(given.key) if isinstance(given, FromContext) else given
        for name, given in action.arguments.items()
    }
    if action.target is not None:
        strategies["target"] = action.target
    decorate: Callable[..., Callable[..., object]] = rule(**strategies)
    made = decorate(execute)
    if _is_always_enabled(action):
        return made

    def enabled(self: VenomStateMachine) -> bool:
        return self._venom_tally.tried(action.name, enabled=bool(self._venom_enabled(action)))

    return precondition(enabled)(made)


def _is_always_enabled(action: Action) -> bool:
    drawn_from_context = any(isinstance(item, FromContext) for item in action.arguments.values())
    return action.max_calls is None and not action.preconditions and not drawn_from_context


def _event(text: str) -> None:
    """Let Hypothesis's statistics count the test cases in which something happened."""
    if currently_in_test_context():  # not where the machine is driven by hand
        event(text)


def _as_invariant(item: Invariant) -> Callable[..., object]:
    def check(self: VenomStateMachine) -> None:
        __tracebackhide__ = True
        self._venom_check(item)

    check.__name__ = check_name(item.name)
    check.__doc__ = item.description
    return check


def _copied(value: object) -> Any:
    if isinstance(value, MultipleResults):
        return multiple(*map(_copied, value.values))
    try:
        return snapshot(value)
    except Exception:
        return value  # what cannot be copied is shared, as plain Hypothesis shares everything
