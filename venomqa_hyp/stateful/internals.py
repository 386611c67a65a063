"""All that is known here of the insides of Hypothesis.

*Runs.* A state machine sees each test case begin and end, but not the run of them.
:func:`install` wraps ``get_state_machine_test``, through which both ``TestCase`` and
``run_state_machine_as_test`` go.

*Database.* The key of a machine is a digest of its source, which a generated class does not have;
:func:`identity` is added to it.

*Steering.* In a machine every step is a span labelled ``STATE_MACHINE_RUN_LABEL``: first the
boolean "stop?", then one span of the rules strategy whose children are the feature flags, the
selection of the rule, and one span per argument in the order of their names.
:class:`VenomProvider` remembers which choices made which argument, and can follow a script. Where
the structure is not this one, :meth:`VenomProvider.argument_choices` says so and nothing is
steered.

*Observability.* :func:`is_observed` says whether it is on: where it is not it costs nothing. The
engine notes no statistics where our own exception ends the test cases; :func:`install` does.

*Memory.* The engine keeps the choices of the last 10,000 test cases; :func:`install` lets it keep
fewer.
"""

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from random import Random
from typing import Any, cast

import attrs
import hypothesis.stateful
from hypothesis import settings as Settings  # noqa: N812  # it is a class
from hypothesis.control import BuildContext, current_build_context, currently_in_test_context
from hypothesis.errors import StopTest
from hypothesis.internal.conjecture import engine
from hypothesis.internal.conjecture.choice import ChoiceNode, ChoiceTemplate
from hypothesis.internal.conjecture.data import ConjectureData
from hypothesis.internal.conjecture.providers import HypothesisProvider
from hypothesis.internal.observability import observability_enabled
from hypothesis.reporting import with_reporter
from hypothesis.stateful import STATE_MACHINE_RUN_LABEL, Bundle, RuleBasedStateMachine
from hypothesis.statistics import collector, describe_statistics, note_statistics
from hypothesis.strategies._internal.lazy import unwrap_strategies
from hypothesis.strategies._internal.misc import BooleansStrategy
from hypothesis.strategies._internal.numbers import IntegersStrategy
from hypothesis.strategies._internal.strategies import SampledFromStrategy

import _venomqa_hyp_hypothesis
from venomqa_hyp.core import FromContext
from venomqa_hyp.core.action import Argument
from venomqa_hyp.errors import DigestError
from venomqa_hyp.explore import Choices, Draft, Drawn, Source, Taken
from venomqa_hyp.values import canonical_text

#: The attribute in which Hypothesis looks for more to put into the key of a test.
IDENTITY_ATTRIBUTE = "_hypothesis_internal_add_digest"

CACHED_TEST_CASES = 500
#: So many members of an enum, or of what else is sampled from, are tried to find a value.
_MEMBERS = 256
_CACHE_SIZE = engine.CACHE_SIZE

AdaptSettings = Callable[[Any, Settings], Settings]


def identity(parts: Iterable[str]) -> bytes:
    """Return what tells the machines of different ``parts`` apart in Hypothesis's database."""
    return hashlib.sha384("\0".join(parts).encode("utf-8", "surrogatepass")).digest()


def state_machine_of(testcase: object) -> type | None:
    """Return the class of state machine that a TestCase runs; ``None`` where it is no such."""
    method = getattr(testcase, "runTest", None)
    return getattr(method, "_hypothesis_state_machine_class", None)


def in_final_replay() -> bool:
    """Return whether the test case that runs now is the one that will be reported."""
    return currently_in_test_context() and bool(current_build_context().is_final)


def as_in_test_case(test: Callable[..., object]) -> AbstractContextManager[Any]:
    """Return a context in which ``assume``, ``note`` and ``event`` work though no test runs.

    :param test: stands for the test.
    """
    return BuildContext(ConjectureData.for_choices(()), wrapped_test=test)


def is_observed() -> bool:
    """Return whether Hypothesis writes a record of each test case, for Tyche and others."""
    return currently_in_test_context() and observability_enabled()


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


