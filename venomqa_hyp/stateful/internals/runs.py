"""When the test cases of a machine begin and end, what they are called, and what is noted."""

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, cast

import hypothesis.stateful
from hypothesis import settings as Settings  # noqa: N812  # it is a class
from hypothesis.control import BuildContext, current_build_context, currently_in_test_context
from hypothesis.internal.conjecture import engine
from hypothesis.internal.conjecture.data import ConjectureData
from hypothesis.internal.observability import observability_enabled
from hypothesis.reporting import with_reporter
from hypothesis.statistics import collector, describe_statistics, note_statistics

import _venomqa_hyp_hypothesis

#: The attribute in which Hypothesis looks for more to put into the key of a test.
IDENTITY_ATTRIBUTE = "_hypothesis_internal_add_digest"

CACHED_TEST_CASES = 500
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
