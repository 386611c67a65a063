"""What the values that Hypothesis holds are called in the World."""

from collections.abc import Mapping

from venomqa_hyp.core import Step
from venomqa_hyp.explore import Position, Source
from venomqa_hyp.values import Name, Sealed, rename


class Aliases:
    """The names of one test case, whose steps were recorded on other paths."""

    def __init__(self) -> None:
        self._names: dict[Name, Name] = {}

    def __bool__(self) -> bool:
        return bool(self._names)

    def add(self, names: Mapping[Name, Name]) -> None:
        """Take over what names became where the World is now."""
        known = {given: names.get(now, now) for given, now in self._names.items()}
        self._names = {**names, **known}

    def between(self, before: Position, now: Position, names: dict[Name, Name]) -> None:
        """Take over what the values of a path are called where a step was taken.

        :param names: what fresh atoms are called there.
        """
        if not names:
            return
        for pool, entries in before.pools.items():
            values = {entry.owner: entry.value for entry in now.pools.get(pool, ())}
            for entry in entries:
                other = values.get(entry.owner, entry.value)
                if isinstance(entry.value, str) and entry.value != other:
                    names[f"i{entry.value}"] = f"i{other}"  # as a whole, for it may be signed
        self.add(names)

    def renamed(self, step: Step, sources: Mapping[str, Source]) -> Step:
        """Return a step with the names that what Hypothesis holds has here."""
        if not self._names:
            return step
        arguments = dict(step.arguments)
        for name, value in step.arguments.items():
            source = sources.get(name)
            if source is None or source.pool.startswith("bundle:"):
                try:
                    arguments[name] = rename(value, self._names)
                except Sealed:
                    continue
        return Step(step.action, arguments)
