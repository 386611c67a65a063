"""Writes the exports of a failure, and executes each of them once."""

import os
import shutil
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from venomqa_hyp.core import Invariant, Violation
from venomqa_hyp.core.action import is_async
from venomqa_hyp.core.script import CHECK, SETUP, Script
from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.explore.counterexample.names import RANDOM_ID
from venomqa_hyp.exports.verify import Trial, failure_file
from venomqa_hyp.reporters.exports import Export, Reference, to_har, to_pytest, to_shell
from venomqa_hyp.reporters.exports.heading import NOT_VERIFIED, identifier
from venomqa_hyp.stateful.definition import awaited_world
from venomqa_hyp.stateful.failure_files import FailureFolder
from venomqa_hyp.world import World

_NO_WORLD = "not verified: no function that opens a fresh World was given"
_FORMS = ("pytest", "shell", "har", "failure file")


@attrs.frozen
class Exported:
    """One export of a failure.

    :ivar form: ``"pytest"``, ``"shell"``, ``"har"`` or ``"failure file"``.
    :ivar path: the file; ``None`` where none was written.
    :ivar verdict: ``"reproduces: ..."``, or ``"not verified: ..."`` with the reason.
    """

    form: str
    path: Path | None
    verdict: str

    @property
    def reproduces(self) -> bool:
        """Whether it was executed against a fresh World, and failed there."""
        return self.verdict.startswith("reproduces")

    def __str__(self) -> str:
        return f"{self.form}: {self.path or 'no file'}: {self.verdict}"


def export(
    violation: Violation,
    folder: str | os.PathLike[str] = "exports",
    *,
    world: Callable[[], World] | None = None,
    invariants: Iterable[Invariant] = (),
    machine: Any = None,
    forms: Iterable[str] = _FORMS,
) -> tuple[Exported, ...]:
    """Write a failure as files that show it again, and execute each once against a fresh World.

    :param folder: made if it is missing; files of the same names are replaced.
    :param world: returns a fresh World; that of the machine by default. Without one, nothing is
        executed.
    :param invariants: those of the run; those of the machine by default.
    :param machine: what ``venom_machine`` returned. Without it there is no failure file.
    :param forms: of ``"pytest"``, ``"shell"``, ``"har"`` and ``"failure file"``.
    :raises DefinitionError: an argument cannot work.
    """
    chosen = _checked(forms)
    definition = _definition(machine)
    opener = world or (definition.world if definition is not None else None)
    opener = opener if callable(opener) else None
    known = [*invariants, *(definition.invariants if definition is not None else ())]
    rule = next((item for item in known if item.name == violation.name), None)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    writer = _Files(violation, target, opener, rule)
    return tuple(
        writer.failure_file(definition) if form == "failure file" else writer.write(form)
        for form in chosen
    )


class _Files:
    """Writes the files of one failure."""

    def __init__(
        self,
        violation: Violation,
        folder: Path,
        open_world: Callable[[], World] | None,
        rule: Invariant | None,
    ) -> None:
        self._violation = violation
        self._folder = folder
        self._open_world = self._source = open_world
        if open_world is not None and is_async(open_world):
            self._open_world = partial(awaited_world, open_world)
            self._source = None  # the files run without an event loop
        self._rule = rule
        self._stem = identifier(violation.name)
        self._known: Export | None = None

    def write(self, form: str) -> Exported:
        """Write one form, execute it, and write it again with what was seen."""
        found = self._violation.counterexample
        if found is None or found.script is None:
            why = "was not confirmed" if found is None else "sent no request"
            return Exported(form, None, f"not verified: the path {why}")
        if not found.script.steps:
            return Exported(form, None, f"not verified: {'; '.join(found.script.obstacles)}")
        made = self._export
        written = self._written(form, made)
        if made.checks_rule and form == "pytest" and not written.reproduces:
            plain = self._written(form, attrs.evolve(made, rule=None))
            return plain if plain.reproduces else self._written(form, made)
        return written

    def _written(self, form: str, made: Export) -> Exported:
        name, render = _RENDERERS[form]
        path = self._folder / name.format(self._stem)
        try:
            path.write_text(render(made), encoding="utf-8")
        except DefinitionError as error:  # what it needs is not installed
            return Exported(form, None, f"not verified: {error}")
        verdict = self._verdict(form, path, made)
        path.write_text(render(attrs.evolve(made, verdict=verdict)), encoding="utf-8")
        if form == "shell":
            path.chmod(0o755)
        return Exported(form, path, verdict)

    def failure_file(self, definition: Any) -> Exported:
        """Copy the failure file of this failure, and replay it."""
        form = "failure file"
        if definition is None:
            return Exported(form, None, "not verified: no machine was given")
        names = [step.action for step in self._violation.reproduction_path]
        saved = FailureFolder().load(definition.identity).failures
        files = [
            path
            for path, failure in saved
            if failure.name == self._violation.name
            and [step.action for step in failure.steps] == names
        ]
        if not files:
            return Exported(form, None, "not verified: there is none in .venomqa/failures")
        path = self._folder / f"{self._stem}.json"
        shutil.copyfile(files[0], path)
        open_world = self._open_world
        if open_world is None:
            return Exported(form, path, _NO_WORLD)
        name = self._violation.name
        verdict = _tried(lambda: failure_file(path, name, definition, open_world))
        return Exported(form, path, verdict)

    @property
    def _export(self) -> Export:
        if self._known is None:
            found = self._violation.counterexample
            assert found is not None
            assert found.script is not None
            reads_wire = any(step.role == CHECK for step in found.script.steps)
            rule = None if reads_wire else _reference_to_rule(self._rule, self._source)
            script = found.script
            if self._open_world is not None:
                script = with_created(script, self._open_world)
            found = attrs.evolve(found, script=script)
            names = {step.action for step in self._violation.reproduction_path}
            world = _reference(self._source)
            is_of_rule = self._violation.name not in names
            self._known = Export(found, NOT_VERIFIED, rule, world, is_of_rule)
        return self._known

    def _verdict(self, form: str, path: Path, made: Export) -> str:
        if self._open_world is None:
            return _NO_WORLD
        if made.is_of_rule and self._rule is None:
            return f"not verified: {self._violation.name} is not among the invariants given"
        is_in_world = form == "pytest" and made.checks_rule
        if made.script.obstacles and not is_in_world:
            return f"not verified: {'; '.join(made.script.obstacles)}"
        trial = Trial(made.script, self._open_world, self._rule)
        if form == "pytest":
            return _tried(lambda: trial.pytest(path, opens_world=is_in_world))
        return _tried(lambda: trial.shell(path) if form == "shell" else trial.har(path))


