"""Failures of earlier runs come back by action name and arguments, whatever else changed."""

import enum
import re
import shutil
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.stateful import Bundle, run_state_machine_as_test

from venomqa_hyp import Action, Context, Invariant, World, from_context, venom_machine
from venomqa_hyp.adapters import MemoryAdapter
from venomqa_hyp.errors import InvariantViolated
from venomqa_hyp.stateful import FailureFileWarning

Made = Callable[..., type[Any]]


def create(api: Any, context: Context, amount: int) -> None:
    """Create an order."""
    api["created"] = number = api.get("created", 0) + 1
    api[f"order {number}"] = amount
    context["orders"] = [*context.get("orders", []), number]


def refund(api: Any, context: Context, order: int, amount: int) -> None:
    """Give back more than there is."""
    api[f"order {order}"] -= amount


def nothing(api: Any, context: Context) -> None:
    """Do nothing."""


def refuse(api: Any, context: Context, order: int, amount: int) -> None:
    """Give back nothing, which mends the bug."""


def no_debt(world: World) -> str | None:
    """No order is paid back more than once."""
    owed = [key for key, value in world.api.items() if key.startswith("order") and value < 0]
    return f"{owed[0]} is below zero" if owed else None


AMOUNT = st.integers(1, 100)
CREATE = Action("create", create, arguments={"amount": AMOUNT})
GIVEN = {"order": from_context("orders"), "amount": AMOUNT}
REFUND = Action("refund", refund, arguments=GIVEN)


def kept_settings() -> settings:
    return settings(database=DirectoryBasedExampleDatabase("examples"), max_examples=100)


def run(actions: list[Action]) -> Any:
    """Run the machine once, with the files and the database of the current directory."""
    store = MemoryAdapter({})
    machine = venom_machine(World(store, {"store": store}), actions, [Invariant("debt", no_debt)])
    try:
        run_state_machine_as_test(machine, settings=kept_settings())
    finally:
        run.last = machine.last_run  # type: ignore[attr-defined]


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory in which the bug was found once."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvariantViolated):
        run([CREATE, REFUND])
    (saved,) = Path(".venomqa", "failures").glob("*.json")
    return saved


def test_a_failure_is_saved_as_its_steps(found: Path) -> None:
    """The file names actions and arguments, and nothing else of the code."""
    assert '"action": "create", "arguments": {"amount": 1}' in found.read_text()
    assert '"action": "refund"' in found.read_text()


@pytest.mark.parametrize(
    "actions",
    [
        [Action("another", nothing), CREATE, REFUND],
        [REFUND, CREATE],
        [CREATE, Action("zzz", nothing), REFUND, Action("a", nothing), Action("b", nothing)],
        [
            Action("create", create, arguments={"amount": st.integers(-5, 10**6)}),
            Action("refund", refund, arguments=GIVEN, description="Reworded.", max_calls=3),
        ],
    ],
    ids=["added", "reordered", "several", "reworded"],
)
def test_it_fails_first_whatever_was_added_or_reordered(found: Path, actions: list[Action]) -> None:
    """In a few executions, not by finding it again, and with the steps of the file."""
    shutil.rmtree("examples")  # what Hypothesis replays itself comes before the file
    with pytest.raises(InvariantViolated, match="order 1 is below zero") as caught:
        run(actions)
    assert f"Replayed from {found.absolute()}" in "\n".join(caught.value.__notes__)
    assert run.last.steps_executed < 70  # type: ignore[attr-defined]  # one test case and the file
    assert found.exists()


def test_a_failure_that_is_mended_is_noted_and_removed(found: Path) -> None:
    """The file goes, and the record says so."""
    run([CREATE, Action("refund", refuse, arguments=GIVEN)])
    assert run.last.fixed == (  # type: ignore[attr-defined]
        f"debt does not fail any more; {found.absolute()} is removed",
    )
    assert not found.exists()


@pytest.mark.filterwarnings("ignore::venomqa_hyp.stateful.IdleActionWarning")
@pytest.mark.parametrize(
    ("actions", "why"),
    [
        ([CREATE, Action("nothing", nothing)], "there is no action 'refund'"),
        (
            [
                CREATE,
                Action(
                    "refund",
                    lambda api, context, order, amount, reason: None,
                    arguments={**GIVEN, "reason": st.text()},
                ),
            ],
            "it has no value for 'reason' of 'refund'",
        ),
        (
            [CREATE, Action("refund", refund, arguments=GIVEN, preconditions=[lambda held: False])],
            "1 of its 2 steps cannot run any more",
        ),
    ],
    ids=["gone", "new argument", "disabled"],
)
def test_a_file_that_does_not_fit_says_why_and_stays(
    found: Path, actions: list[Action], why: str
) -> None:
    """Nothing is lost: the run goes on without it."""
    with pytest.warns(FailureFileWarning, match=why):
        run(actions)
    assert found.exists()


