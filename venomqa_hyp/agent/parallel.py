"""Explore with several workers at once, each with a World of its own, and merge what they found."""

import concurrent.futures
import hashlib
import json
import multiprocessing
import os
import pickle
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, perf_counter, sleep
from typing import Any

import attrs

from venomqa_hyp.agent.merge import Found, merge
from venomqa_hyp.core import ExplorationResult
from venomqa_hyp.errors import DefinitionError, VacuousRun, WorldError
from venomqa_hyp.values import Shown

#: ``(worker_id) -> Agent``; workers are numbered from 0.
MakeAgent = Callable[[int], Any]

_SECONDS_BETWEEN_LOOKS = 0.2
#: A worker that opens its World later than that is not waited for.
_SECONDS_TO_MEET = 20.0


def explore_parallel(
    make_agent: MakeAgent,
    workers: int,
    executor: Executor | None = None,
    *,
    progress_every: int | None = None,
) -> ExplorationResult:
    """Let several agents explore at once; return one result, as if one agent had.

    Each worker calls ``make_agent(worker_id)``, explores with a seed made from the agent's own and
    ``worker_id``, and takes as many steps as its agent says. States are merged by their ids,
    violations keep their shortest path, and counts are added up.

    Without ``executor`` each worker is a process of its own, started afresh (``spawn``): so one
    that dies takes no other with it, and no connection is shared. In a script call this function
    under ``if __name__ == "__main__":``, for the workers import the script.

    :param make_agent: a function at the top level of a module, which the workers import. It opens a
        World that no other worker uses: with a database, schema or prefix named after the worker.
    :param executor: anything with ``submit``, such as Dask's ``Client().get_executor()``.
    :param progress_every: print a line every so many steps of all workers, and at each one's end.
    :raises DefinitionError: says which argument cannot work, and what to write instead.
    :raises VacuousRun: nothing was found, and all workers together did not reach what ``require``
        or ``sometimes`` ask for.
    :raises WorldError: no worker ended well; says what became of each.
    """
    _check(make_agent, workers, executor)
    start = perf_counter()
    found: dict[int, Found] = {}
    failures: dict[int, str] = {}
    with ExitStack() as stack:
        directory = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="venomqa-parallel-", ignore_cleanup_errors=True)
        )
        progress = _Progress(Path(directory), workers, progress_every)
        jobs: dict[Future[Found | str], int] = {}
        for number in range(workers):
            runs_in = executor or stack.enter_context(_process())
            jobs[runs_in.submit(_explore, make_agent, number, workers, directory)] = number
        for job in _as_they_end(jobs, progress):
            told = _told(job)
            if isinstance(told, str):
                failures[jobs[job]] = f"worker {jobs[job]}: {told}"
            else:
                found[jobs[job]] = told
            progress.ended(jobs[job], told)
    listed = [failures[number] for number in sorted(failures)]
    if not found:
        raise WorldError(
            f"none of the {workers} workers ended well, so there is no result. " + "; ".join(listed)
        )
    result = merge(found, listed, perf_counter() - start)
    if result.unmet:
        raise VacuousRun(result.unmet, result)
    return result


def split_seed(seed: object, worker_id: int) -> int:
    """Return the seed of one worker."""
    digest = hashlib.blake2b(f"{seed} {worker_id}".encode(), digest_size=4)
    return int.from_bytes(digest.digest(), "big")


def _check(make_agent: object, workers: object, executor: object) -> None:
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise DefinitionError(
            f"workers is {workers!r}, but it is a whole number from 1. Write workers=2."
        )
    if not callable(make_agent):
        raise DefinitionError(
            f"make_agent is {make_agent!r:.60} of type {type(make_agent).__name__}, but each "
            "worker calls it with its number. Write def make_agent(worker_id): return Agent(...)."
        )
    try:
        pickle.dumps(make_agent)
    except Exception as error:
        raise DefinitionError(
            f"make_agent is {make_agent!r:.80}, which the workers cannot import ({error}). Write "
            "it as a function at the top level of a module: def make_agent(worker_id): return "
            "Agent(...). Arguments of its own can be given with functools.partial."
        ) from None
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise DefinitionError(
            f"executor is {executor!r:.60}, but it must have submit(), as every "
            "concurrent.futures.Executor. For Dask write executor=client.get_executor()."
        )


