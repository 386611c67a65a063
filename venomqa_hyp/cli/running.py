"""Run machines and Agents, one after the other, and say what came of each."""

import math
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import SystemRandom
from typing import cast
from unittest import SkipTest

import attrs
from hypothesis import Verbosity, seed
from hypothesis import settings as Settings  # noqa: N812  # it is a class
from hypothesis.errors import HypothesisException
from hypothesis.stateful import run_state_machine_as_test

from venomqa_hyp.agent import Agent
from venomqa_hyp.cli import interrupts, outputs
from venomqa_hyp.cli.targets import Target, discover
from venomqa_hyp.core import ExplorationResult, OnProgress, Progress, Redaction, Violation
from venomqa_hyp.errors import (
    DefinitionError,
    InvariantViolated,
    VacuousRun,
    VenomError,
    WorldError,
)
from venomqa_hyp.explore import (
    BFS,
    DFS,
    MCTS,
    CoverageGuided,
    Novelty,
    Random,
    Strategy,
    Weighted,
)
from venomqa_hyp.reporters.console import Console
from venomqa_hyp.reporters.terminal import open_terminal
from venomqa_hyp.stateful import Overrides, has_seed, overriding, watching
from venomqa_hyp.stateful.failure_files import FailureFolder

OK, FOUND, USAGE, UNUSABLE, INTERRUPTED = 0, 1, 2, 3, 130
LARGEST_RANDOM_SEED = 999_999
STRATEGIES: dict[str, Callable[[], Strategy]] = {
    "novelty": Novelty,
    "bfs": BFS,
    "dfs": DFS,
    "random": Random,
    "coverage": CoverageGuided,
    "weighted": Weighted,
    "mcts": MCTS,
}


@attrs.frozen(kw_only=True)
class Limits:
    """How long to run, and with which random choices; what is ``None`` stays as the code has it.

    :ivar seconds: for each target.
    :ivar max_examples: test cases of a machine.
    :ivar max_steps: calls of actions, where an Agent explores.
    :ivar verbose: show the lines of Hypothesis as well.
    """

    seed: int | None = None
    seconds: float | None = None
    max_examples: int | None = None
    max_steps: int | None = None
    strategy: str | None = None
    verbose: bool = False

    @property
    def flags(self) -> str:
        """As they are written on the command line, but for the seed."""
        given = {
            "--max-examples": self.max_examples,
            "--max-steps": self.max_steps,
            "--strategy": self.strategy,
            "--time": None if self.seconds is None else f"{self.seconds:g}",
        }
        return "".join(f" {name} {value}" for name, value in given.items() if value is not None)


@attrs.frozen
class Outcome:
    """What came of one target.

    :ivar errors: what else ended it.
    """

    target: Target
    result: ExplorationResult | None
    errors: tuple[BaseException, ...] = ()

    @property
    def code(self) -> int:
        """The exit code, if this were all."""
        if self.result is not None and self.result.violations:
            return FOUND
        return max(map(code_of, self.errors), default=OK, key=_SERIOUS.index)

    @property
    def is_interrupted(self) -> bool:
        """Whether Ctrl-C or SIGTERM ended it."""
        ended = self.result is not None and self.result.ended_by == "interrupted"
        return ended or any(isinstance(error, KeyboardInterrupt) for error in self.errors)


#: Exit codes, the one that counts most last.
_SERIOUS = (OK, USAGE, UNUSABLE, FOUND, INTERRUPTED)