def source_of(given: object) -> Source | None:
    """Return the pool that an argument is picked from as it is, if any."""
    if isinstance(given, FromContext):
        return Source(f"context:{given.key}")
    if not isinstance(given, Bundle):
        return None
    plain = not getattr(given, "_transformations", ())
    # Older versions keep it under a private name.
    return Source(f"bundle:{given.name}", "consume=True" in repr(given), plain)


def redraw(strategy: Argument, choices: Choices | None) -> Drawn | None:
    """Draw from a strategy with given choices, or with the simplest ones.

    :return: ``None`` where the strategy does not accept the choices.
    """
    if isinstance(strategy, FromContext):
        return None
    prefix = (ChoiceTemplate("simplest", count=None),) if choices is None else choices
    data = ConjectureData.for_choices(prefix)
    # Outside of a test case, many strategies refuse to draw.
    draws_anyway = currently_in_test_context()
    context = nullcontext() if draws_anyway else BuildContext(data, wrapped_test=redraw)
    try:
        with context:
            value = data.draw(strategy)
    except (StopTest, Exception):
        return None  # whatever a user's strategy raises: these choices are not for it
    made = tuple(data.choices)
    return Drawn(value, made) if choices in (None, made) else None


def choices_that_make(strategy: Argument, value: object) -> Choices | None:
    """Return choices that make a value, where some can be found: simple ones are tried."""
    text = _text(value)
    if text is None:
        return None  # nothing tells whether the same value is made again
    for choices in _likely_choices(strategy, value):
        made = redraw(strategy, choices)
        if made is not None and _text(made.value) == text:
            return choices
    return None


def _likely_choices(strategy: Argument, value: object) -> Iterator[Choices]:
    """Yield the simplest choices, and those with one integer in place of another."""
    simplest = redraw(strategy, None)
    if simplest is None:
        return
    yield simplest.choices
    for at, choice in enumerate(simplest.choices):
        if type(choice) is int:
            for other in [*([value] if type(value) is int else []), *range(_MEMBERS)]:
                yield (*simplest.choices[:at], other, *simplest.choices[at + 1 :])


def _text(value: object) -> str | None:
    try:
        return canonical_text(value)
    except DigestError:
        return None


def draw(strategy: Argument, random: Random | None) -> Drawn | None:
    """Draw from a strategy as Hypothesis does; the simplest value without ``random``.

    :return: ``None`` where the strategy cannot be drawn from outside of a test case, or rejected
        what it drew.
    """
    if random is None:
        return redraw(strategy, None)
    if isinstance(strategy, FromContext):
        return None
    data = ConjectureData(random=random, provider=HypothesisProvider)
    try:
        value = data.draw(strategy)
    except (StopTest, Exception):
        return None
    return Drawn(value, tuple(data.choices))


def size(strategy: Argument) -> int | None:
    """Return how many values a strategy has, where that is known: those that list them all."""
    inner = unwrap_strategies(strategy)  # type: ignore[no-untyped-call]
    if isinstance(inner, BooleansStrategy):
        return 2
    if isinstance(inner, IntegersStrategy) and inner.start is not None and inner.end is not None:
        return inner.end - inner.start + 1
    if isinstance(inner, SampledFromStrategy) and not inner._transformations:
        return len(inner.elements)
    return None


def choices_of(taken: Taken) -> Mapping[str, Choices]:
    """Return argument -> the choices that its strategy made."""
    given = taken.draft.given.items()
    return {name: item.choices for name, item in given if isinstance(item, Drawn)}


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


@contextmanager
def _small_cache(wanted: bool) -> Iterator[None]:
    """Let Hypothesis remember fewer test cases: here a step that is known costs nothing.

    Its own number takes 160 MB for 2,000 test cases of 50 steps.
    """
    engine.CACHE_SIZE = CACHED_TEST_CASES if wanted else _CACHE_SIZE
    try:
        yield
    finally:
        engine.CACHE_SIZE = _CACHE_SIZE


