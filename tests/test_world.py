"""The World moves as one: every system, the client and the context, or an error that names one."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from tiny_systems import Snapshots, Stack

from venomqa_hyp import Action, Checkpoint, Context, Invariant, Observation, Rollbackable, World
from venomqa_hyp.adapters.memory import MemoryAdapter
from venomqa_hyp.errors import (
    DefinitionError,
    RollbackError,
    ServerNotAnswering,
    WorldError,
)


class Client(MemoryAdapter):
    """An api client that remembers, and so takes part in checkpoints."""


def fail(error: BaseException) -> Callable[..., Any]:
    def execute(*arguments: Any) -> None:
        raise error

    return execute


def two_stores(**errors: list[BaseException | None]) -> tuple[World, Snapshots, Snapshots]:
    """Return a World of two systems, of which the second fails as told."""
    first, second = Snapshots(), Snapshots(**errors)
    return World(None, {"first": first, "second": second}), first, second


def test_everything_rolls_back_together() -> None:
    """Systems, client and context return to one moment, to earlier and to later ones."""
    api, store = Client(), Snapshots()
    world = World(api, {"store": store}, context={"ids": [1]})
    start = world.checkpoint("start")
    before = world.observe()
    api["cookie"] = store.data["row"] = "x"
    world.context["ids"].append(2)
    later, after = world.checkpoint("later"), world.observe()
    for checkpoint, state in ((start, before), (later, after), (start, before)):
        world.rollback(checkpoint)
        assert world.observe() == state
        assert world.context["ids"] == state.context["ids"]
    assert before != after
    assert list(after.observations) == ["api", "store"]


def test_each_part_tells_states_apart() -> None:
    """A change of the client, of a system or of the context is another state."""
    api, store = Client(), Snapshots()
    world = World(api, {"store": store})
    start = world.checkpoint()
    seen = {world.observe().id}
    for change in (
        lambda: api.update(a=1),
        lambda: store.data.update(a=1),
        lambda: world.context.update(a=1),
    ):
        change()
        seen.add(world.observe().id)
        world.rollback(start)
    assert len(seen) == 4
    assert world.observe().id in seen


def test_a_client_that_cannot_roll_back_takes_no_part() -> None:
    """An api needs no method of a system; without them all, it is left alone."""

    class Half:
        def checkpoint(self, name: str) -> None:
            raise AssertionError("asked for a checkpoint")

    world = World(Half())
    world.rollback(world.checkpoint())
    assert world.observe().observations == {}


def test_only_named_context_keys_tell_states_apart() -> None:
    """state_from_context limits what identifies a state; the rest still rolls back."""
    world = World(None, context={"id": 1}, state_from_context=["id", "missing"])
    start, before = world.checkpoint(), world.observe()
    world.context["token"] = "random"
    assert world.observe() == before
    world.context["id"] = 2
    assert world.observe() != before
    world.rollback(start)
    assert dict(world.context) == {"id": 1}


def test_two_systems_that_swap_contents_are_another_state() -> None:
    """Which system shows what counts."""
    world, first, second = two_stores()
    first.data["a"] = 1
    before = world.observe()
    first.data.clear()
    second.data["a"] = 1
    assert world.observe() != before


def test_context_is_a_mapping_with_set_and_delete() -> None:
    """Deleting what is not there is allowed by delete(), and an error by del."""
    world = World(None, context={"a": 1})
    context = world.context
    context.set("b", [1, 2])
    context["c"] = {3, 1}
    assert (context.get("a"), context.get("z"), context.get("z", 5)) == (1, None, 5)
    assert ("a" in context, "z" in context, len(context)) == (True, False, 3)
    assert list(context.items()) == [("a", 1), ("b", [1, 2]), ("c", {3, 1})]
    assert [context.values_under(key) for key in "abcz"] == [[1], [1, 2], [1, 3], []]
    context.delete("a")
    context.delete("a")
    with pytest.raises(KeyError):
        del context["a"]
    with pytest.raises(KeyError):
        context["a"]
    assert context.world is world
    assert repr(context) == "Context({'b': [1, 2], 'c': {1, 3}})"


def test_a_context_of_its_own_has_no_world() -> None:
    """Only the context of a World leads to one."""
    with pytest.raises(DefinitionError, match="stands alone"):
        _ = Context({"a": 1}).world


def test_context_keys_are_text() -> None:
    """Any other key is refused, with what to write instead."""
    with pytest.raises(DefinitionError) as caught:
        Context()[1] = "x"  # type: ignore[index]
    assert str(caught.value) == (
        "context key 1 is of type int, but keys are strings. Write context.set('1', ...)."
    )


def test_the_given_context_is_not_shared_with_the_caller() -> None:
    """A value changed later by the test module does not reach into the World."""
    given: dict[str, Any] = {"ids": [1]}
    world = World(None, context=given)
    given["ids"].append(2)
    assert world.context["ids"] == [1]


def test_a_value_that_cannot_roll_back_is_named() -> None:
    """The error names the key and says what to store instead, and no handle is left behind."""
    store = Snapshots()
    world = World(None, {"store": store}, context={"fine": 1})
    world.context["lock"] = threading.Lock()
    with pytest.raises(RollbackError) as caught:
        world.checkpoint()
    assert str(caught.value) == (
        "context['lock'] holds a lock that cannot be copied (cannot pickle '_thread.lock' object), "
        "so it cannot roll back. Store plain values: an id instead of the object."
    )
    assert store.live == {}


def test_a_failing_checkpoint_names_the_system_and_frees_the_others() -> None:
    """What was taken before the failure is forgotten, and the World goes on."""
    world, first, _ = two_stores(checkpoint=[OSError("disk full")])
    with pytest.raises(RollbackError) as caught:
        world.checkpoint()
    assert str(caught.value) == (
        "system 'second' (Snapshots) failed to checkpoint: OSError: disk full"
    )
    assert isinstance(caught.value.__cause__, OSError)
    assert first.live == {}
    world.rollback(world.checkpoint())


def test_what_a_failing_rollback_says_is_a_sentence() -> None:
    """A cause that ends with a full stop is not given a second one."""
    failing = Snapshots(rollback=[RollbackError('use Adapter(..., mode="template").')])
    world = World(None, {"first": Snapshots(), "db": failing})
    start = world.checkpoint("start")
    with pytest.raises(RollbackError) as caught:
        world.rollback(start)
    assert str(caught.value) == (
        "system 'db' (Snapshots) failed to roll back: RollbackError: "
        'use Adapter(..., mode="template"). Rolled back: first. Not rolled back: db.'
    )


def test_a_failing_rollback_names_the_system_and_breaks_the_world() -> None:
    """Half of the World rolled back is a state that never was: nothing works on it any more."""
    first, second, third = Snapshots(), Snapshots(rollback=[OSError("gone")]), Snapshots()
    world = World(None, {"first": first, "second": second, "third": third})
    start = world.checkpoint("start")
    with pytest.raises(RollbackError) as caught:
        world.rollback(start)
    message = (
        "system 'second' (Snapshots) failed to roll back: OSError: gone. "
        "Rolled back: first. Not rolled back: second, third."
    )
    assert str(caught.value) == message
    assert isinstance(caught.value.__cause__, OSError)
    uses: list[Callable[[], Any]] = [
        world.checkpoint,
        world.observe,
        world.check_ready,
        lambda: world.rollback(start),
        lambda: world.act(Action("nothing", lambda api, context: None)),
        lambda: world.check(Invariant("holds", lambda world: True)),
    ]
    for use in uses:
        with pytest.raises(RollbackError) as refused:
            use()
        assert str(refused.value) == f"this World is in an unknown state since: {message}"
    world.close()
    assert [system.closed for system in (first, second, third)] == [1, 1, 1]


def test_a_rollback_broken_off_by_hand_breaks_the_world() -> None:
    """Ctrl-C in the middle of a rollback leaves half of it done, so the World is refused too."""
    world, _, _ = two_stores(rollback=[KeyboardInterrupt()])
    start = world.checkpoint()
    with pytest.raises(KeyboardInterrupt):
        world.rollback(start)
    with pytest.raises(RollbackError, match="unknown state"):
        world.observe()


def test_a_failing_observation_names_the_system() -> None:
    """An adapter's own error arrives as a WorldError that says which one it was."""
    world, _, second = two_stores(observe=[OSError("gone"), ServerNotAnswering("no answer")])
    with pytest.raises(WorldError) as caught:
        world.observe()
    assert str(caught.value) == "system 'second' (Snapshots) failed to observe: OSError: gone"
    with pytest.raises(ServerNotAnswering, match="no answer"):
        world.observe()
    assert world.observe().observations["second"] == second.observe()


