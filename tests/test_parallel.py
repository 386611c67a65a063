"""Several workers explore as one: results are merged, and the loss of one takes no other."""

import re
import subprocess
import sys
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock

import parallel_agents
import pytest
from parallel_agents import (
    begins_elsewhere,
    broken_agent,
    make_agent,
    make_own_world,
    make_walker,
    one_survives,
    raises_always,
    returns_none,
)

from venomqa_hyp import ExplorationResult
from venomqa_hyp.agent import explore_parallel, parallel
from venomqa_hyp.agent.parallel import split_seed
from venomqa_hyp.errors import DefinitionError, VacuousRun, WorldError


class InProcess(Executor):
    """Runs each job at once, here: what is tested is the merging.

    Nobody waits for the initial state of another worker: it begins only when this one has ended.
    """

    def submit(self, function: Any, /, *arguments: Any, **keywords: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            with mock.patch.object(parallel, "_SECONDS_TO_MEET", 0):
                done.set_result(function(*arguments, **keywords))
        except BaseException as error:
            done.set_exception(error)
        return done


def alone(worker_id: int) -> ExplorationResult:
    walker = make_walker(worker_id)
    walker.seed = split_seed(walker.seed, worker_id)
    return walker.explore()


def test_workers_explore_as_one() -> None:
    """States are united, steps are added up, each worker has a seed of its own."""
    merged = explore_parallel(make_walker, 2, InProcess())
    one, two = alone(0), alone(1)
    assert {*merged.graph.states} == {*one.graph.states} | {*two.graph.states}
    assert merged.states_visited > max(one.states_visited, two.states_visited)
    assert (merged.executions, merged.steps_executed) == ({"walk": 60}, 60)
    assert (merged.action_coverage, merged.ended_by) == (0.5, "max_steps")
    assert (merged.worker_failures, merged.divergence, merged.violations) == ((), None, ())


def test_each_worker_is_a_process(capfd: pytest.CaptureFixture[str]) -> None:
    """Without an executor; and nothing is printed unless asked for."""
    merged = explore_parallel(make_agent, 2)
    assert merged.worker_failures == ()
    assert 60 < merged.steps_executed <= 120
    assert merged.action_coverage == 1.0
    assert capfd.readouterr() == ("", "")


def test_lost_workers_are_reported_and_the_rest_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """Each has a process of its own, so that none takes another with it; progress is added up."""
    merged = explore_parallel(one_survives, 4, progress_every=10)
    dead = "its process ended without a result"
    for number, why in enumerate([dead, dead, r"OwnError: 1 and 2 \(.*parallel_agents.py:\d+\)"]):
        assert re.match(f"worker {number}: {why}", merged.worker_failures[number])
    assert len(merged.worker_failures) == 3
    assert 0 < merged.steps_executed <= 60
    lines = capsys.readouterr().out.splitlines()
    assert any(re.match(r"  4 workers \| step \d+/.* \| states at least", line) for line in lines)
    assert sum("failed: " in line for line in lines) == 3
    (ended,) = (line for line in lines if "ended: " in line)
    assert ended.endswith(f"{len(merged.graph)} states, 0 violations")


def test_the_same_seed_gives_the_same_result() -> None:
    """Whichever worker ends first; and no two workers have one seed."""
    first, second = (explore_parallel(make_walker, 3, InProcess()) for _ in range(2))
    assert first.graph.to_dict() == second.graph.to_dict()
    assert len({split_seed(7, number) for number in range(100)} | {split_seed(8, 0)}) == 101


def test_states_are_reached_by_the_shortest_path_of_any_worker() -> None:
    """The merged graph is complete: each path consists of transitions from the initial state."""
    merged = explore_parallel(partial(make_agent, max_steps=150), 3, InProcess())
    depths = merged.graph.depths()
    for state_id, depth in depths.items():
        path = merged.graph.path_to(state_id)
        assert len(path) == depth
        at = merged.graph.initial.id
        for transition in path:
            assert transition.from_id == at
            at = transition.to_id
        assert at == state_id
    for transition in merged.graph.transitions:
        assert depths[transition.to_id] <= depths[transition.from_id] + 1


def test_violations_are_merged_by_their_origin() -> None:
    """Each bug comes once, with its shortest path, and without what only its process can hold."""
    merged = explore_parallel(partial(broken_agent, max_steps=200), 2, InProcess())
    found = {item.name: len(item.reproduction_path) for item in merged.violations}
    assert found == {"few": 4, "no_nine": 1, "fail": 3}
    assert {item.exception for item in merged.violations} == {None}


def test_a_result_that_is_lost_on_its_way_is_reported() -> None:
    """Whatever an executor raises in place of a result, the others are kept."""

    class Loses(InProcess):
        def submit(self, function: Any, /, *arguments: Any, **keywords: Any) -> Future[Any]:
            done = super().submit(function, *arguments, **keywords)
            if arguments[1] == 0:
                done = Future()
                done.set_exception(TypeError("cannot pickle 'lock' object"))
            return done

    merged = explore_parallel(make_agent, 2, Loses())
    assert merged.worker_failures == (
        "worker 0: its result was lost: TypeError: cannot pickle 'lock' object",
    )


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (raises_always, "worker 0: OwnError: 0 and 2 .*; worker 1: OwnError: 1 and 2"),
        (returns_none, "make_agent returned None, but a worker needs an Agent"),
    ],
)
def test_where_all_are_lost_there_is_no_result(make: Any, why: str) -> None:
    """The error says what became of each."""
    with pytest.raises(WorldError, match=why):
        explore_parallel(make, 2, InProcess())