@contextmanager
def _process() -> Iterator[Executor]:
    """Yield an executor of one process; nothing more is started once an error ends the block."""
    # Forked, workers would share the sockets of the parent and inherit the locks of its threads.
    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _explore(make_agent: MakeAgent, worker_id: int, workers: int, directory: str) -> Found | str:
    """Run in the worker; return what was found, or why nothing was."""
    try:
        agent = make_agent(worker_id)
        if not callable(getattr(agent, "explore", None)):
            return f"make_agent returned {agent!r:.60}, but a worker needs an Agent"
        agent.seed = split_seed(agent.seed, worker_id)
        if agent.cache_dir is not None:  # one worker must not be skipped for what another did
            agent.cache_dir = Path(agent.cache_dir) / f"worker-{worker_id}-of-{workers}"
        agent.on_progress = _Reporter(Path(directory), worker_id, agent.on_progress)
        agent.find_twin = _Meeting(Path(directory), worker_id, workers)
        agent.raises_unmet = False  # what one worker does not reach another may
        return Found(agent.explore().portable(), dict(agent.definition.require))
    except Exception as error:  # it may be of a type that the parent cannot import
        places = traceback.extract_tb(error.__traceback__)
        where = f" ({places[-1].filename}:{places[-1].lineno})" if places else ""
        return f"{type(error).__name__}: {error}{where}"


def _told(job: Future[Found | str]) -> Found | str:
    try:
        return job.result()
    except BrokenExecutor:
        return (
            "its process ended without a result: it was killed, crashed or called os._exit, or it "
            'could not be started (a script needs if __name__ == "__main__":)'
        )
    except Exception as error:
        return f"its result was lost: {type(error).__name__}: {error}"


def _as_they_end(
    jobs: Mapping[Future[Found | str], int], progress: "_Progress"
) -> Iterator[Future[Found | str]]:
    waiting = set(jobs)
    while waiting:
        done, waiting = concurrent.futures.wait(
            waiting, _SECONDS_BETWEEN_LOOKS, concurrent.futures.FIRST_COMPLETED
        )
        progress.look()
        yield from sorted(done, key=lambda job: jobs[job])


@attrs.frozen
class _Meeting:
    """Exchanges initial states, where the workers share a directory.

    What Worlds were given at random when they were made is another value in each.
    """

    directory: Path
    worker_id: int
    workers: int

    def __call__(self, own: Shown) -> Shown | None:
        if self.workers < 2 or not self.directory.is_dir():
            return None
        path, other = self._path(self.worker_id), self._path(0 if self.worker_id else 1)
        try:
            path.with_suffix(".tmp").write_bytes(pickle.dumps(dict(own)))
        except Exception:  # whatever the context holds
            return None
        os.replace(path.with_suffix(".tmp"), path)
        until = monotonic() + _SECONDS_TO_MEET
        while not other.exists():
            if monotonic() > until:
                return None
            sleep(_SECONDS_BETWEEN_LOOKS / 10)
        twin: Shown = pickle.loads(other.read_bytes())
        return twin

    def _path(self, worker_id: int) -> Path:
        return self.directory / f"{worker_id}.initial"


@attrs.define
class _Reporter:
    """In a worker, writes how far it is to a file, where the parent shares the directory."""

    directory: Path
    worker_id: int
    also: Callable[[Any], None] | None
    written: float = 0.0

    def __call__(self, now: Any) -> None:
        if self.also is not None:
            self.also(now)
        if monotonic() - self.written < _SECONDS_BETWEEN_LOOKS or not self.directory.is_dir():
            return
        self.written = monotonic()
        path = self.directory / f"{self.worker_id}.json"
        numbers = [now.step, now.max_steps, now.states, now.coverage, now.violations]
        try:
            path.with_suffix(".tmp").write_text(json.dumps(numbers))
            os.replace(path.with_suffix(".tmp"), path)
        except OSError:
            return  # the parent has gone, or the disk is full: it is only for show


class _Progress:
    """Adds up in the parent how far the workers are."""

    def __init__(self, directory: Path, workers: int, every: int | None) -> None:
        self._directory = directory
        self._workers = workers
        self._every = every
        self._printed = 0

    def look(self) -> None:
        """Print a line if the workers came far enough since the last one."""
        if self._every is None:
            return
        seen = [json.loads(path.read_text()) for path in self._directory.glob("*.json")]
        if not seen:
            return
        steps, limits, states, coverage, violations = zip(*seen, strict=True)
        if sum(steps) // self._every > self._printed:
            self._printed = sum(steps) // self._every
            print(
                f"  {self._workers} workers | step {sum(steps)}/{sum(limits)} | states at least "
                f"{max(states)} | coverage at least {max(coverage):.0%} | violations at least "
                f"{max(violations)}",
                flush=True,
            )

    def ended(self, worker_id: int, told: Found | str) -> None:
        """Print how a worker ended."""
        if self._every is None:
            return
        if isinstance(told, str):
            print(f"  worker {worker_id} failed: {told}", flush=True)
            return
        result = told.result
        print(
            f"  worker {worker_id} ended: {result.steps_executed} steps, {result.states_visited} "
            f"states, {len(result.violations)} violations",
            flush=True,
        )