def _set_seed_and_part(test: Any, seed: int | str | None, part: str) -> None:
    """Give a test a seed, unless it has one or is to be the same each time, and its own key."""
    has_seed = test._hypothesis_internal_use_seed is not None
    if not has_seed and not test._hypothesis_internal_use_settings.derandomize:
        test._hypothesis_internal_use_seed = seed
    inner = test.hypothesis.inner_test
    digest = getattr(inner, IDENTITY_ATTRIBUTE)
    setattr(inner, IDENTITY_ATTRIBUTE, digest + part.encode())


@contextmanager
def shown_by_pytest(item: Any) -> Iterator[None]:
    """Let Hypothesis's pytest plugin show what it shows of its own tests: statistics and reports.

    :param item: of pytest, whose function is no Hypothesis test, but runs machines.
    """
    reports: list[str] = []
    statistics: list[str] = []

    def note(given: Any) -> None:
        given["nodeid"] = item.nodeid
        statistics.append(describe_statistics(given))
        item.hypothesis_statistics = "\n\n".join(statistics)

    try:
        observed: Any = collector
        with observed.with_value(note), with_reporter(lambda text: reports.append(str(text))):
            yield
    finally:
        if reports:
            item.hypothesis_report_information = "\n".join(reports)


def add_statistics(item: Any, text: str) -> None:
    """Let Hypothesis's pytest plugin show a text for an item of which it has no statistics.

    It has none of a run that we ended, since nothing was left to do.
    """
    if not hasattr(item, "hypothesis_statistics"):
        item.hypothesis_statistics = f"{item.nodeid}:\n\n  - {text}"


def _note_statistics_before(ending: type[BaseException]) -> None:
    run = engine.ConjectureRunner.run

    @functools.wraps(run)
    def noting(runner: engine.ConjectureRunner) -> None:
        try:
            run(runner)
        except ending:
            note_statistics({**runner.statistics, "stopped-because": "venomqa-hyp ended the run"})
            raise

    engine.ConjectureRunner.run = noting  # type: ignore[method-assign,assignment]


def install(
    is_ours: Callable[[Any], bool],
    adapt: AdaptSettings,
    scope: Callable[[Any, Settings | None], AbstractContextManager[bool]],
    starts_over: Callable[[Any], bool],
    seed_and_part: Callable[[], tuple[int | str | None, str]],
    ending: type[BaseException],
) -> None:
    """Give every state machine test a scope for runs, and ours the settings they need.

    :param adapt: ``(machine, settings) -> settings``.
    :param starts_over: ``(machine) -> whether to begin anew``, asked when the test cases end with
        an error.
    :param scope: called with machine and settings; entered before the first test case and left
        after the last. It says whether there are to be any.
    :param seed_and_part: returns the seed of tests that have none, or ``None``, and what parts
        their key in the database from that of other tests of the machine.
    :param ending: ends all test cases.
    """
    _note_statistics_before(ending)
    _venomqa_hyp_hypothesis.register()  # entry points may be switched off
    original = hypothesis.stateful.get_state_machine_test

    @functools.wraps(original)
    def get_state_machine_test(
        state_machine_factory: Any, *, settings: Settings | None = None, **options: Any
    ) -> Callable[[], None]:
        ours = is_ours(state_machine_factory)
        if ours:
            given = state_machine_factory.TestCase.settings if settings is None else settings
            if isinstance(given, Settings):
                settings = adapt(state_machine_factory, given)
        test = cast(
            Callable[[], None], original(state_machine_factory, settings=settings, **options)
        )
        if ours:
            _set_seed_and_part(test, *seed_and_part())

        @functools.wraps(test)
        def scoped() -> None:
            __tracebackhide__ = True
            with scope(state_machine_factory, settings) as goes_on, _small_cache(ours):
                while goes_on:
                    try:
                        test()
                        goes_on = False
                    except BaseException:
                        if not starts_over(state_machine_factory):
                            raise

        return scoped

    hypothesis.stateful.get_state_machine_test = get_state_machine_test


def has_seed(machine: type) -> bool:
    """Return whether a machine was decorated with ``@seed``."""
    return getattr(machine, "_hypothesis_internal_use_seed", None) is not None
