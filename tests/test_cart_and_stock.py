"""The example over PostgreSQL, Redis and mail: a bug that lies between two stores."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import servers
from hypothesis import seed, settings
from hypothesis.stateful import run_state_machine_as_test

from venomqa_hyp import BFS, DFS, Novelty, World, venom_machine
from venomqa_hyp.errors import InvariantViolated

pytest.importorskip("flask")
EXAMPLE = Path(__file__).parent.parent / "examples" / "cart_and_stock"


@pytest.fixture(scope="module")
def example() -> Iterator[Any]:
    sys.path.insert(0, str(EXAMPLE))
    try:
        import cart_actions

        yield cart_actions
    finally:
        sys.path.remove(str(EXAMPLE))


@pytest.fixture
def opened(
    example: Any, postgres_url: str, redis_url: str, request: pytest.FixtureRequest
) -> Iterator[World]:
    with ExitStack() as stack:
        database = stack.enter_context(servers.postgres_database(postgres_url))
        prefix = stack.enter_context(servers.redis_prefix(redis_url))
        shop = example.open_shop(database, redis_url, prefix=prefix, fixed=request.param)
        yield stack.enter_context(shop)


@pytest.mark.parametrize("opened", [False], indirect=True)
@pytest.mark.parametrize("strategy", [BFS(), DFS(), Novelty()], ids=repr)
def test_the_bug_between_the_stores_is_found(example: Any, opened: World, strategy: Any) -> None:
    """What Redis still says of a cancelled order lets it be cancelled again."""
    machine = seed(1)(venom_machine(opened, example.ACTIONS, example.INVARIANTS, strategy=strategy))
    with pytest.raises(InvariantViolated, match="no_goods_appear"):
        run_state_machine_as_test(machine, settings=settings(database=None))
    (violation,) = machine.last_run.violations
    path = [step.action for step in violation.reproduction_path]
    assert path == ["put_into_cart", "checkout", "cancel", "cancel"]
    assert machine.last_run.divergence is None


@pytest.mark.parametrize("opened", [True], indirect=True)
def test_nothing_is_found_in_the_fixed_service(example: Any, opened: World) -> None:
    machine = seed(1)(venom_machine(opened, example.ACTIONS, example.INVARIANTS))
    run_state_machine_as_test(machine, settings=settings(database=None, max_examples=6))
    record = machine.last_run
    assert (record.violations, record.divergence) == ((), None)
    assert record.states_visited > 50
