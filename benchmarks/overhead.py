"""Measure what recording and rolling back cost where a step itself costs next to nothing.

    python benchmarks/overhead.py [--quick]

prints, each beside its target:

- a memory World with 5 actions, 100 examples of 50 steps, against the same rules on a bare
  ``RuleBasedStateMachine`` that calls them directly (CPU time, at most 1.5 times);
- the same with actions that do nothing: steps per second (at least 60 % of the bare machine's);
- steps per second in a run of 20,000 steps against one of 1,000 (at least 0.8 times), in a World of
  bounded states;
- the peak memory of a process that makes 100,000 steps in one run, in a World where every step
  leads to a state that was never seen (below 300 MB).

Times are ``time.process_time``, medians of repeats in which both sides take turns: only the ratios
mean anything on another machine. ``--quick`` makes everything small and asserts no time.
"""

import argparse
import gc
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import HealthCheck, Phase, seed
from hypothesis import settings as Settings  # noqa: N812  # it is a class
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from venomqa_hyp import Action, Invariant, World, venom_machine
from venomqa_hyp.adapters import MemoryAdapter

STEPS = 50
REPEATS = 7
KEYS = st.sampled_from("abcdef")

Rules = Mapping[str, tuple[Callable[..., Any], Mapping[str, Any]]]


def add(api: Any, context: Any, key: str) -> None:
    api[key] = api.get(key, 0) + 1 if api.get(key, 0) < 5 else 0


def subtract(api: Any, context: Any, key: str) -> None:
    api[key] = max(0, api.get(key, 0) - 1)


def move(api: Any, context: Any, source: str, receiver: str) -> None:
    if api.get(source, 0) > 0:
        api[source] -= 1
        api[receiver] = api.get(receiver, 0) + 1


def clear(api: Any, context: Any) -> None:
    api.clear()


def count(api: Any, context: Any) -> int:
    return len(api)


def nothing(api: Any, context: Any, **arguments: Any) -> None:
    """Do nothing."""


def grow(api: Any, context: Any, by: int) -> None:
    api["total"] = api.get("total", 0) + by
    api["steps"] = api.get("steps", 0) + 1


COUNTERS: Rules = {
    "add": (add, {"key": KEYS}),
    "subtract": (subtract, {"key": KEYS}),
    "move": (move, {"source": KEYS, "receiver": KEYS}),
    "clear": (clear, {}),
    "count": (count, {}),
}
IDLE: Rules = {name: (nothing, arguments) for name, (_, arguments) in COUNTERS.items()}
GROWING: Rules = {
    "grow": (grow, {"by": st.integers(1, 1_000_000)}),
    "shrink": (grow, {"by": st.integers(-1_000, -1)}),
    "count": (count, {}),
}


def recorded(rules: Rules) -> Any:
    """Return a machine of ours."""
    store = MemoryAdapter()
    return venom_machine(
        World(store, {"store": store}),
        [Action(name, execute, arguments=given) for name, (execute, given) in rules.items()],
        [Invariant("holds", lambda world: True)],
    )


def bare(rules: Rules) -> Any:
    """Return a machine of Hypothesis's with the same rules, each called directly."""

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.store: dict[str, int] = {}

        @invariant()
        def holds(self) -> None:
            pass

    members = {name: _calling(name, execute, given) for name, (execute, given) in rules.items()}
    return type("Bare", (Machine,), members)


def _calling(name: str, execute: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    def call(self: Any, **arguments: Any) -> None:
        execute(self.store, None, **arguments)

    call.__name__ = name
    return rule(**given)(call)


def run(machine: Any, examples: int, steps: int = STEPS) -> float:
    """Run a machine and return the CPU seconds it took."""
    settings = Settings(
        database=None,
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    gc.collect()
    start = time.process_time()
    run_state_machine_as_test(seed(1)(machine), settings=settings)
    return time.process_time() - start


def against_bare(rules: Rules, examples: int, repeats: int) -> tuple[float, float, float]:
    """Return CPU seconds of the bare machine, of ours, and the ratio: medians."""
    for machine in (bare(rules), recorded(rules)):
        run(machine, 5)
    bares, ours = [], []
    for _ in range(repeats):
        bares.append(run(bare(rules), examples))
        ours.append(run(recorded(rules), examples))
    ratios = [mine / other for mine, other in zip(ours, bares, strict=True)]
    return statistics.median(bares), statistics.median(ours), statistics.median(ratios)


def steps_per_second(steps: int) -> float:
    """Return the steps per second of CPU time in one run of about so many steps."""
    machine = recorded(COUNTERS)
    seconds = run(machine, steps // STEPS)
    return taken(machine) / seconds


def taken(machine: Any) -> int:
    """Return how many steps the last run of a machine of ours took."""
    record = machine.last_run
    return int(record.steps_executed - record.steps_repeated + record.steps_recalled)


def measure_memory(steps: int) -> None:
    """Make so many steps in this process, and print the steps, the states and the peak memory."""
    machine = recorded(GROWING)
    run(machine, steps // STEPS)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    megabytes = peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
    print(taken(machine), machine.last_run.states_visited, f"{megabytes:.0f}")


def memory(steps: int) -> tuple[int, int, int]:
    """Return steps, states and peak memory in MB, of a fresh process."""
    command = [sys.executable, __file__, "--memory-of", str(steps)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    made, states, megabytes = map(int, output.split())
    return made, states, megabytes


def verdict(met: bool) -> str:
    """Say whether a target is met."""
    return "met" if met else "NOT met"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.memory_of:
        measure_memory(given.memory_of)
        return
    examples, repeats = (10, 1) if given.quick else (100, REPEATS)

    seconds, ours, ratio = against_bare(COUNTERS, examples, repeats)
    print(f"memory World, {examples} examples of {STEPS} steps: {ours:.2f} s, bare {seconds:.2f} s")
    print(f"  {ratio:.2f} times (target: at most 1.5): {verdict(ratio <= 1.5)}")

    seconds, ours, ratio = against_bare(IDLE, examples, repeats)
    print(f"actions that do nothing: {ours:.2f} s, bare {seconds:.2f} s")
    print(f"  {1 / ratio:.0%} of the steps per second (target: at least 60 %): ", end="")
    print(verdict(1 / ratio >= 0.6))

    short, long = (500, 2_000) if given.quick else (1_000, 20_000)
    speeds = [(steps_per_second(short), steps_per_second(long)) for _ in range(min(repeats, 3))]
    growth = statistics.median(after / before for before, after in speeds)
    print(f"one run of {long:,} steps against one of {short:,}: {growth:.2f} times the steps per ")
    print(f"  second (target: at least 0.8): {verdict(growth >= 0.8)}")

    made, states, megabytes = memory(2_000 if given.quick else 100_000)
    print(f"one run of {made:,} steps, {states:,} states: peak memory {megabytes} MB")
    print(f"  (target: below 300 MB): {verdict(megabytes < 300)}", flush=True)


if __name__ == "__main__":
    main()
