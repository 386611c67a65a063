"""Trying out paths on the record: which steps are left of a draft, and where they fail.

A *draft* says how each argument of a step comes about, not only what it was: so the arguments of a
step stay valid when steps before it go. The value of a Bundle or of the context belongs to the
step that put it there.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from hypothesis.errors import UnsatisfiedAssumption
from hypothesis.stateful import Bundle, MultipleResults

from venomqa_hyp.core import Action, FromContext, Step, Transition, canonical_text
from venomqa_hyp.errors import DigestError
from venomqa_hyp.explore.failure import Failure, failure_of_step, failure_of_verdicts
from venomqa_hyp.explore.recorder import Recorder
from venomqa_hyp.explore.trail import Trail
from venomqa_hyp.world import Context

Choices = tuple[Any, ...]
#: The step that made a value, and which of the values it made.
Owner = tuple[int, int]
INITIAL = -1


@attrs.frozen
class Drawn:
    """A value that a strategy made from choices."""

    value: Any
    choices: Choices


@attrs.frozen
class Chosen:
    """A value picked from a pool: a Bundle or what is held under a context key."""

    pool: str
    owner: Owner


@attrs.frozen
class Picked:
    """A value picked from a pool by its age.

    :ivar newer: how many newer values there are.
    """

    pool: str
    newer: int


Given = Drawn | Chosen | Picked


@attrs.frozen(eq=False)
class Draft:
    """A step, and how its arguments come about.

    :ivar number: identifies the step among those of one failing path.
    """

    number: int
    action: Action
    given: Mapping[str, Given]


@attrs.frozen(eq=False)
class Rehearsed:
    """A step of a draft as it was executed.

    :ivar picks: argument -> how many newer values there were than the one picked from a pool.
    """

    draft: Draft
    step: Step
    picks: Mapping[str, int]
    transition: Transition


@attrs.frozen(eq=False)
class Rehearsal:
    """What came of a sequence of drafts, up to its first failure."""

    steps: tuple[Rehearsed, ...]
    failure: Failure | None

    @property
    def drafts(self) -> tuple[Draft, ...]:
        """The drafts that were executed."""
        return tuple(item.draft for item in self.steps)


def pool_of(given: object) -> str | None:
    """Return the pool that an argument is picked from, if it is."""
    if isinstance(given, FromContext):
        return f"context:{given.key}"
    if isinstance(given, Bundle):
        return f"bundle:{given.name}"
    return None


def is_plain(given: object) -> bool:
    """Return whether an argument is no Bundle with ``map`` or ``filter``.

    What such a one makes of the values in the pool is not known here.
    """
    return not getattr(given, "_transformations", ()) or not isinstance(given, Bundle)


class Pools:
    """The values that can be picked at one point of a path, each with the step that made it."""

    def __init__(self, actions: Mapping[str, Action]) -> None:
        given = [item for action in actions.values() for item in action.arguments.values()]
        self._keys = sorted({item.key for item in given if isinstance(item, FromContext)})
        self._held: dict[str, list[tuple[Any, Owner]]] = {}

    def copy(self) -> "Pools":
        """Return pools that can be added to on their own."""
        copied = copy.copy(self)
        copied._held = {pool: list(held) for pool, held in self._held.items()}
        return copied

    @property
    def bundled(self) -> tuple[tuple[str, str], ...]:
        """Return what the Bundles hold; what the context holds is part of the state."""
        return tuple(
            (pool, _text(value))
            for pool, held in sorted(self._held.items())
            if pool.startswith("bundle:")
            for value, _ in held
        )

    def values(self, pool: str) -> list[tuple[Any, Owner]]:
        """Return the values in a pool with their owners, oldest first."""
        return self._held.setdefault(pool, [])

    def note(self, number: int, context: Context) -> None:
        """Take over what the context holds after a step."""
        for key in self._keys:
            pool = f"context:{key}"
            known = {_text(value): owner for value, owner in self._held.get(pool, [])}
            fresh = 0
            held = []
            for value in context.values_under(key):
                owner = known.get(_text(value))
                if owner is None:
                    owner = (number, fresh)
                    fresh += 1
                held.append((value, owner))
            self._held[pool] = held

    def add(self, number: int, bundle: Bundle[Any], value: Any) -> None:
        """Add what a step returned to the Bundle that is its target."""
        values = value.values if isinstance(value, MultipleResults) else (value,)
        held = self.values(f"bundle:{bundle.name}")
        held.extend((item, (number, index)) for index, item in enumerate(values))

    def pick(self, given: Chosen | Picked, *, consume: bool) -> tuple[Any, int] | None:
        """Return the value meant, or else the newest, and how many are newer."""
        held = self.values(given.pool)
        if not held:
            return None
        newest = len(held) - 1
        if isinstance(given, Picked):
            at = max(0, newest - given.newer)
        else:
            at = next((i for i, item in enumerate(held) if item[1] == given.owner), newest)
        newer = len(held) - 1 - at
        picked = held.pop(at) if consume else held[at]
        return picked[0], newer

    def owner_of(self, pool: str, value: Any) -> Owner | None:
        """Return the owner of the newest value equal to ``value``."""
        wanted = _text(value)
        newest_first = reversed(self.values(pool))
        return next((owner for held, owner in newest_first if _text(held) == wanted), None)


def _text(value: Any) -> str:
    try:
        return canonical_text(value)
    except DigestError:
        return f"object {id(value)}"


class Rehearser:
    """Walks one path on a recorder, executing only what nobody executed before.

    :param at: the state to begin in, with the trail and the pools of a path to it; the initial
        state by default.
    """

    def __init__(
        self,
        recorder: Recorder,
        at: str | None = None,
        trail: Trail | None = None,
        pools: Pools | None = None,
    ) -> None:
        self._recorder = recorder
        self._at = recorder.graph.initial.id if at is None else at
        self._trail = Trail(recorder.actions.values()) if trail is None else trail
        self.pools = Pools(recorder.actions) if pools is None else pools
        if pools is None:
            self.pools.note(INITIAL, self._context)

    @property
    def state_id(self) -> str:
        """The state reached so far."""
        return self._at

    @property
    def trail(self) -> Trail:
        """What this path has done so far."""
        return self._trail

    @property
    def _context(self) -> Context:
        return Context(
            self._recorder.graph.states[self._at].context, lambda: self._recorder.lend(self._at)
        )

    def _enables(self, action: Action) -> bool:
        context = self._context
        if action.guards:
            context.load(context)  # a copy: guards are the user's, the record is not to be changed
        return self._trail.enables(action, context)

    def can_take(self, action: Action) -> bool:
        """Return whether an action may be executed next: it is enabled, and has its values."""
        names = [pool for pool in map(pool_of, action.arguments.values()) if pool is not None]
        return all(map(self.pools.values, names)) and self._enables(action)

    def take(self, draft: Draft) -> Rehearsed | None:
        """Execute a step; ``None`` where it cannot run here.

        :raises DivergenceError: when the World does not repeat itself.
        """
        if not self._enables(draft.action):
            return None
        resolved = resolve(draft.action, draft.given, self.pools)
        if resolved is None:
            return None
        step = Step(draft.action.name, resolved[0])
        key = step.key
        if key is None:
            return None
        try:
            transition = self._recorder.take(self._at, step, key)
        except UnsatisfiedAssumption:
            return None
        self._at = transition.to_id
        self._trail.note(draft.action, transition.result)
        self.pools.note(draft.number, self._context)
        if draft.action.target is not None and transition.result.success:
            self.pools.add(draft.number, draft.action.target, transition.result.value)
        return Rehearsed(draft, step, resolved[1], transition)

    def failure_after(self, taken: Rehearsed) -> Failure | None:
        """Return what is wrong after a step: what it raised, or the first broken invariant."""
        return failure_of_step(taken.transition) or failure_of_verdicts(
            self._recorder.verdicts(self._at)
        )


def resolve(
    action: Action, given: Mapping[str, Given], pools: Pools
) -> tuple[dict[str, Any], dict[str, int]] | None:
    """Return the arguments of a step, and how many newer values there are than those picked.

    ``None`` where a pool is empty. Values are taken out of Bundles that are consumed.
    """
    arguments: dict[str, Any] = {}
    picks: dict[str, int] = {}
    # Hypothesis draws the arguments of a rule in the order of their names.
    for name, item in sorted(given.items()):
        if isinstance(item, Drawn):
            arguments[name] = item.value
            continue
        consume = "consume=True" in repr(action.arguments[name])
        picked = pools.pick(item, consume=consume)
        if picked is None:
            return None
        arguments[name], picks[name] = picked
    return arguments, picks


def rehearse(recorder: Recorder, drafts: Sequence[Draft]) -> Rehearsal:
    """Execute drafts up to their first failure; those that cannot run are left out.

    :raises DivergenceError: when the World does not repeat itself.
    """
    walk = Rehearser(recorder)
    steps: list[Rehearsed] = []
    if not drafts and (failure := failure_of_verdicts(recorder.verdicts(walk.state_id))):
        return Rehearsal((), failure)
    for draft in drafts:
        taken = walk.take(draft)
        if taken is None:
            continue
        steps.append(taken)
        if failure := walk.failure_after(taken):
            return Rehearsal(tuple(steps), failure)
    return Rehearsal(tuple(steps), None)


def drafted(
    action: Action, step: Step, choices: Mapping[str, Choices], pools: Pools
) -> Mapping[str, Given] | None:
    """Find out how the arguments of one step came about; ``None`` where that cannot be told.

    :param choices: argument -> the choices its strategy made.
    :param pools: what could be picked.
    """
    given: dict[str, Given] = {}
    for name, strategy in action.arguments.items():
        pool = pool_of(strategy)
        if not is_plain(strategy):
            return None
        if pool is None:
            given[name] = Drawn(step.arguments[name], choices.get(name, ()))
        elif owner := pools.owner_of(pool, step.arguments[name]):
            given[name] = Chosen(pool, owner)
        else:
            return None
    return given


def draft(
    recorder: Recorder, steps: Sequence[Step], choices: Sequence[Mapping[str, Choices]]
) -> tuple[Draft, ...] | None:
    """Find out how the arguments of executed steps came about.

    :param choices: for each step, argument -> the choices its strategy made.
    :return: ``None`` where the origin of an argument cannot be told.
    :raises DivergenceError: when the World does not repeat itself.
    """
    walk = Rehearser(recorder)
    drafts: list[Draft] = []
    for number, step in enumerate(steps):
        action = recorder.actions[step.action]
        given = drafted(action, step, choices[number], walk.pools)
        if given is None:
            return None
        drafts.append(Draft(number, action, given))
        if walk.take(drafts[-1]) is None:
            return None
    return tuple(drafts)
