"""check_rollbackable passes sound systems and names the rule that a broken one breaks."""

import itertools
import random
from typing import Any

import pytest

from venomqa_hyp.core.observation import Observation
from venomqa_hyp.errors import RollbackError
from venomqa_hyp.testing import ContractBroken, check_rollbackable


class Sound:
    """A list of orders with an id counter; the base of the broken ones."""

    def __init__(self) -> None:
        self.orders: list[dict[str, Any]] = []
        self.next_id = 1

    def add(self, amount: int) -> None:
        self.orders.append({"id": self.next_id, "amount": amount})
        self.next_id += 1

    def checkpoint(self, name: str) -> Any:
        return [dict(order) for order in self.orders], self.next_id

    def rollback(self, handle: Any) -> None:
        orders, self.next_id = handle
        self.orders = [dict(order) for order in orders]

    def observe(self) -> Observation:
        return Observation.create("orders", {"orders": [dict(order) for order in self.orders]})


class Stack(Sound):
    """Savepoints: a rollback destroys all later ones."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[tuple[int, Any]] = []
        self.numbers = itertools.count()

    def checkpoint(self, name: str) -> Any:
        number = next(self.numbers)
        self.stack.append((number, super().checkpoint(name)))
        return number

    def is_live(self, handle: Any) -> bool:
        return any(number == handle for number, _ in self.stack)

    def rollback(self, handle: Any) -> None:
        if not self.is_live(handle):
            raise RollbackError(f"savepoint {handle} does not exist")
        while self.stack[-1][0] != handle:
            self.stack.pop()
        super().rollback(self.stack[-1][1])

    def forget(self, handle: Any) -> None:
        self.stack = [entry for entry in self.stack if entry[0] != handle]


def insert(system: Sound, chance: random.Random) -> None:
    system.add(chance.randrange(1000))


def update(system: Sound, chance: random.Random) -> None:
    if not system.orders:
        system.add(1)
    chance.choice(system.orders)["amount"] += chance.randrange(1, 9)


class ShallowCheckpoint(Sound):
    def checkpoint(self, name: str) -> Any:
        return list(self.orders), self.next_id


class SharedOnRollback(Sound):
    def rollback(self, handle: Any) -> None:
        self.orders, self.next_id = handle


class CountsOnly(Sound):
    def observe(self) -> Observation:
        return Observation.create("orders", {"count": len(self.orders)})


class SharesItsRows(Sound):
    def observe(self) -> Observation:
        return Observation.create("orders", {"orders": self.orders})


class ForgetsTheCounter(Sound):
    def rollback(self, handle: Any) -> None:
        self.orders = [dict(order) for order in handle[0]]


class OneSlot(Sound):
    def checkpoint(self, name: str) -> Any:
        self.slot = super().checkpoint(name)
        return "slot"

    def rollback(self, handle: Any) -> None:
        super().rollback(self.slot)


class RollbackDoesNothing(Sound):
    def rollback(self, handle: Any) -> None:
        pass


class ObserveConsumes(Sound):
    def observe(self) -> Observation:
        seen = super().observe()
        self.orders = self.orders[:-1]
        return seen


class CheckpointChanges(Sound):
    def checkpoint(self, name: str) -> Any:
        handle = super().checkpoint(name)
        self.add(0)
        return handle


class SilentOnDead(Stack):
    def rollback(self, handle: Any) -> None:
        if self.is_live(handle):
            super().rollback(handle)


class KeyErrorOnDead(Stack):
    def rollback(self, handle: Any) -> None:
        if not self.is_live(handle):
            raise KeyError(handle)
        super().rollback(handle)


class DeadNotAdmitted(Stack):
    def is_live(self, handle: Any) -> bool:
        return True

    def rollback(self, handle: Any) -> None:
        if not Stack.is_live(self, handle):
            raise RollbackError("savepoint does not exist")
        super().rollback(handle)


class OnceOnly(Sound):
    def rollback(self, handle: Any) -> None:
        orders, self.next_id = handle
        self.orders = orders[:]
        orders.clear()


class ForgetClearsAll(Stack):
    def rollback(self, handle: Any) -> None:
        Sound.rollback(self, dict(self.stack)[handle])

    def forget(self, handle: Any) -> None:
        self.stack = []

    def is_live(self, handle: Any) -> bool:
        return True


class DigestOfIdentity(Sound):
    def observe(self) -> Observation:
        data = {"orders": [dict(order) for order in self.orders]}
        return Observation.create("orders", data, known_digest=str(random.random()))


class ConstantDigest(Sound):
    def observe(self) -> Observation:
        data = {"orders": [dict(order) for order in self.orders]}
        return Observation.create("orders", data, known_digest="0")


class ClosesOnce(Sound):
    closed = False

    def close(self) -> None:
        if self.closed:
            raise ValueError("closed already")
        self.closed = True


class NoObserve:
    def checkpoint(self, name: str) -> Any: ...

    def rollback(self, handle: Any) -> None: ...


@pytest.mark.parametrize("system", [Sound, Stack])
def test_sound_systems_pass(system: Any) -> None:
    """Free handles and a stack of savepoints both keep the contract."""
    for seed in range(5):
        check_rollbackable(system, [insert, update], seed=seed)


def test_one_mutation_is_enough() -> None:
    """mutate may be a single callable."""
    check_rollbackable(Sound, insert)


@pytest.mark.parametrize(
    ("system", "rule", "words"),
    [
        (ShallowCheckpoint, "rollback restores", "not that of the checkpoint"),
        (SharedOnRollback, "rollback repeats", "rollback number 2"),
        (CountsOnly, "changes show", "Observe contents, not counts"),
        (SharesItsRows, "observations stay", "Copy it"),
        (ForgetsTheCounter, "behaviour returns", "a counter, a sequence"),
        (OneSlot, "rollback goes anywhere", "six nested checkpoints"),
        (RollbackDoesNothing, "rollback restores", "after 1 change"),
        (ObserveConsumes, "observe has no effect", "twice in a row"),
        (CheckpointChanges, "checkpoint has no effect", "before and after checkpoint"),
        (SilentOnDead, "dead handle", "returned as if it had worked"),
        (KeyErrorOnDead, "dead handle", "raised KeyError"),
        (DeadNotAdmitted, "rollback goes anywhere", "must say so: is_live"),
        (OnceOnly, "rollback repeats", "rollback number 2"),
        (ForgetClearsAll, "forget spares others", "other handles were forgotten"),
        (DigestOfIdentity, "digest identifies data", "two different digests"),
        (ConstantDigest, "digest identifies data", "two different contents"),
        (ClosesOnce, "close twice", "second close"),
        (NoObserve, "methods", r"NoObserve has no observe\(\)"),
    ],
)
def test_broken_system_is_caught_with_its_rule(system: Any, rule: str, words: str) -> None:
    """Each broken adapter breaks the rule it was made to break, and no earlier one."""
    with pytest.raises(ContractBroken, match=words) as caught:
        check_rollbackable(system, [insert, update])
    assert caught.value.rule == rule
    assert isinstance(caught.value, AssertionError)
    assert f"rule '{rule}' is broken" in str(caught.value)


def test_mutation_that_changes_nothing_is_named() -> None:
    """A mutate that does nothing cannot let a system pass."""
    with pytest.raises(ContractBroken, match=r"mutate\(\) made no real change"):
        check_rollbackable(Sound, lambda system, chance: None)
