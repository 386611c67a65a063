"""Count what it takes to shrink a failure, with rollback and as plain Hypothesis does it.

    python benchmarks/shrinking.py [--quick] [--seeds N] [--services NAME ...] [--longer FILE]

Each service of ``services/`` is run with each seed twice: ``rollback=True`` and the baseline
``rollback=False``. Prints a line for each pair (ours / baseline), and for each service the medians
over the seeds of

- executions before the first failure,
- executions from the first failure to the final example, the baseline's, and their ratio,
- the length of the final example, the baseline's, and the true minimum (``minimal_paths.py``),

then the median ratio over all pairs of runs, the worst pair, and in how many pairs the final
example is never longer than the baseline's, and has the minimal length. Pairs in which one side
found nothing are listed and left out. Then come the pairs that miss, with their paths (into a file,
too, with ``--longer``). Executions are counted, not timed, so they do not depend on the machine.

``--quick`` takes two seeds of four services, at most 20 steps long, and exits with 1 where ours
executes more than the baseline in any pair, or ends in a longer path.
"""

import argparse
import io
import re
import statistics
import sys
import traceback
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from pathlib import Path

import attrs
from hypothesis import HealthCheck, Phase, Verbosity, seed
from hypothesis import settings as Settings  # noqa: N812  # it is a class
from hypothesis.stateful import run_state_machine_as_test
from services import CASES

from venomqa_hyp.errors import InvariantViolated

QUICK_SERVICES = ("coupon_stacking", "invitation_reused", "snapshot_restore", "version_order")
QUICK_SEEDS = 2
QUICK_STEPS = 20
SEEDS = 20
STEPS = 50
MAX_EXAMPLES = 400
WORKERS = 2

#: A line of Hypothesis's report that is a step; group 1 is the action.
STEP = re.compile(r"^(?:.* = )?state\.(\w+)\(.*\)$", re.MULTILINE)


@attrs.frozen
class Reduced:
    """One run.

    :ivar before: executions up to the first failure; ``None`` where nothing was found.
    :ivar shrinking: executions from there to the end of the run.
    :ivar path: the steps of the example that Hypothesis reported.
    :ivar error: the traceback of what is neither a pass nor a finding.
    """

    before: int | None
    shrinking: int
    path: tuple[str, ...] = ()
    error: str = ""


@attrs.frozen
class Pair:
    """The two runs of a service with one seed."""

    service: str
    seed: int
    ours: Reduced
    baseline: Reduced

    @property
    def complete(self) -> bool:
        """Whether both found the bug."""
        return bool(self.ours.path and self.baseline.path)

    @property
    def ratio(self) -> float:
        """How many times more the baseline executes while shrinking."""
        return self.baseline.shrinking / max(1, self.ours.shrinking)

    @property
    def is_longer(self) -> bool:
        """Whether our final example is longer than the baseline's."""
        return len(self.ours.path) > len(self.baseline.path)

    @property
    def is_minimal(self) -> bool:
        """Whether our final example has the true minimal length."""
        return len(self.ours.path) == CASES[self.service].minimum


def reduce(service: str, number: int, rollback: bool, steps: int = STEPS) -> Reduced:
    """Find and shrink the bug of a service.

    :param number: the seed.
    :param steps: the most that a test case takes.
    """
    machine = seed(number)(CASES[service].machine(rollback=rollback))
    settings = Settings(
        database=None,
        max_examples=MAX_EXAMPLES,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink],
        verbosity=Verbosity.normal,
    )
    report, error = "", ""
    try:
        with redirect_stdout(io.StringIO()):
            run_state_machine_as_test(machine, settings=settings)
    except (InvariantViolated, AssertionError) as found:
        report = "\n".join(found.__notes__)
    except BaseException:
        error = traceback.format_exc()
    result = machine.last_run
    before = result.executed_before_failure
    names = {action.name for action in CASES[service].actions}
    path = tuple(step[0] for step in STEP.finditer(report) if step[1] in names)
    if before is not None and not path and not error:
        error = f"no steps found in the report: {report!r}"
    return Reduced(before, result.steps_executed - (before or 0), path, error)


def compare(services: Sequence[str], seeds: int, steps: int = STEPS) -> list[Pair]:
    """Run every service with every seed and both ways; print a line for each pair."""
    pairs = []
    for number in range(seeds):
        # Processes of its own for each seed: a shrinking Hypothesis leaves much memory behind.
        with ProcessPoolExecutor(WORKERS) as pool:
            ours = [pool.submit(reduce, name, number, True, steps) for name in services]
            baselines = [pool.submit(reduce, name, number, False, steps) for name in services]
            for name, mine, baseline in zip(services, ours, baselines, strict=True):
                pairs.append(Pair(name, number, mine.result(), baseline.result()))
                print(_told(pairs[-1]), flush=True)
    return sorted(pairs, key=lambda pair: (pair.service, pair.seed))