def code_of(error: BaseException) -> int:
    """Return the exit code for what ended a run."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, DefinitionError):
        return USAGE
    return UNUSABLE if isinstance(error, WorldError) else FOUND


def run_all(
    command: str,
    targets: Sequence[Target],
    limits: Limits,
    console: Console,
    *,
    reports: Sequence[Path] = (),
) -> int:
    """Run targets, report each, write the reports, and return the exit code.

    :param command: ``run`` or ``explore``.
    """
    outcomes: list[Outcome] = []
    for target in targets:
        chosen = with_seed(target, limits)
        outcomes.append(run_one(command, target, chosen, console))
        if outcomes[-1].is_interrupted:
            break
    results = results_of(outcomes)
    codes = [item.code for item in outcomes]
    codes += [_write(path, results, console) for path in reports if results]
    if any(item.is_interrupted for item in outcomes):
        raise KeyboardInterrupt
    if len(targets) > 1:
        _show_all(outcomes, console)
    return max(codes, default=OK, key=_SERIOUS.index)


def run_one(command: str, target: Target, limits: Limits, console: Console) -> Outcome:
    """Run one target, and report it."""
    terminal, actions = console.terminal, target.definition.actions
    chosen = "" if limits.seed is None else f", seed {limits.seed}"
    terminal.show((target.name, "heading"), f": {len(actions)} actions{chosen}")
    with _shown_warnings(console), console.watching() as show:

        def update(now: Progress) -> None:
            interrupts.check()
            show(now)

        explores = command == "explore" or target.agent is not None
        outcome = (run_agent if explores else run_machine)(target, update, limits)
    if outcome.result is not None:
        again = ("again", _again(command, target, limits))
        console.report(outcome.result, [again, *_kept(target, outcome.result)])
    violations = outcome.result.violations if limits.verbose and outcome.result else ()
    for lines in (*map(_lines_of, outcome.errors), *map(_notes_of, violations)):
        for line in lines:
            terminal.show(Redaction().text(line))
    return outcome


def results_of(outcomes: Sequence[Outcome]) -> dict[str, ExplorationResult]:
    """Return results by the names of their targets: with the file where the name is not enough."""
    titles = Counter(item.target.title for item in outcomes)
    return {
        item.target.title if titles[item.target.title] == 1 else item.target.name: item.result
        for item in outcomes
        if item.result is not None
    }


def results_for(source: str, max_steps: int) -> dict[str, ExplorationResult]:
    """Return a saved result, or explore a target; that is reported to standard error."""
    path = Path(source)
    if path.suffix == ".json":
        return {path.stem: outputs.read(path)}
    console = Console(open_terminal(sys.stderr))
    outcomes = []
    for target in discover([source]):
        limits = attrs.evolve(with_seed(target, Limits()), max_steps=max_steps)
        outcomes.append(run_one("explore", target, limits, console))
        if outcomes[-1].result is None:
            raise outcomes[-1].errors[0]
    return results_of(outcomes)


def run_machine(target: Target, update: OnProgress, limits: Limits) -> Outcome:
    """Run a machine as its ``TestCase`` does, with fewer or more test cases."""
    machine = target.machine
    assert machine is not None
    assert target.settings is not None
    verbosity = Verbosity.normal if limits.verbose else Verbosity.quiet
    chosen = Settings(target.settings, verbosity=verbosity)
    if limits.max_examples is not None:
        chosen = Settings(chosen, max_examples=limits.max_examples)
    if limits.seed is not None:
        seed(limits.seed)(machine)
    machine.last_run = None
    error: BaseException | None = None
    try:
        overridden = Overrides(seconds=limits.seconds or math.inf)
        with watching(update), overriding(overridden):
            run_state_machine_as_test(machine, settings=chosen)
    except (Exception, KeyboardInterrupt) as raised:
        error = raised
    if machine.last_run is None and (error is None or isinstance(error, SkipTest)):
        phases = ", ".join(phase.name for phase in chosen.phases) or "none"
        error = DefinitionError(
            f"nothing was run: the phases in the settings of {target.name} are {phases}. "
            "Add Phase.generate."
        )
    return Outcome(target, machine.last_run, tuple(_unexplained(error, machine.last_run)))


def run_agent(target: Target, update: OnProgress, limits: Limits) -> Outcome:
    """Let an Agent explore what a target is made of."""
    agent = _agent(target, limits)
    agent.on_progress = update
    try:
        return Outcome(target, agent.explore())
    except VacuousRun as error:
        return Outcome(target, cast(ExplorationResult, error.result), (error,))
    except Exception as error:
        return Outcome(target, None, (error,))


def with_seed(target: Target, limits: Limits) -> Limits:
    """Return limits with a random seed, unless the code of the target has chosen one."""
    settings, machine = target.settings, target.machine
    is_chosen = settings is not None and settings.derandomize
    if limits.seed is not None or is_chosen or (machine is not None and has_seed(machine)):
        return limits
    return attrs.evolve(limits, seed=SystemRandom().randint(0, LARGEST_RANDOM_SEED))


def _agent(target: Target, limits: Limits) -> Agent:
    definition, known = target.definition, target.agent
    strategy = STRATEGIES[limits.strategy]() if limits.strategy else definition.strategy
    agent = Agent(
        definition.world,
        definition.actions.values(),
        definition.invariants,
        strategy=strategy,
        on_divergence=definition.on_divergence,
        require=definition.require,
        seed=limits.seed,
    )
    if known is not None:
        agent.limits, agent.cache_dir, agent.watch = known.limits, known.cache_dir, known.watch
        agent.seed = known.seed if limits.seed is None else limits.seed
    if limits.seconds is not None:
        agent.limits = attrs.evolve(agent.limits, seconds=limits.seconds)
    if limits.max_steps is not None:
        agent.limits = attrs.evolve(agent.limits, max_steps=limits.max_steps)
    return agent


def _again(command: str, target: Target, limits: Limits) -> str:
    chosen = "" if limits.seed is None else f" --seed {limits.seed}"
    return f"venomqa {command} {target.name}{chosen}{limits.flags}"


def _kept(target: Target, result: ExplorationResult) -> Iterator[tuple[str, str]]:
    """Yield how the failures of a machine are replayed, where they are kept in files."""
    names = {violation.name for violation in result.violations}
    for path, saved in FailureFolder().load(target.definition.identity).failures:
        if target.agent is None and saved.name in names:
            shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
            yield "kept", f"venomqa replay {shown}"


def _show_all(outcomes: Sequence[Outcome], console: Console) -> None:
    words = {OK: ("ok", "good"), FOUND: ("FAILED", "broken")}
    console.terminal.show()
    console.terminal.show(("All targets", "heading"))
    for outcome in outcomes:
        word, style = words.get(outcome.code, ("NOT RUN", "changed"))
        found = outcome.result.violations if outcome.result else ()
        names = f": {', '.join(item.name for item in found)}" if found else ""
        console.terminal.show("  ", (f"{word:<8}", style), f"{outcome.target.name}{names}")


def _write(path: Path, results: outputs.Results, console: Console) -> int:
    """Write a report; one that cannot be written leaves the others alone."""
    try:
        for written in outputs.write(path, outputs.form_of(path), results):
            console.terminal.show(f"written: {written}")
    except VenomError as error:
        console.terminal.show((f"not written: {path}: ", "broken"), str(error))
        return code_of(error)
    return OK


def _unexplained(
    error: BaseException | None, result: ExplorationResult | None
) -> Iterator[BaseException]:
    """Yield the errors that are no violation of the result."""
    if error is None:
        return
    if isinstance(error, BaseExceptionGroup) and not isinstance(error, HypothesisException):
        for each in error.exceptions:
            yield from _unexplained(each, result)
        return
    known = () if result is None else [item.exception for item in result.violations]
    is_rule = isinstance(error, InvariantViolated) and type(error) in map(type, known)
    if not is_rule and not any(_is_same(error, item) for item in known):
        yield error


def _is_same(error: BaseException, known: BaseException | None) -> bool:
    return error is known or (type(error) is type(known) and str(error) == str(known))


def _notes_of(violation: Violation) -> Iterator[str]:
    yield ""
    yield f"Hypothesis on {violation.name}:"
    yield from getattr(violation.exception, "__notes__", ())


def _lines_of(error: BaseException) -> Iterator[str]:
    """Yield what there is to say of an error: its text, or its traceback where it is not ours."""
    yield ""
    if isinstance(error, KeyboardInterrupt):
        yield from getattr(error, "__notes__", ())
    elif isinstance(error, VenomError | HypothesisException):
        yield f"{type(error).__name__}: {error}"
        yield from getattr(error, "__notes__", ())
    else:
        for text in traceback.format_exception(error):
            yield from text.rstrip().splitlines()


@contextmanager
def _shown_warnings(console: Console) -> Iterator[None]:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        yield
    for text in dict.fromkeys(f"{item.category.__name__}: {item.message}" for item in seen):
        console.terminal.show()
        console.terminal.show(("warning: ", "changed"), Redaction().text(text))