def test_a_system_that_returns_no_observation_is_named() -> None:
    """A user's first adapter returns a dict; the error says whose it was."""
    store = Snapshots()
    store.observe = lambda: {"a": 1}  # type: ignore[method-assign,assignment,return-value]
    with pytest.raises((DefinitionError, WorldError), match=r"'store'.*Observation"):
        World(None, {"store": store}).observe()


@pytest.mark.parametrize("method", ["forget", "is_live"])
def test_failures_of_optional_methods_name_the_system(method: str) -> None:
    """Also where a system fails to free a handle, or to say whether it lives."""
    world, _, second = two_stores()
    start = world.checkpoint()
    setattr(second, method, fail(OSError("gone")))
    with pytest.raises(
        WorldError, match=r"system 'second' \(Snapshots\) failed to .*OSError: gone"
    ):
        getattr(world, method)(start)


def test_liveness_needs_every_system() -> None:
    """A checkpoint is live while no system has lost it."""
    stack = Stack()
    world = World(None, {"stack": stack, "store": Snapshots()})
    first, second = world.checkpoint(), world.checkpoint()
    assert (world.is_live(first), world.is_live(second)) == (True, True)
    world.rollback(first)
    assert (world.is_live(first), world.is_live(second)) == (True, False)


def test_close_tries_everything_once() -> None:
    """Each failure is told, no system is left open, and a second close does nothing."""
    api, first, second = (Snapshots(close=[OSError(text)]) for text in ("api", "first", "second"))
    world = World(api, {"first": first, "second": second})
    with pytest.raises(WorldError) as caught:
        world.close()
    assert str(caught.value) == (
        "system 'first' (Snapshots) failed to close: OSError: first "
        "system 'second' (Snapshots) failed to close: OSError: second "
        "system 'api' (Snapshots) failed to close: OSError: api"
    )
    world.close()
    assert [system.closed for system in (api, first, second)] == [1, 1, 1]
    with pytest.raises(WorldError, match=r"^this World is closed; make a new one$"):
        world.observe()