def _told(pair: Pair) -> str:
    ours, baseline = pair.ours, pair.baseline
    return (
        f"{pair.service}, seed {pair.seed}: shrinking {ours.shrinking} / {baseline.shrinking}, "
        f"length {len(ours.path)} / {len(baseline.path)}, minimum {CASES[pair.service].minimum}"
    )


def print_services(pairs: Sequence[Pair]) -> None:
    """Print the medians of each service."""
    print(
        f"{'service':24}{'pairs':>6}{'before failure':>16}{'shrinking':>11}{'baseline':>10}"
        f"{'ratio':>7}{'length':>8}{'baseline':>10}{'minimum':>9}"
    )
    for name in dict.fromkeys(pair.service for pair in pairs):
        of_service = [pair for pair in pairs if pair.service == name and pair.complete]
        if not of_service:
            print(f"{name:24}{0:6}")
            continue
        befores = f"{_median(p.ours.before or 0 for p in of_service):g}"
        befores += f" / {_median(p.baseline.before or 0 for p in of_service):g}"
        print(
            f"{name:24}{len(of_service):6}{befores:>16}"
            f"{_median(p.ours.shrinking for p in of_service):11g}"
            f"{_median(p.baseline.shrinking for p in of_service):10g}"
            f"{_median(p.ratio for p in of_service):7.1f}"
            f"{_median(len(p.ours.path) for p in of_service):8g}"
            f"{_median(len(p.baseline.path) for p in of_service):10g}"
            f"{CASES[name].minimum:9}"
        )


def print_overall(pairs: Sequence[Pair]) -> None:
    """Print the figures over all pairs, and which pairs are left out."""
    complete = [pair for pair in pairs if pair.complete]
    if complete:
        worst = min(complete, key=lambda pair: pair.ratio)
        ratio = _median(pair.ratio for pair in complete)
        print(f"\nmedian ratio of executions while shrinking: {ratio:.1f}")
        print(f"worst pair: {worst.ratio:.1f}, {worst.service} with seed {worst.seed}")
        _print_share("never longer than the baseline", [not pair.is_longer for pair in complete])
        _print_share("at the true minimum", [pair.is_minimal for pair in complete])
        at_minimum = [len(p.baseline.path) == CASES[p.service].minimum for p in complete]
        _print_share("baseline at the true minimum", at_minimum)
    for pair in pairs:
        for side, run in (("ours", pair.ours), ("baseline", pair.baseline)):
            if run.error:
                print(f"{pair.service} with seed {pair.seed}, {side}: {run.error}")
            elif not run.path:
                print(f"{pair.service} with seed {pair.seed}, {side}: nothing found")


def misses(pairs: Sequence[Pair]) -> str:
    """Describe the pairs in which ours is longer than the baseline or than the minimum."""
    lines = []
    for pair in pairs:
        if not pair.complete or (pair.is_minimal and not pair.is_longer):
            continue
        lines.append(
            f"{pair.service} with seed {pair.seed}: {len(pair.ours.path)} steps, baseline "
            f"{len(pair.baseline.path)}, minimum {CASES[pair.service].minimum}"
        )
        lines += [f"    {step}" for step in pair.ours.path]
        lines += ["  baseline:", *(f"    {step}" for step in pair.baseline.path)]
    return "\n".join(lines)


def _print_share(what: str, holds: Sequence[bool]) -> None:
    print(f"{what}: {sum(holds)} of {len(holds)} pairs, {sum(holds) / len(holds):.1%}")


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)


def check(pairs: Sequence[Pair]) -> None:
    """Exit with 1 unless ours is better in every pair."""
    for pair in pairs:
        where = f"{pair.service} with seed {pair.seed}"
        if not pair.baseline.path:
            continue  # nothing to compare with
        if not pair.ours.path:
            sys.exit(f"{where}: nothing found")
        if pair.ours.shrinking >= pair.baseline.shrinking:
            sys.exit(
                f"{where}: ours executed {pair.ours.shrinking}, baseline {pair.baseline.shrinking}"
            )
        if pair.is_longer:
            sys.exit(f"{where}: longer than the baseline\n{misses([pair])}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--services", nargs="+", choices=sorted(CASES))
    parser.add_argument("--longer", type=Path)
    given = parser.parse_args()
    services = given.services or (QUICK_SERVICES if given.quick else sorted(CASES))
    if given.quick:
        pairs = compare(services, given.seeds or QUICK_SEEDS, QUICK_STEPS)
    else:
        pairs = compare(services, given.seeds or SEEDS)
    print()
    print_services(pairs)
    print_overall(pairs)
    found = misses(pairs)
    print(f"\n{found}" if found else "")
    if given.longer:
        given.longer.write_text(found)
    if given.quick:
        check(pairs)


if __name__ == "__main__":
    main()