_RENDERERS: dict[str, tuple[str, Callable[[Export], str]]] = {
    "pytest": ("test_{}.py", to_pytest),
    "shell": ("{}.sh", to_shell),
    "har": ("{}.har", to_har),
}


def _tried(execute: Callable[[], str]) -> str:
    try:
        return execute()
    except Exception as error:  # a World of the user's may raise anything
        return f"not verified: {type(error).__name__}: {error}"


def with_created(script: Script, open_world: Callable[[], World]) -> Script:
    """Return a script in which the client makes the ids anew that opening a World makes anew.

    Those are the random ids that it sends, and no reply made, and another World does not send.
    """
    sent = {found for step in script.steps if step.role == SETUP for found in _ids(step)}
    if not sent:
        return script
    with open_world() as world:
        again = repr([(str(r.url), r.request_headers, r.request_body) for r in world.api.history])
    fresh = sorted(text for text in sent if text not in again)
    names = {text: f"{{new_{number}}}" for number, text in enumerate(fresh, 1)}

    def renamed(value: Any) -> Any:
        if isinstance(value, str):
            for text, name in names.items():
                value = value.replace(text, name)
            return value
        if isinstance(value, dict):
            return {renamed(key): renamed(item) for key, item in value.items()}
        return type(value)(map(renamed, value)) if isinstance(value, (list, tuple)) else value

    steps = tuple(
        attrs.evolve(
            step, url=renamed(step.url), headers=renamed(step.headers), body=renamed(step.body)
        )
        for step in script.steps
    )
    return attrs.evolve(script, steps=steps, created=tuple(name[1:-1] for name in names.values()))


def _ids(step: Any) -> list[str]:
    return RANDOM_ID.findall(f"{step.url} {step.headers} {step.body}")


def _reference(item: Any) -> Reference | None:
    """Return how a function of a module is imported."""
    module, name = getattr(item, "__module__", None), getattr(item, "__qualname__", "")
    if module in (None, "__main__") or getattr(sys.modules.get(module), name, None) is not item:
        return None
    return Reference(module, name)


def _reference_to_rule(rule: Invariant | None, *beside: Any) -> Reference | None:
    """Return how an invariant is imported: from the module of its check, or of another object."""
    for item in (getattr(rule, "check", None), *beside):
        module = getattr(item, "__module__", None)
        if rule is None or module in (None, "__main__") or module not in sys.modules:
            continue
        names = (name for name, value in vars(sys.modules[module]).items() if value is rule)
        if (name := next(names, None)) is not None:
            return Reference(module, name)
    return None


def _checked(forms: Iterable[str]) -> tuple[str, ...]:
    chosen = (forms,) if isinstance(forms, str) else tuple(forms)
    for form in chosen:
        if form not in _FORMS:
            raise DefinitionError(
                f"forms holds {form!r}, but the forms are {', '.join(map(repr, _FORMS))}. "
                'Write forms=["pytest", "shell"].'
            )
    return chosen


def _definition(machine: Any) -> Any:
    if machine is None:
        return None
    definition = getattr(machine, "venom_definition", None)
    if definition is None:
        raise DefinitionError(
            f"machine is {machine!r:.60}, but it must be what venom_machine returned, not its "
            "TestCase. Write machine = venom_machine(...), and export(..., machine=machine)."
        )
    return definition
