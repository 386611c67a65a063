"""Failures of earlier runs: replayed first, by action name and arguments, and saved at the end.

Hypothesis's own database keeps choices, which mean something else once an action is added.
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from venomqa_hyp.core import Step, names_in
from venomqa_hyp.core.encoding import Unsaved
from venomqa_hyp.errors import DivergenceError, VenomError
from venomqa_hyp.explore import (
    Choices,
    Draft,
    Drawn,
    Given,
    Picked,
    Recorder,
    picked,
    pool_of,
    rehearse,
)
from venomqa_hyp.stateful.failure_files import FailureFolder, SavedFailure, SavedStep, is_savable
from venomqa_hyp.stateful.internals import redraw
from venomqa_hyp.stateful.run import Run
from venomqa_hyp.stateful.walk import LiveWalk, Outcome, RehearsedWalk


class FailureFileWarning(UserWarning):
    """A failure file could not be used, or not be written."""


def replay_saved(run: Run, folder: FailureFolder) -> None:
    """Execute the saved failures of a machine, and let the run tell of those that still fail.

    A failure that does not show any more is reported as fixed, and its file removed. A file that
    does not fit any more is left alone, with a warning that says why.
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
            print(f"Fixed: {failure.name} does not fail any more; {path} is removed.")


def save_failures(run: Run, folder: FailureFolder) -> None:
    """Write the failures that were told of in a run."""
    for origin, violation in run.told.items():
        path, outcomes = violation.reproduction_path, run.outcomes[origin]
        failure = SavedFailure(
            machine=run.definition.identity,
            name=violation.name,
            severity=violation.severity.value,
            message=violation.message,
            steps=_saved_steps(run, path, outcomes),
        )
        try:
            folder.save(failure)
        except (VenomError, OSError) as error:
            warnings.warn(
                f"{violation.name} is not saved: {error}", FailureFileWarning, stacklevel=2
            )


def _warn(text: str) -> None:
    warnings.warn(text, FailureFileWarning, stacklevel=3)


def _fails(run: Run, path: Path, saved: SavedFailure) -> bool:
    """Execute a saved failure, and hand it to the run if it still shows."""
    __tracebackhide__ = True
    drafts = [_draft(run.recorder, number, step) for number, step in enumerate(saved.steps)]
    try:
        rehearsal = rehearse(run.recorder, drafts)
    except DivergenceError as error:
        raise _MisfitError(f"its steps do not repeat: {error}") from None
    if rehearsal.failure is None:
        if left_out := len(drafts) - len(rehearsal.steps):
            raise _MisfitError(f"{left_out} of its {len(drafts)} steps cannot run any more")
        return False
    rehearsed = RehearsedWalk(run.recorder.graph.initial, rehearsal.steps)
    walk = LiveWalk(run)
    shown = run.failing(walk, rehearsed.path, rehearsed.outcomes)
    if shown is None:
        raise _MisfitError(f"{saved.name} failed, but not when the same steps were executed again")
    failure, raised = shown
    told = "\n".join(f"  {step}" for step in walk.path)
    raised.add_note(f"Replayed from {path}:\n{told}")
    run.report(failure, walk, raised, final=True)
    run.reduction.remember(failure, raised)
    return True


class _MisfitError(Exception):
    """Says why a saved step cannot be executed."""


def _draft(recorder: Recorder, number: int, saved: SavedStep) -> Draft:
    action = recorder.actions.get(saved.action)
    if action is None:
        raise _MisfitError(
            f"there is no action {saved.action!r}, only {', '.join(sorted(recorder.actions))}. If "
            "it was renamed, write the new name into the file; if it is gone, delete the file."
        )
    given: dict[str, Given] = {}
    for name, strategy in action.arguments.items():
        pool = pool_of(strategy)
        if pool is not None and name in saved.picks:
            given[name] = Picked(pool, saved.picks[name])
        elif pool is not None and any(names_in(saved.arguments.get(name))):
            raise _MisfitError(f"{name!r} of {saved.action!r} is a random id, made in another run")
        elif pool is None and isinstance(saved.arguments.get(name), Unsaved):
            made = redraw(strategy, saved.choices.get(name, ()))
            if made is None:
                raise _MisfitError(f"the choices for {name!r} of {saved.action!r} do not fit")
            given[name] = made
        elif name in saved.arguments and not isinstance(saved.arguments[name], Unsaved):
            given[name] = Drawn(saved.arguments[name], ())
        else:
            raise _MisfitError(f"it has no value for {name!r} of {saved.action!r}")
    return Draft(number, action, given)


def _saved_steps(
    run: Run, path: tuple[Step, ...], outcomes: Sequence[Outcome]
) -> tuple[SavedStep, ...]:
    recorder = run.recorder
    made = [(item.context, item.value) for item in outcomes]
    picks = picked(recorder.actions, recorder.graph.initial, path, made)
    return tuple(
        SavedStep(step.action, dict(step.arguments), _choices(run, step), taken)
        for step, taken in zip(path, picks, strict=True)
    )


def _choices(run: Run, step: Step) -> Mapping[str, Choices]:
    """Return the choices that make the arguments which a file cannot hold."""
    action = run.definition.actions[step.action]
    found: dict[str, Choices] = {}
    for name, value in step.arguments.items():
        if pool_of(action.arguments[name]) is not None or is_savable(value):
            continue
        if (choices := run.reduction.choices_of(action, name, value)) is not None:
            found[name] = choices
    return found