def test_the_with_block_closes_and_keeps_the_first_error() -> None:
    """A failing close is a note on the error that was on its way."""
    with pytest.raises(LookupError, match="first") as caught, two_stores(close=[OSError("x")])[0]:
        raise LookupError("first")
    assert caught.value.__notes__ == [
        "While closing the World: system 'second' (Snapshots) failed to close: OSError: x"
    ]
    with pytest.raises(WorldError), two_stores(close=[OSError("x")])[0]:
        pass


class NoRollback:
    def checkpoint(self, name: str) -> int:
        return 0

    def observe(self) -> Observation:
        return Observation.create("x", {})


REFUSED: dict[str, tuple[Callable[[], World], str]] = {
    "system that lacks rollback": (
        lambda: World(None, {"db": NoRollback()}),  # type: ignore[dict-item]
        "system 'db' (NoRollback) has no method rollback, so the World could not set it back. A "
        "system has checkpoint(name) -> handle, rollback(handle) and observe() -> Observation; "
        "venomqa_hyp.testing.check_rollbackable tests one.",
    ),
    "systems in a list": (
        lambda: World(None, [1]),  # type: ignore[arg-type]
        "systems is [1] of type list, but it maps names to adapters. "
        'Write World(api, {"db": SQLiteAdapter("orders.db")}).',
    ),
    "a system for all systems": (
        lambda: World(None, MemoryAdapter()),  # type: ignore[arg-type]
        "systems is MemoryAdapter({}, name='memory') of type MemoryAdapter, but it maps names to "
        'adapters. Write World(api, {"db": SQLiteAdapter("orders.db")}).',
    ),
    "class for a system": (
        lambda: World(None, {"db": MemoryAdapter}),  # type: ignore[dict-item]
        "system 'db' is the class MemoryAdapter itself, but a system is an object of it. Write "
        "MemoryAdapter(...).",
    ),
    "address for a client": (
        lambda: World("http://127.0.0.1:8000"),
        "api is the text 'http://127.0.0.1:8000', which actions could call nothing on. Write "
        "World(HttpClient('http://127.0.0.1:8000'), systems), or give a client of your own.",
    ),
    "system named api": (
        lambda: World(None, {"api": Snapshots()}),
        "a system is named 'api', but system names are strings other than 'api' and 'context', "
        "which the World uses itself.",
    ),
    "keys in one text": (
        lambda: World(None, state_from_context="id"),
        "state_from_context is 'id', but it is a list of context keys. "
        'Write state_from_context=["order_id"].',
    ),
    "context that is no mapping": (
        lambda: World(None, context=["id"]),  # type: ignore[arg-type]
        "context is ['id'] of type list, but it maps keys to values. "
        'Write World(api, context={"order_id": 1}).',
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_the_whole_message(case: str) -> None:
    """What could not work is refused when the World is made."""
    make, message = REFUSED[case]
    with pytest.raises(DefinitionError) as caught:
        make()
    assert str(caught.value) == message


def test_systems_and_checkpoints_are_what_they_say() -> None:
    """The protocol is checked by its methods, and a checkpoint has its name."""
    assert isinstance(Snapshots(), Rollbackable)
    assert not isinstance(NoRollback(), Rollbackable)
    made = World(None).checkpoint("mine")
    assert isinstance(made, Checkpoint)
    assert made.name == "mine"
