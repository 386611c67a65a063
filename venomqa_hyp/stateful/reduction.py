"""When a failure is told to Hypothesis: not before it is as short as it gets.

The first test case that fails with our backend is made short in the World and then rejected; the
next one follows the short path, and Hypothesis hears of the failure for the first time. While it
shrinks, test cases that cannot lead to anything shorter are rejected before they execute a step.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import attrs
from hypothesis.strategies import SearchStrategy

from venomqa_hyp.core import Action, State, Step, canonical_text
from venomqa_hyp.errors import DigestError, DivergenceError
from venomqa_hyp.explore import (
    Arrival,
    Choices,
    Drawn,
    Failure,
    Minimiser,
    Origin,
    Recorder,
    Redraw,
    Rehearsal,
    Rehearsed,
    draft,
    pool_of,
    rehearse,
)
from venomqa_hyp.stateful.internals import ScriptedStep, VenomProvider, redraw
from venomqa_hyp.stateful.walk import RehearsedWalk
from venomqa_hyp.world import Chain

#: Executions for looking for further bugs once one was found, and for Hypothesis's own shrinking.
FURTHER_SEARCH = 500
FURTHER_SHRINKING = 60
#: So many members of an enum, or of what else is sampled from, are tried to find a value.
_MEMBERS = 256


class Walk(Protocol):
    """The walk at whose end a failure was seen."""

    @property
    def start(self) -> State: ...

    @property
    def arrivals(self) -> Sequence[Arrival]: ...

    @property
    def recorded_path(self) -> list[Step]: ...

    @property
    def path(self) -> list[Step]: ...

    @property
    def outcomes(self) -> Sequence[Any]: ...


class Host(Protocol):
    """The run, as far as failures are concerned."""

    @property
    def recorder(self) -> Recorder: ...

    def prove(self, failure: Failure, found: Rehearsal) -> BaseException | None: ...

    def keep_if_real(
        self, path: Sequence[Step], recorded: Sequence[Any], origin: Origin
    ) -> None: ...

    def diverge(self, difference: str) -> None: ...


@attrs.frozen(eq=False)
class _Postponed:
    """A failure that Hypothesis has not been told of yet."""

    script: tuple[ScriptedStep, ...]
    repeat: Callable[[VenomProvider, Mapping[str, int]], None]
    error: BaseException


class Reduction:
    """The failures of one run, and what may still be executed for them.

    :param shrinks: whether the settings ask for shrinking at all.
    """

    def __init__(self, *, shrinks: bool) -> None:
        self._shrinks = shrinks
        self._lengths: dict[Origin, int] = {}
        self._made: dict[tuple[str, str, str], Choices] = {}
        self._minimised = False
        self._told_long: tuple[Failure, Walk] | None = None
        self._generated = False
        self._postponed: dict[Origin, _Postponed] = {}
        self._remembered: dict[Origin, BaseException] = {}
        self._kept: dict[Origin, BaseException] = {}
        self._to_follow: deque[Origin] = deque()
        self._to_replay: deque[Origin] = deque()
        self._refused: set[Chain] = set()
        self._searching = FURTHER_SEARCH
        self._shrinking = FURTHER_SHRINKING

    @property
    def unreported(self) -> list[BaseException]:
        """The failures that were found, but not met again by a test case."""
        postponed = [item.error for item in self._postponed.values()]
        return [*postponed, *self.remembered, *self._kept.values()]

    @property
    def remembered(self) -> list[BaseException]:
        """The failures of earlier runs that still show, and that Hypothesis did not replay."""
        return list(self._remembered.values())

    def remember(self, failure: Failure, error: BaseException) -> None:
        """Take over a failure of an earlier run that still shows."""
        self._remembered[failure.origin] = error

    def choices_of(self, action: Action, argument: str, value: Any) -> Choices | None:
        """Return choices that make the value of an argument, where some can be found."""
        text = _text_of(value)
        if text is None:
            return None  # nothing tells whether the same value is made again
        strategy = action.arguments[argument]
        known = self._made.get((action.name, argument, text))
        for choices in [*([] if known is None else [known]), *_likely_choices(strategy, value)]:
            made = redraw(strategy, choices)
            if made is not None and _text_of(made.value) == text:
                return choices
        return None

    def keep(self, failure: Failure, error: BaseException) -> None:
        """Raise a failure when the run ends, unless it is told of before."""
        self._kept[failure.origin] = error

    def forget(self, failure: Failure) -> None:
        """Note that a failure was told of."""
        self._kept.pop(failure.origin, None)

    def steer(
        self, provider: VenomProvider, positions: Mapping[str, int] | None, run: Host
    ) -> None:
        """Let a test case meet a postponed failure, if there is one."""
        self._generated = True
        if self._told_long is not None and positions is not None:
            told, self._told_long = self._told_long, None
            self._shorten_told(*told, run)
        if positions is not None and self._to_follow:
            origin = self._to_follow.popleft()
            # Should the short path not fail, the next test case repeats the one that did.
            self._to_replay.append(origin)
            provider.follow(self._postponed[origin].script, positions)
            return
        while positions is not None and self._to_replay:
            postponed = self._postponed.get(self._to_replay.popleft())
            if postponed is not None:
                postponed.repeat(provider, positions)
                return

    @property
    def awaits(self) -> bool:
        """Whether a test case is wanted to meet a failure."""
        return bool(self._to_follow or self._to_replay)

    def may_search(self) -> bool:
        """Return whether to look for failures, or for further ones."""
        return not self._lengths or self._searching > 0

    def searched(self, executions: int) -> None:
        """Note what looking for further failures took."""
        if self._lengths:
            self._searching -= executions

    def meet(self, found: Rehearsal, run: Host) -> bool:
        """Take over a failure that is new, or shorter than known; return whether to follow it."""
        failure = found.failure
        assert failure is not None
        if len(found.steps) >= self._lengths.get(failure.origin, len(found.steps) + 1):
            return False
        settled = self.settle(found, run)
        if settled is not None:
            original = script(found.steps)
            self._postpone(
                failure, settled[0], lambda at, where: at.follow(original, where), settled[1]
            )
        return settled is not None

    def settle(self, found: Rehearsal, run: Host) -> tuple[Rehearsal, BaseException] | None:
        """Return the shortest path to a failure and what it fails with in a fresh World.

        ``None`` where the World did not repeat itself, and the run has diverged.
        """
        assert found.failure is not None
        best = found
        if self._shrinks and found.steps:
            walk = RehearsedWalk(run.recorder.graph.initial, found.steps)
            choices = [choices_of(item) for item in found.steps]
            best = self._shortened(found.failure, walk, choices, run) or found
        error = run.prove(found.failure, best)
        return None if error is None else (best, error)

    def postpone(
        self,
        failure: Failure,
        error: BaseException,
        walk: Walk,
        provider: VenomProvider | None,
        run: Host,
    ) -> bool:
        """Return whether to reject the failing test case.

        A shorter one will follow, or the failure is none: it does not show in a fresh World.
        """
        self._remembered.pop(failure.origin, None)
        known = self._postponed.pop(failure.origin, None) or failure.origin in self._lengths
        steered = provider is not None and provider.steered
        if self._shrinks and provider is not None and not known and not steered:
            found = self._minimise(failure, walk, provider, run)
            if found is not None:
                if run.prove(failure, found) is not None:
                    made = provider.all_choices()
                    self._postpone(failure, found, lambda at, where: at.replay(made), error)
                return True
        if self._shrinks and provider is None and not known and len(walk.path) > 1:
            self._told_long = (failure, walk)
        length = self._lengths.get(failure.origin, len(walk.path))
        self._lengths[failure.origin] = min(length, len(walk.path))
        return False

    def permits(self, chain: Chain, depth: int, is_new: bool, exploring: bool) -> bool:
        """Return whether a test case may take a step.

        :param chain: the path with that step.
        :param depth: its length.
        :param is_new: whether nobody executed the step before.
        :param exploring: whether the test case is generated, not one of shrinking.
        """
        if chain in self._refused:
            return False  # Hypothesis calls it flaky when the same choices end differently
        if not self._lengths or not is_new:
            return True
        if exploring:
            self._searching -= 1
            return self._searching >= 0
        if not self._generated:
            # Hypothesis may still be replaying its database, and would drop what is rejected.
            self._searching -= 1
            if self._searching >= 0:
                return True
        self._shrinking -= self._minimised
        if depth <= max(self._lengths.values()) and self._shrinking >= 0:
            return True
        self._refused.add(chain)
        return False

    def _postpone(
        self,
        failure: Failure,
        found: Rehearsal,
        repeat: Callable[[VenomProvider, Mapping[str, int]], None],
        error: BaseException,
    ) -> None:
        steps = "\n".join(f"  {item.step}" for item in found.steps)
        error.add_note(f"Shortest path found:\n{steps}")
        self._postponed[failure.origin] = _Postponed(script(found.steps), repeat, error)
        self._to_follow.append(failure.origin)
        self._lengths[failure.origin] = len(found.steps)

    def _shorten_told(self, failure: Failure, walk: Walk, run: Host) -> None:
        """Let the next test case show a failure in fewer steps than it was told with.

        Hypothesis's first test case, and those that it mutates, are not ours and cannot wait.
        """
        choices = self._choices_along(walk.recorded_path, run.recorder)
        best = None if choices is None else self._shortened(failure, walk, choices, run)
        if best is None or len(best.steps) >= len(walk.recorded_path):
            return
        error = run.prove(failure, best)
        if error is not None:
            self._postpone(failure, best, lambda at, where: None, error)

    def _minimise(
        self, failure: Failure, walk: Walk, provider: VenomProvider, run: Host
    ) -> Rehearsal | None:
        arguments = [list(step.arguments) for step in walk.recorded_path]
        choices = provider.argument_choices(arguments)
        return None if choices is None else self._shortened(failure, walk, choices, run)

    def _shortened(
        self,
        failure: Failure,
        walk: Walk,
        choices: Sequence[Mapping[str, Choices]],
        run: Host,
    ) -> Rehearsal | None:
        recorder, path = run.recorder, walk.recorded_path
        try:
            drafts = draft(recorder, walk.start, path, walk.arrivals, choices)
            found = None if drafts is None else rehearse(recorder, drafts)
            if found is None or found.failure is None or found.failure.origin != failure.origin:
                return None
            best = Minimiser(recorder, _redraw_for(recorder)).minimise(found)
            for item in (*found.steps, *best.steps):
                self._note_choices(item)
        except DivergenceError as error:
            run.keep_if_real(path, walk.outcomes, failure.origin)
            run.diverge(str(error))
            return None
        self._minimised = True
        return best

    def _choices_along(
        self, path: Sequence[Step], recorder: Recorder
    ) -> list[Mapping[str, Choices]] | None:
        """Return argument -> choices for each step, if choices are found for all of them."""
        found: list[Mapping[str, Choices]] = []
        for step in path:
            action, made = recorder.actions[step.action], dict[str, Choices]()
            for name, strategy in action.arguments.items():
                if pool_of(strategy) is not None:
                    continue
                choices = self.choices_of(action, name, step.arguments[name])
                if choices is None:
                    return None
                made[name] = choices
            found.append(made)
        return found

    def _note_choices(self, taken: Rehearsed) -> None:
        for name, given in taken.draft.given.items():
            if isinstance(given, Drawn):
                self._made[taken.step.action, name, canonical_text(given.value)] = given.choices


def _text_of(value: Any) -> str | None:
    try:
        return canonical_text(value)
    except DigestError:
        return None


def _likely_choices(strategy: SearchStrategy[Any], value: Any) -> Iterator[Choices]:
    """Yield the simplest choices, and those with one integer in place of another."""
    simplest = redraw(strategy, None)
    if simplest is None:
        return
    yield simplest.choices
    for at, choice in enumerate(simplest.choices):
        if type(choice) is int:
            for other in [*([value] if type(value) is int else []), *range(_MEMBERS)]:
                yield (*simplest.choices[:at], other, *simplest.choices[at + 1 :])


def _redraw_for(recorder: Recorder) -> Redraw:
    def redrawn(action: str, argument: str, choices: Choices | None) -> Drawn | None:
        return redraw(recorder.actions[action].arguments[argument], choices)

    return redrawn


def choices_of(taken: Rehearsed) -> Mapping[str, Choices]:
    """Return argument -> the choices that its strategy made."""
    given = taken.draft.given.items()
    return {name: item.choices for name, item in given if isinstance(item, Drawn)}


def script(steps: Sequence[Rehearsed]) -> tuple[ScriptedStep, ...]:
    """Return what makes a test case take these steps."""
    return tuple(ScriptedStep(item.step.action, choices_of(item), item.picks) for item in steps)
