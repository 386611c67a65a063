"""The backend: it remembers which choices made which argument, and follows a script."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import attrs
from hypothesis.control import current_build_context, currently_in_test_context
from hypothesis.internal.conjecture.choice import ChoiceNode
from hypothesis.internal.conjecture.data import ConjectureData
from hypothesis.internal.conjecture.providers import HypothesisProvider
from hypothesis.stateful import STATE_MACHINE_RUN_LABEL, RuleBasedStateMachine

from venomqa_hyp.explore import Choices, Draft, Drawn, Taken
from venomqa_hyp.stateful.internals.strategies import choices_of


def current_provider() -> "VenomProvider | None":
    """Return the provider of the test case that runs now, where it is ours."""
    if not currently_in_test_context():
        return None
    provider = current_build_context().data.provider
    return provider if isinstance(provider, VenomProvider) else None


def rule_positions(machine: RuleBasedStateMachine) -> Mapping[str, int] | None:
    """Return rule name -> its number in the selection of rules.

    ``None`` where the machine has other steps than rules, which cannot be scripted.
    """
    if machine._initialize_rules_to_run:
        return None
    rules = machine._rules_strategy.rules
    return {item.function.__name__: number for number, item in enumerate(rules)}


def with_choices(
    drafts: Sequence[Draft], choices: Sequence[Mapping[str, Choices]]
) -> tuple[Draft, ...]:
    """Return drafts that know the choices which made their arguments."""
    return tuple(
        attrs.evolve(
            draft,
            given={
                name: attrs.evolve(item, choices=made.get(name, ()))
                if isinstance(item, Drawn)
                else item
                for name, item in draft.given.items()
            },
        )
        for draft, made in zip(drafts, choices, strict=True)
    )


class VenomProvider(HypothesisProvider):
    """Hypothesis's own provider, which can follow a script in our state machines."""

    lifetime = "test_case"

    def __init__(self, conjecturedata: ConjectureData | None, /) -> None:
        super().__init__(conjecturedata)
        self._depth = 0
        self._step_depth: int | None = None
        self._parts_began: list[int] = []
        self._steps: list[list[Choices]] = []
        self._in_rules = False
        self._script: Sequence[Taken] | None = None
        self._positions: Mapping[str, int] = {}
        self._feed: Choices = ()
        self._feed_start = 0
        self._pick: int | None = None
        self._replays = False

    @property
    def steered(self) -> bool:
        """Whether this test case follows a script or a replay."""
        return self._script is not None or self._replays

    def follow(self, script: Sequence[Taken], positions: Mapping[str, int]) -> None:
        """Take these steps and then stop.

        :param positions: what :func:`rule_positions` returned.
        """
        self._script = script
        self._positions = positions

    def new_random(self) -> Random:
        """Return a source of chance that the seed of the test determines."""
        assert self._random is not None
        return Random(self._random.getrandbits(64))

    def replay(self, choices: Choices) -> None:
        """Make these choices."""
        self._feed, self._replays = choices, True

    def all_choices(self) -> Choices:
        """Return every choice of the test case so far."""
        assert self._cd is not None
        return tuple(self._cd.choices)

    def argument_choices(self, actions: Sequence[Sequence[str]]) -> list[dict[str, Choices]] | None:
        """Return for each step: argument -> the choices that made it.

        :param actions: for each step, the names of its arguments.
        :return: ``None`` where the test case does not have the structure described above.
        """
        if len(self._steps) != len(actions):
            return None
        made = []
        for parts, names in zip(self._steps, actions, strict=True):
            if len(parts) != 2 + len(names):
                return None
            made.append(dict(zip(sorted(names), parts[2:], strict=True)))
        return made

    def span_start(self, label: int, /) -> None:
        super().span_start(label)
        self._depth += 1
        if label == STATE_MACHINE_RUN_LABEL and self._step_depth in (None, self._depth):
            self._step_depth = self._depth
            self._steps.append([])
            self._in_rules = True
        elif self._at(2) and self._in_rules:
            self._parts_began.append(len(self._nodes()))
            if self._script is not None:
                self._begin_part(len(self._steps[-1]))

    def span_end(self, discard: bool, /) -> None:
        super().span_end(discard)
        if self._at(2) and self._in_rules:
            nodes = self._nodes()[self._parts_began.pop() :]
            self._steps[-1].append(tuple(node.value for node in nodes))
            if self._script is not None:
                self._feed, self._pick = (), None
        elif self._at(1):
            self._in_rules = False  # what the action itself draws is not an argument
        self._depth -= 1

    def draw_boolean(self, p: float = 0.5) -> bool:
        scripted = self._next(bool)
        if scripted is None and self._script is not None:
            if self._at(0):
                return self._current() is None
            if self._in_rules and len(self._steps[-1]) < 2:
                return False
        return super().draw_boolean(p) if scripted is None else scripted

    def draw_integer(
        self,
        min_value: int | None = None,
        max_value: int | None = None,
        *,
        weights: dict[int, float] | None = None,
        shrink_towards: int = 0,
    ) -> int:
        scripted: int | None = self._next(int)
        if scripted is None and self._script is not None and self._in_rules:
            scripted = self._scripted_integer(max_value, shrink_towards)
        if scripted is not None and _within(scripted, min_value, max_value):
            return scripted
        feed, self._feed = self._feed, ()  # weights draw again from inside
        drawn = super().draw_integer(
            min_value, max_value, weights=weights, shrink_towards=shrink_towards
        )
        self._feed = feed
        return drawn

    def draw_float(self, **constraints: Any) -> float:
        scripted = self._next(float)
        return super().draw_float(**constraints) if scripted is None else scripted

    def draw_string(self, *arguments: Any, **constraints: Any) -> str:
        scripted = self._next(str)
        return super().draw_string(*arguments, **constraints) if scripted is None else scripted

    def draw_bytes(self, *arguments: Any, **constraints: Any) -> bytes:
        scripted = self._next(bytes)
        return super().draw_bytes(*arguments, **constraints) if scripted is None else scripted

    def _scripted_integer(self, max_value: int | None, shrink_towards: int) -> int | None:
        step, part = self._current(), len(self._steps[-1])
        if step is None:
            return None
        if part == 0:
            return 0  # the share of disabled rules
        if part == 1:
            return self._positions[step.step.action]
        if self._pick is None or max_value is None:
            return None
        # Older versions number the values of a Bundle from the oldest, and shrink to the newest.
        return max_value - self._pick if shrink_towards else self._pick

    def _begin_part(self, part: int) -> None:
        step = self._current()
        if step is None or part < 2:
            return
        choices = choices_of(step)
        names = sorted({*choices, *step.picks})
        name = names[part - 2] if part - 2 < len(names) else ""
        self._pick = step.picks.get(name)
        self._feed, self._feed_start = choices.get(name, ()), len(self._nodes())

    def _current(self) -> Taken | None:
        if self._script is None or not 0 < len(self._steps) <= len(self._script):
            return None
        return self._script[len(self._steps) - 1]

    def _next(self, kind: type) -> Any:
        # Counted by what was drawn: for forced choices nobody asks the provider.
        at = len(self._nodes()) - self._feed_start
        if at < len(self._feed) and type(self._feed[at]) is kind:
            return self._feed[at]
        return None

    def _at(self, below: int) -> bool:
        return self._step_depth is not None and self._depth == self._step_depth + below

    def _nodes(self) -> Sequence[ChoiceNode]:
        assert self._cd is not None
        return self._cd.nodes


def _within(value: int, low: int | None, high: int | None) -> bool:
    return (low is None or low <= value) and (high is None or value <= high)
