"""Execute a saved failure in a fresh World, and look at what it leads to."""

from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from venomqa_hyp.core import Counterexample, Path
from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.explore import Failure, Transcript, attempt_live, counterexample_of
from venomqa_hyp.stateful.definition import Definition
from venomqa_hyp.stateful.failure_files import SavedFailure
from venomqa_hyp.stateful.run import Run
from venomqa_hyp.stateful.saved import saved_drafts, unknown_name
from venomqa_hyp.world import World


@attrs.frozen(eq=False)
class Replayed:
    """The World after the steps of a saved failure.

    :ivar steps: those that were executed.
    :ivar left_out: how many of those that were asked for cannot run any more.
    :ivar counterexamples: one for each failure that shows now.
    """

    world: World
    steps: Path
    left_out: int
    counterexamples: tuple[Counterexample, ...]


@contextmanager
def replayed(
    definition: Definition, saved: SavedFailure, steps: int | None = None
) -> Iterator[Replayed]:
    """Execute the steps of a failure, and keep the World as it is then for the length of the block.

    :param steps: how many of them; all by default.
    :raises DefinitionError: the machine has not the actions of the failure any more.
    """
    if unknown := unknown_name(definition, saved):
        raise DefinitionError(f"the failure does not fit this machine: {unknown}.")
    run = Run(definition)
    try:
        recorder = run.session.recorder
        drafts = saved_drafts(recorder.executor.rules, saved)[:steps]
        transcript = Transcript()
        found = attempt_live(recorder, drafts, transcript=transcript)
        shown = [_counterexample(definition, item, transcript) for item in found.failures]
        left_out = 0 if shown else len(drafts) - len(found)
        yield Replayed(recorder.executor.world, found.end.steps, left_out, tuple(shown))
    finally:
        run.close()


def _counterexample(
    definition: Definition, failure: Failure, transcript: Transcript
) -> Counterexample:
    rules = definition.invariants
    described = next((rule.description for rule in rules if rule.name == failure.rule), "")
    return counterexample_of(failure, transcript, described, shortened=False)