def test_workers_must_begin_in_the_same_state() -> None:
    """Else their states have nothing to do with each other; it is said what differs."""
    merged = explore_parallel(begins_elsewhere, 2, InProcess())
    (failure,) = merged.worker_failures
    assert failure.startswith("worker 1 began in another state than worker 0: store shows empty")
    assert "items 1" in failure
    assert {state.context == {} for state in merged.graph.states.values()} == {True}
    assert merged.graph.initial.observations["store"].summary == "empty"


def test_a_step_that_leads_workers_apart_is_a_divergence() -> None:
    """The record says which step, and both states are kept."""
    merged = explore_parallel(make_own_world, 2, InProcess())
    assert merged.divergence is not None
    assert merged.divergence.what.startswith(
        "tick() from the same state led workers 0 and 1 to different states: store shows worker=0"
    )
    assert len(merged.graph) == 3


def test_any_executor_will_do() -> None:
    """A pool of processes that are shared gives the same result."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        merged = explore_parallel(make_walker, 3, pool)
    expected = explore_parallel(make_walker, 3, InProcess())
    assert merged.graph.to_dict() == expected.graph.to_dict()


def test_dask_is_such_an_executor() -> None:
    """A cluster of two processes, whose scheduler and workers end with the test."""
    distributed = pytest.importorskip("distributed")
    code = f"""
import sys
sys.path.insert(0, {str(Path(parallel_agents.__file__).parent)!r})
import distributed
from parallel_agents import make_walker
from venomqa_hyp import ExplorationResult
from venomqa_hyp.agent import explore_parallel

if __name__ == "__main__":
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True
    ) as cluster, distributed.Client(cluster) as client:
        client.run(lambda: sys.path.insert(0, {str(Path(parallel_agents.__file__).parent)!r}))
        merged = explore_parallel(make_walker, 2, client.get_executor())
        print(merged.states_visited, merged.steps_executed, merged.worker_failures)
"""
    assert distributed.__version__
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    expected = explore_parallel(make_walker, 2, InProcess())
    told = f"{expected.states_visited} {expected.steps_executed} ()\n"
    assert done.stdout == told, done.stderr


def test_a_script_runs_its_own_function(tmp_path: Path) -> None:
    """What stands in the script itself can be imported by the workers, under the usual guard."""
    (tmp_path / "script.py").write_text(
        """
import sys
from venomqa_hyp import Action, Agent, World
from venomqa_hyp import ExplorationResult
from venomqa_hyp.agent import explore_parallel

def make_agent(worker_id):
    return Agent(World({}), [Action("look", lambda api, context: None)], max_steps=3)

if __name__ == "__main__":
    print(explore_parallel(make_agent, 1).worker_failures)
"""
    )
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("()\n", "")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((lambda worker_id: None, 2), r"<lambda>.*cannot import.*top level of a module"),
        ((None, 2), r"make_agent is None of type NoneType"),
        ((make_agent, 0), r"workers is 0, but it is a whole number from 1"),
        ((make_agent, True), r"workers is True"),
        ((make_agent, 2, "dask"), r"executor is 'dask', but it must have submit"),
    ],
)
def test_bad_arguments_are_refused(arguments: Any, error: str) -> None:
    """Before any process is started, with what to write instead."""
    with pytest.raises(DefinitionError, match=error):
        explore_parallel(*arguments)


def test_what_all_workers_together_do_not_reach_is_an_error() -> None:
    """And not of one worker, whose result would be lost."""
    with ThreadPoolExecutor(2) as threads:
        with pytest.raises(VacuousRun) as caught:
            explore_parallel(partial(make_agent, require={"drop": 10_000}), 2, threads)
        merged = explore_parallel(partial(make_agent, require={"drop": 2}), 2, threads)
    counts = caught.value.result.actions["drop"]  # type: ignore[attr-defined]
    (text,) = caught.value.unmet
    assert text.startswith(f"drop: {counts.succeeded} of {counts.steps} steps succeeded (")
    assert text.endswith(f"; required: at least 10,000): {counts.steps} x returned")
    assert merged.unmet == ()
    assert merged.worker_failures == ()
