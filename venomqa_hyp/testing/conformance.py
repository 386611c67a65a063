"""The contract of ``Rollbackable`` as a test that the author of an adapter calls in one line.

    def test_my_adapter_keeps_the_contract():
        check_rollbackable(MyAdapter, mutate)

Each rule runs on a system of its own. A rule knows nothing of the system but its digests: after a
rollback the digest must be what it was when the handle was taken.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import attrs

from venomqa_hyp.core.observation import Observation
from venomqa_hyp.errors import RollbackError
from venomqa_hyp.values.digest import canonical_text
from venomqa_hyp.world.rollbackable import Handle, Rollbackable

#: Makes one real change, chosen with the given random numbers and nothing else.
Mutate = Callable[[Any, random.Random], None]

_CHANGES = 12


class ContractBroken(AssertionError):
    """An adapter breaks a rule of ``Rollbackable``.

    :ivar rule: the short name of the rule, such as ``rollback restores``.
    """

    def __init__(self, rule: str, what: str) -> None:
        super().__init__(f"rule {rule!r} is broken: {what}")
        self.rule = rule


def check_rollbackable(
    make_system: Callable[[], Any],
    mutate: Mutate | Sequence[Mutate],
    *,
    seed: int = 0,
    operations: int = 200,
) -> None:
    """Check that a system keeps the contract of ``Rollbackable``.

    :param make_system: returns a fresh system; called once per rule. Each is closed at the end.
    :param mutate: makes one change that must show in the observation. It gets the system and a
        ``random.Random``, and must take every choice from that. Given several, each is tried; mind
        updates and deletions, not only insertions.
    :param operations: length of the random sequence of the last rule.
    :raises ContractBroken: names the first rule that does not hold, and how to see it again.
    """
    mutations = [mutate] if callable(mutate) else list(mutate)
    for rule in _RULES:
        with _closed_at_the_end(make_system()) as system:
            rule(_Probe(system, mutations, random.Random(seed), operations))


@attrs.define
class _Probe:
    """A system, what changes it, and what every digest seen so far stood for."""

    system: Any
    mutations: Sequence[Mutate]
    random: random.Random
    operations: int
    texts: dict[str, str] = attrs.field(factory=dict)
    digests: dict[str, str] = attrs.field(factory=dict)

    def change(self, mutation: Mutate | None = None) -> None:
        (mutation or self.random.choice(self.mutations))(self.system, self.random)

    def fill(self) -> None:
        """Start from a system that holds something which can be changed in place."""
        for mutation in [*self.mutations, *self.mutations]:
            self.change(mutation)

    def observe(self) -> Observation:
        """Observe, and check that equal digests and equal data go together."""
        seen: Observation = self.system.observe()
        text = _data(seen)
        if self.texts.setdefault(seen.digest, text) != text:
            raise ContractBroken(
                "digest identifies data",
                f"digest {seen.digest} stood for two different contents. known_digest must depend "
                f"on everything in data:\n{_difference(self.texts[seen.digest], text)}",
            )
        if self.digests.setdefault(text, seen.digest) != seen.digest:
            raise ContractBroken(
                "digest identifies data",
                "equal data had two different digests. known_digest must depend on nothing but "
                f"data: no object ids, no counters, no order of sets:\n  {text[:300]}",
            )
        return seen

    def checkpoint(self) -> tuple[Handle, Observation]:
        handle = self.system.checkpoint("conformance")
        return handle, self.observe()

    def is_live(self, handle: Handle) -> bool:
        return not hasattr(self.system, "is_live") or bool(self.system.is_live(handle))

    def rollback(self, handle: Handle, expected: Observation, rule: str, when: str) -> None:
        """Roll back to a live handle and compare; dead ones must refuse."""
        if not self.is_live(handle):
            self._expect_refusal(handle)
            return
        try:
            self.system.rollback(handle)
        except Exception as error:
            raise ContractBroken(
                rule,
                f"{when}, rollback() raised {type(error).__name__}: {error}. A handle that cannot "
                "be rolled back to any more must say so: is_live(handle) returns False.",
            ) from error
        _expect_same(self.observe(), expected, rule, when)

    def _expect_refusal(self, handle: Handle) -> None:
        before = self.observe()
        try:
            self.system.rollback(handle)
        except RollbackError:
            _expect_same(
                self.observe(), before, "dead handle", "rollback() refused, yet changed the system"
            )
        except Exception as error:
            raise ContractBroken(
                "dead handle",
                f"rollback() to a handle that is not live raised {type(error).__name__} ({error}). "
                "Raise RollbackError.",
            ) from error
        else:
            raise ContractBroken(
                "dead handle",
                "is_live(handle) is False, and still rollback(handle) returned as if it had "
                "worked. Raise RollbackError.",
            )


def _has_the_methods(probe: _Probe) -> None:
    system = probe.system
    if not isinstance(system, Rollbackable):
        missing = [
            name for name in ("checkpoint", "rollback", "observe") if not hasattr(system, name)
        ]
        raise ContractBroken("methods", f"{type(system).__name__} has no {', '.join(missing)}().")
    if not isinstance(seen := system.observe(), Observation):
        raise ContractBroken("methods", f"observe() returned a {type(seen).__name__}.")


def _observing_changes_nothing(probe: _Probe) -> None:
    for _ in range(_CHANGES):
        first = probe.observe()
        for _ in range(2):
            when = "observe() twice in a row showed different states"
            _expect_same(probe.observe(), first, "observe has no effect", when)
        probe.change()


def _checkpointing_changes_nothing(probe: _Probe) -> None:
    for _ in range(_CHANGES):
        before = probe.observe()
        _, after = probe.checkpoint()
        when = "the state before and after checkpoint() differs"
        _expect_same(after, before, "checkpoint has no effect", when)
        probe.change()


def _changes_show(probe: _Probe) -> None:
    for mutation in [*probe.mutations, *probe.random.choices(probe.mutations, k=_CHANGES)]:
        before = probe.observe()
        probe.change(mutation)
        if probe.observe().digest == before.digest:
            raise ContractBroken(
                "changes show",
                "the system was changed and observe() shows the same as before. Observe contents, "
                "not counts or a sample; or mutate() made no real change. "
                f"Seen: {_data(before)[:200]}",
            )


def _observations_stay(probe: _Probe) -> None:
    early = probe.system.observe()
    digest_before = probe.observe().digest
    data_before = _data(probe.system.observe())
    for _ in range(_CHANGES):
        probe.change()
    if early.digest != digest_before or _data(early) != data_before:
        raise ContractBroken(
            "observations stay",
            "an Observation changed when the system changed later: it shares a list or dict with "
            "the store. Copy it: venomqa_hyp.core.snapshot(...).",
        )


def _rollback_restores(probe: _Probe) -> None:
    probe.fill()
    for changes in (1, 1, 3, _CHANGES):
        handle, expected = probe.checkpoint()
        for _ in range(changes):
            probe.change()
        when = f"after {changes} change(s) and rollback() the state is not that of the checkpoint"
        probe.rollback(handle, expected, "rollback restores", when)


def _rollback_repeats(probe: _Probe) -> None:
    probe.fill()
    handle, expected = probe.checkpoint()
    for time in range(1, 5):
        probe.change()
        when = f"at rollback number {time} to one handle"
        probe.rollback(handle, expected, "rollback repeats", when)
    probe.rollback(handle, expected, "rollback repeats", "at a rollback with no change before it")


def _rollback_goes_anywhere(probe: _Probe) -> None:
    taken = [probe.checkpoint()]
    for _ in range(5):
        probe.change()
        taken.append(probe.checkpoint())
    for index in (3, 1, 5, 0, 4, 2, 5):
        when = f"of six nested checkpoints, at the rollback to number {index + 1}"
        probe.rollback(*taken[index], "rollback goes anywhere", when)


def _behaviour_returns(probe: _Probe) -> None:
    for number in range(_CHANGES):
        handle, expected = probe.checkpoint()
        choices = probe.random.getstate()
        probe.change()
        first = probe.observe()
        probe.rollback(handle, expected, "rollback restores", "after one change")
        probe.random.setstate(choices)
        probe.change()
        when = (
            f"change {number + 1}, rolled back and made again alike, ended in another state. "
            "Something that observe() does not show is not rolled back (a counter, a sequence), or "
            "mutate() takes choices from elsewhere than the given random"
        )
        _expect_same(probe.observe(), first, "behaviour returns", when)


def _forgetting_spares_others(probe: _Probe) -> None:
    if not hasattr(probe.system, "forget"):
        return
    taken = []
    for _ in range(6):
        taken.append(probe.checkpoint())
        probe.change()
    for handle, _ in taken[1::2]:
        probe.system.forget(handle)
    for handle, expected in reversed(taken[::2]):
        when = "after other handles were forgotten"
        probe.rollback(handle, expected, "forget spares others", when)


def _random_sequences_hold(probe: _Probe) -> None:
    taken = [probe.checkpoint()]
    history: list[str] = []
    for number in range(probe.operations):
        operation = probe.random.choice(("change", "change", "checkpoint", "rollback", "forget"))
        history.append(operation)
        if operation == "change":
            probe.change()
        elif operation == "checkpoint":
            taken.append(probe.checkpoint())
        elif operation == "rollback":
            when = f"at operation {number + 1} of a random sequence ({', '.join(history[-8:])})"
            probe.rollback(*probe.random.choice(taken), "random sequence", when)
        elif len(taken) > 4 and hasattr(probe.system, "forget"):
            probe.system.forget(taken.pop(probe.random.randrange(len(taken)))[0])


def _close_twice(probe: _Probe) -> None:
    if not hasattr(probe.system, "close"):
        return
    for time in ("first", "second"):
        try:
            probe.system.close()
        except Exception as error:
            raise ContractBroken(
                "close twice", f"the {time} close() raised {type(error).__name__}: {error}."
            ) from error


_RULES = (
    _has_the_methods,
    _observing_changes_nothing,
    _observations_stay,
    _changes_show,
    _checkpointing_changes_nothing,
    _rollback_restores,
    _rollback_repeats,
    _rollback_goes_anywhere,
    _behaviour_returns,
    _forgetting_spares_others,
    _random_sequences_hold,
    _close_twice,
)


@contextmanager
def _closed_at_the_end(system: Any) -> Iterator[Any]:
    try:
        yield system
    finally:
        # A close() that raises breaks a rule of its own, and must not hide another.
        with suppress(Exception):
            system.close()


def _data(observation: Observation) -> str:
    return canonical_text(dict(observation.data))


def _expect_same(found: Observation, expected: Observation, rule: str, when: str) -> None:
    if found.digest != expected.digest:
        raise ContractBroken(rule, f"{when}.\n{_difference(_data(expected), _data(found))}")


def _difference(expected: str, found: str) -> str:
    pairs = enumerate(zip(expected, found, strict=False))
    differ = next((at for at, (one, other) in pairs if one != other), 0)
    part = slice(max(0, differ - 60), differ + 140)
    return f"  expected ...{expected[part]}\n  found    ...{found[part]}"