def test_a_broken_file_is_told_and_stays(found: Path) -> None:
    """What cannot be read is neither trusted nor deleted."""
    found.write_text("{")
    with pytest.warns(FailureFileWarning, match="Expecting"), pytest.raises(InvariantViolated):
        run([CREATE, Action("more", nothing), REFUND])
    assert found.read_text() == "{"


def test_without_a_database_there_are_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who keeps no examples keeps no failures."""
    monkeypatch.chdir(tmp_path)
    store = MemoryAdapter({})
    machine = venom_machine(
        World(store, {"store": store}), [CREATE, REFUND], [Invariant("debt", no_debt)]
    )
    with warnings.catch_warnings(), pytest.raises(InvariantViolated):
        run_state_machine_as_test(machine, settings=settings(database=None))
    assert list(tmp_path.iterdir()) == []


def make_order(api: Any, context: Context) -> str:
    key = str(uuid.uuid4())
    api[key] = 1
    context["orders"] = [*context.get("orders", []), key]
    return key


def pay_back(api: Any, context: Context, order: str, all_of_it: bool) -> None:
    api[order] -= all_of_it  # not in the simplest test case, which Hypothesis runs first


def no_key_is_low(world: World) -> bool:
    return min(world.api.values(), default=0) >= 0


@pytest.mark.parametrize("own_world", [True, False])
@pytest.mark.parametrize("by_bundle", [True, False])
def test_a_failure_with_random_ids_is_replayed_with_new_ones(
    by_bundle: bool, own_world: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An id of another run means nothing: the file says which of the ids it was."""
    monkeypatch.chdir(tmp_path)

    def make() -> World:
        store = MemoryAdapter({})
        return World(store, {"store": store})

    def run_once() -> Any:
        made = Bundle("made")
        order = made if by_bundle else from_context("orders")
        machine = venom_machine(
            make if own_world else make(),
            [
                Action("make_order", make_order, target=made if by_bundle else None),
                Action(
                    "pay_back", pay_back, arguments={"order": order, "all_of_it": st.booleans()}
                ),
            ],
            [Invariant("low", no_key_is_low)],
        )
        with pytest.raises(InvariantViolated) as caught:
            run_state_machine_as_test(machine, settings=kept_settings())
        return caught.value

    run_once()
    (saved,) = Path(".venomqa", "failures").glob("*.json")
    assert saved.read_text().count('"picks": {"order": 0}') == 2
    shutil.rmtree("examples")
    assert f"Replayed from {saved.absolute()}" in "\n".join(run_once().__notes__)
    saved.write_text(re.sub(r',\s*"picks": {"order": 0}', "", saved.read_text()))
    shutil.rmtree("examples")
    with pytest.warns(FailureFileWarning, match="is a random id, made in another run"):
        run_once()


class Size(enum.Enum):
    """Cannot be read back from a file without importing this."""

    SMALL = 1
    LARGE = 2


@attrs.frozen
class Parcel:
    """Nor can this."""

    size: Size
    weight: int


def send(api: Any, context: Context, size: Size, parcel: Parcel) -> None:
    api["sent"] = size is Size.LARGE and parcel.weight > 7


def test_values_that_no_file_can_hold_are_made_again_by_their_strategies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An enum member and a record are saved as the choices that made them."""
    monkeypatch.chdir(tmp_path)
    sizes = st.sampled_from(Size)

    def run_once(arguments: dict[str, Any]) -> Any:
        store = MemoryAdapter({"sent": False})
        machine = venom_machine(
            World(store, {"store": store}),
            [Action("send", send, arguments=arguments)],
            [Invariant("unsent", lambda world: not world.api["sent"])],
        )
        with pytest.raises(InvariantViolated) as caught:
            run_state_machine_as_test(machine, settings=kept_settings())
        shutil.rmtree("examples")
        return "\n".join(caught.value.__notes__)

    parcels = st.builds(Parcel, size=sizes, weight=st.integers(0, 100))
    run_once({"size": sizes, "parcel": parcels})
    (saved,) = Path(".venomqa", "failures").glob("*.json")
    assert '"choices": {"parcel": [0, 8], "size": [1]}' in saved.read_text()
    assert f"Replayed from {saved.absolute()}" in run_once({"size": sizes, "parcel": parcels})
    few = st.builds(Parcel, size=sizes, weight=st.just(8))
    with pytest.warns(FailureFileWarning, match="the choices for 'parcel' of 'send' do not fit"):
        run_once({"size": sizes, "parcel": few})
