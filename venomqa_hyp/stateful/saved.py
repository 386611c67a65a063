"""Failures of earlier runs: replayed first, by action name and arguments, and saved when confirmed.

Hypothesis's own database keeps choices, which mean something else once an action is added.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path

from hypothesis.errors import UnsatisfiedAssumption

from venomqa_hyp.core import Action
from venomqa_hyp.core.action import Argument
from venomqa_hyp.errors import DefinitionError, VenomError, WorldError
from venomqa_hyp.explore import (
    Choices,
    Diverged,
    Draft,
    Drawn,
    Given,
    Live,
    Picked,
    Rules,
    Taken,
    attempt,
)
from venomqa_hyp.stateful.definition import Definition
from venomqa_hyp.stateful.failure_files import (
    FailureFolder,
    SavedFailure,
    SavedStep,
    is_savable,
    read_failure,
)
from venomqa_hyp.stateful.failures import Finding, Status
from venomqa_hyp.stateful.internals import choices_of, choices_that_make, redraw
from venomqa_hyp.stateful.overrides import Replay, overrides
from venomqa_hyp.stateful.run import Run, StopRun
from venomqa_hyp.values import Knowledge
from venomqa_hyp.values.encoding import Unsaved


class FailureFileWarning(UserWarning):
    """A failure file could not be used, or not be written."""


def replay(run: Run, problems: list[Warning], *, is_kept: bool) -> None:
    """Execute saved failures before anything is generated, and save those to come.

    :param problems: as of :func:`save_confirmed`.
    :param is_kept: whether there are failure files.
    :raises StopRun: they cannot be executed.
    """
    __tracebackhide__ = True
    try:
        if chosen := overrides().replay:
            replay_one(run, chosen)
        elif run.definition.rollback and is_kept:
            folder = FailureFolder()
            save_confirmed(run, folder, problems)
            replay_saved(run, folder)
    except (WorldError, DefinitionError) as error:
        run.stopped = error
        raise StopRun from error


def replay_saved(run: Run, folder: FailureFolder) -> None:
    """Execute the saved failures of a machine, and take over those that still fail.

    A failure that does not show any more is noted as fixed, and its file removed. A file that does
    not fit any more is left alone, with a warning that says why.
    """
    __tracebackhide__ = True
    loaded = folder.load(run.definition.identity)
    for unreadable in loaded.unreadable:
        _warn(str(unreadable))
    for path, failure in loaded.failures:
        try:
            fails = _fails(run, path, failure)
        except _MisfitError as misfit:
            _warn(f"{path} does not fit any more: {misfit}")
            continue
        if not fails:
            try:
                folder.remove(path)
            except OSError as error:
                _warn(f"{failure.name} does not fail any more, but {path} is left: {error}")
                continue
            run.fixed.append(f"{failure.name} does not fail any more; {path} is removed")


def replay_one(run: Run, replay: Replay) -> None:
    """Execute one failure file, and raise what fails, or stop before a step; the file stays.

    :raises DefinitionError: the file does not fit the machine.
    """
    __tracebackhide__ = True
    path = replay.path
    saved = read_failure(path)
    if saved.machine != run.definition.identity:
        return
    try:
        if replay.stop is not None:
            _walk_to(run, saved, replay.stop)
            replay.on_stop(run.session.recorder.executor.world)
        elif not _fails(run, path, saved):
            run.fixed.append(f"{saved.name} does not fail any more; {path} is kept")
    except _MisfitError as misfit:
        raise DefinitionError(f"{path} does not fit this machine: {misfit}") from None


def unknown_name(definition: Definition, saved: SavedFailure) -> str:
    """Say that a machine has no action or invariant of the name that failed; else empty.

    Then nobody can say whether the failure still shows.
    """
    known = [*definition.actions, *(item.name for item in definition.invariants)]
    if saved.name in known:
        return ""
    return f"there is no action or invariant {saved.name!r}, only {', '.join(known)}"


def _walk_to(run: Run, saved: SavedFailure, stop: int) -> None:
    """Execute the steps before one of them, and leave the World there."""
    if not 1 <= stop <= len(saved.steps):
        raise DefinitionError(
            f"step {stop} was asked for, but the failure has the steps 1 to {len(saved.steps)}."
        )
    recorder = run.session.recorder
    rules, live = recorder.executor.rules, Live(recorder)
    for number, step in enumerate(saved.steps[: stop - 1], 1):
        draft = _draft(rules, number, step)
        if not rules.enables(live.at, draft.action, lambda: recorder.executor.world):
            raise _MisfitError(f"step {number}, {step.action}, cannot run any more")
        try:
            taken = live.take(draft)
        except UnsatisfiedAssumption:
            raise _MisfitError(f"step {number}, {step.action}, was rejected by assume") from None
        if taken is None:
            raise _MisfitError(f"step {number}, {step.action}, has nothing to pick from")


def save_confirmed(run: Run, folder: FailureFolder, problems: list[Warning]) -> None:
    """Write each failure of a run as soon as it is confirmed.

    :param problems: where warnings are errors, they are kept here: nothing may hide a failure.
    """

    def save(finding: Finding) -> None:
        failure = finding.failure
        saved = SavedFailure(
            machine=run.definition.identity,
            name=failure.name,
            severity=failure.severity.value,
            message=failure.message,
            steps=tuple(_saved_step(run, at.taken) for at in finding.path.path if at.taken),
            counterexample=finding.counterexample,
        )
        try:
            try:
                run.files[failure.name] = folder.save(saved)
            except (VenomError, OSError) as error:
                text = f"{failure.name} is not saved: {error}"
                warnings.warn(text, FailureFileWarning, stacklevel=2)
        except Warning as warning:
            problems.append(warning)

    run.ledger.on_confirmed = save


def _warn(text: str) -> None:
    warnings.warn(text, FailureFileWarning, stacklevel=3)


def _fails(run: Run, path: Path, saved: SavedFailure) -> bool:
    """Execute a saved failure, and hand it to the run if it still shows."""
    __tracebackhide__ = True
    if unknown := unknown_name(run.definition, saved):
        raise _MisfitError(unknown)
    recorder = run.session.recorder
    rules = recorder.executor.rules
    drafts = [_draft(rules, number, step) for number, step in enumerate(saved.steps)]
    try:
        found = attempt(recorder, drafts)
    except Diverged as diverged:
        raise _MisfitError(f"its steps do not repeat: {diverged}") from None
    if not found.failures:
        if left_out := len(drafts) - len(found):
            raise _MisfitError(f"{left_out} of its {len(drafts)} steps cannot run any more")
        return False
    for finding in run.settler.see(found.failures, found.end):
        if finding.status is Status.SEEN:
            confirmed = run.settler.confirm(finding)
            if confirmed.status is Status.REFUTED:
                raise _MisfitError(
                    f"{saved.name} failed, but not when the same steps were executed again"
                )
            confirmed.error.add_note(f"Replayed from {path}")
            run.steering.note_saved(confirmed)
    return True


class _MisfitError(Exception):
    """Says why a saved step cannot be executed."""


def _draft(rules: Rules, number: int, saved: SavedStep) -> Draft:
    action = rules.actions.get(saved.action)
    if action is None:
        raise _MisfitError(
            f"there is no action {saved.action!r}, only {', '.join(sorted(rules.actions))}. If "
            "it was renamed, write the new name into the file; if it is gone, delete the file."
        )
    given: dict[str, Given] = {}
    for name, strategy in action.arguments.items():
        source = rules.sources[action.name].get(name)
        if source is not None and name in saved.picks:
            given[name] = Picked(source.pool, saved.picks[name])
        elif source is not None and Knowledge().atoms_in(saved.arguments.get(name)):
            raise _MisfitError(f"{name!r} of {saved.action!r} is a random id, made in another run")
        else:
            given[name] = _drawn(action, name, strategy, saved)
    return Draft(action, given, number)


def _drawn(action: Action, name: str, strategy: Argument, saved: SavedStep) -> Drawn:
    if name not in saved.arguments:
        raise _MisfitError(f"it has no value for {name!r} of {saved.action!r}")
    value = saved.arguments[name]
    if not isinstance(value, Unsaved):
        return Drawn(value, choices_that_make(strategy, value) or ())
    made = redraw(strategy, saved.choices.get(name, ()))
    if made is None:
        raise _MisfitError(f"the choices for {name!r} of {saved.action!r} do not fit")
    return made


def saved_drafts(rules: Rules, saved: SavedFailure) -> list[Draft]:
    """Return the steps of a saved failure, to execute them.

    :raises DefinitionError: the machine has not the actions of the failure any more.
    """
    try:
        return [_draft(rules, number, step) for number, step in enumerate(saved.steps)]
    except _MisfitError as misfit:
        raise DefinitionError(f"the failure does not fit any more: {misfit}") from None


def _saved_step(run: Run, taken: Taken) -> SavedStep:
    step = taken.step
    return SavedStep(step.action, dict(step.arguments), _choices(run, taken), taken.picks)


def _choices(run: Run, taken: Taken) -> Mapping[str, Choices]:
    """Return the choices that make the arguments which a file cannot hold."""
    action, known = taken.draft.action, choices_of(taken)
    found: dict[str, Choices] = {}
    for name, value in taken.step.arguments.items():
        if name in taken.picks or is_savable(value):
            continue
        choices = known.get(name) or choices_that_make(action.arguments[name], value)
        if choices:
            found[name] = choices
    return found
