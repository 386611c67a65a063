"""Run random services and compare what is reported with brute force.

    python tests/fuzz_services.py FIRST COUNT [SECONDS]

prints a line for each service that is not as it should be, and the counts at the end.
"""

import signal
import sys
import traceback
import warnings
from collections import Counter
from random import Random
from time import monotonic
from typing import Any

import attrs
from hypothesis import HealthCheck, settings
from hypothesis import seed as with_seed
from hypothesis.stateful import run_state_machine_as_test
from random_services import Service, Shop, make_service

from venomqa_hyp import (
    BFS,
    DFS,
    MCTS,
    Agent,
    CoverageGuided,
    ExplorationResult,
    Novelty,
    Weighted,
    venom_machine,
)
from venomqa_hyp import Random as RandomStrategy
from venomqa_hyp.errors import DivergenceError, InvariantViolated

STRATEGIES = [BFS, DFS, RandomStrategy, Weighted, CoverageGuided, MCTS, Novelty]
EXAMPLES, STEPS, SECONDS = 60, 8, 60


class Endless(BaseException):
    """A run did not end in time."""


@attrs.frozen
class Outcome:
    """What came of one service.

    :ivar problems: what is wrong, by kind: ``false``, ``lost``, ``internal``, ``endless``.
    :ivar lengths: rule -> the length of its path and of the shortest there is.
    """

    problems: dict[str, str]
    lengths: dict[str, tuple[int, int]]
    diverged: bool


def run_service(number: int, seconds: int = SECONDS) -> Outcome:
    service = make_service(number)
    random = Random(-number - 1)
    shop = Shop(service)
    own_world = service.leak == "kept" or random.random() < 0.7
    world = shop.open_world if own_world else shop.open_world()
    options: dict[str, Any] = {
        "strategy": random.choice(STRATEGIES)(),
        "on_divergence": random.choice(["error", "warn"]),
    }
    by_agent = random.random() < 0.4
    raised: BaseException | None = None
    record: ExplorationResult | None = None
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(seconds)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if by_agent:
                agent = Agent(
                    world, shop.actions, shop.invariants, seed=number, max_steps=400, **options
                )
                record = agent.explore()
            else:
                machine = venom_machine(world, shop.actions, shop.invariants, **options)
                chosen = settings(
                    max_examples=EXAMPLES,
                    stateful_step_count=STEPS,
                    database=None,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                )
                try:
                    run_state_machine_as_test(with_seed(number)(machine), settings=chosen)
                finally:
                    record = machine.last_run
    except Endless:
        return Outcome({"endless": f"{service}"}, {}, False)
    except BaseException as error:
        raised = error
    finally:
        signal.alarm(0)
    return _judge(service, shop, record, raised)


def _too_long(number: int, frame: Any) -> None:
    raise Endless


def _judge(
    service: Service, shop: Shop, record: ExplorationResult | None, raised: BaseException | None
) -> Outcome:
    problems: dict[str, str] = {}
    shortest = service.shortest()
    violations = () if record is None else record.violations
    lengths = {}
    each = list(raised.exceptions) if isinstance(raised, BaseExceptionGroup) else [raised]
    for error in each:
        expected = (InvariantViolated, ValueError, AssertionError, DivergenceError)
        ours = isinstance(error, expected) and (
            "rule_" in str(error) or "repeat itself" in str(error)
        )
        if error is not None and not ours:
            problems["internal"] = "".join(traceback.format_exception(error))
    names = {}
    for violation in violations:
        name = next(rule.name for rule in service.rules if rule.name in _names(violation))
        names[name] = violation
        path = violation.reproduction_path
        if not service.breaks_at_the_end_of(path, name, shop.numbers):
            problems["false"] = f"{name} after {', '.join(map(str, path))}"
        elif name in shortest:
            lengths[name] = len(path), shortest[name]
    refuted = " ".join([*(record.refuted if record else ()), str(raised), *_notes(raised)])
    for name in shop.seen:
        if name not in names and name not in refuted:
            problems["lost"] = f"{name} was seen {shop.seen[name]} times; raised {raised!r}"
    diverged = record is not None and record.divergence is not None
    if any(isinstance(error, DivergenceError) for error in each) and service.leak == "none":
        problems["false divergence"] = str(raised)
    elif diverged and service.leak == "none":
        problems["false divergence"] = str(record and record.divergence)
    return Outcome(problems, lengths, diverged)


def _notes(error: BaseException | None) -> list[str]:
    return getattr(error, "__notes__", [])


def _names(violation: Any) -> str:
    return f"{violation.name} {violation.message}"


def main(first: int, count: int, seconds: int) -> None:
    totals: Counter[str] = Counter()
    longer: Counter[int] = Counter()
    start = monotonic()
    for number in range(first, first + count):
        outcome = run_service(number, seconds)
        for kind, text in outcome.problems.items():
            totals[kind] += 1
            print(f"{number} {kind}: {text}", flush=True)
        for name, (length, least) in outcome.lengths.items():
            longer[length - least] += 1
            if length != least:
                print(f"{number} longer: {name} {length} for {least}, diverged {outcome.diverged}")
        totals["diverged"] += outcome.diverged
    print(f"{count} services in {monotonic() - start:.0f} s: {dict(totals)}; longer {dict(longer)}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else SECONDS)
