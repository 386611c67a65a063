"""Actions, invariants and Worlds may be async functions, which share the event loop of a World."""

import asyncio
import functools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from venomqa_hyp import Action, Agent, Invariant, World, from_context, venom_machine
from venomqa_hyp.adapters import AsyncHttpClient, MemoryAdapter, WsgiClient
from venomqa_hyp.errors import DefinitionError, InvariantViolated, WorldError

SETTINGS = settings(database=None, max_examples=60, suppress_health_check=list(HealthCheck))


async def put(api: Any, context: Any, item: int) -> None:
    await anyio.sleep(0)
    api["items"] = (*api["items"], item)
    context["items"] = list(api["items"])


async def drop(api: Any, context: Any, item: int) -> int:
    await anyio.sleep(0)
    api["items"] = tuple(one for one in api["items"] if one != item)
    return item


async def few(world: World) -> bool:
    await anyio.sleep(0)
    return len(world.api["items"]) < 3


async def there_are_some(world: World) -> bool:
    return bool(world.api["items"])


ACTIONS = [
    Action("put", put, arguments={"item": st.integers(0, 3)}),
    Action("drop", drop, arguments={"item": from_context("items")}),
]
RULES = [Invariant("few", few, when=there_are_some)]


def open_world(backend: Any = "asyncio") -> World:
    store = MemoryAdapter({"items": ()})
    return World(store, {"store": store}, async_backend=backend)


async def open_later() -> World:
    await anyio.sleep(0)
    return open_world()


def act(function: Callable[..., Any], backend: Any = "asyncio") -> Any:
    with open_world(backend) as world:
        return world.act(Action("step", function))


@pytest.mark.parametrize("world", [open_world, open_later, lambda: open_world("trio")])
def test_a_bug_is_found_by_its_shortest_sequence(world: Any) -> None:
    machine = venom_machine(world, ACTIONS, RULES)
    with pytest.raises(InvariantViolated):
        run_state_machine_as_test(machine, settings=SETTINGS)
    assert machine.last_run is not None
    assert [step.action for step in machine.last_run.violations[0].reproduction_path] == ["put"] * 3


def test_an_agent_awaits_as_well() -> None:
    result = Agent(open_later, ACTIONS, RULES, max_steps=60, seed=0).explore()
    assert [len(item.reproduction_path) for item in result.violations] == [3]


def test_a_machine_runs_inside_an_event_loop() -> None:
    """As within an async test: the loop of the World is in another thread."""

    async def test() -> None:
        machine = venom_machine(open_world, ACTIONS, RULES)
        with pytest.raises(InvariantViolated):
            run_state_machine_as_test(machine, settings=SETTINGS)

    asyncio.run(test())


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_functions_of_one_world_share_a_loop(backend: Any) -> None:
    async def start(api: Any, context: Any) -> None:
        api["event"] = anyio.Event()

    async def end(api: Any, context: Any) -> str:
        api["event"].set()
        with anyio.fail_after(5):
            await api["event"].wait()
        return "ended"

    with World({}, async_backend=backend) as world:
        assert world.act(Action("start", start)).success
        assert world.act(Action("end", end)).value == "ended"


def test_a_task_that_is_left_running_is_an_error_with_its_name() -> None:
    async def forget(api: Any, context: Any) -> None:
        api["task"] = asyncio.create_task(asyncio.sleep(60), name="mailer")

    with World({}) as world, pytest.raises(DefinitionError, match=r"'step' left running: mailer"):
        world.act(Action("step", forget))


def test_what_runs_beside_a_call_that_raised_is_awaited() -> None:
    done = []

    async def write() -> None:
        await asyncio.sleep(0.01)
        done.append("written")

    async def fail() -> None:
        raise ValueError("no")

    async def both(api: Any, context: Any) -> None:
        await asyncio.gather(write(), fail())

    assert act(both).error == "ValueError: no"
    assert done == ["written"]


def test_tasks_of_a_world_go_on_until_it_is_closed() -> None:
    tasks = []

    async def open_with_task() -> World:
        tasks.append(asyncio.create_task(asyncio.sleep(60)))
        return open_world()

    machine = venom_machine(open_with_task, ACTIONS[:1])
    run_state_machine_as_test(machine, settings=settings(SETTINGS, max_examples=3))
    assert tasks
    assert all(task.cancelled() for task in tasks)


def test_a_coroutine_function_in_disguise_is_awaited() -> None:
    """A partial of an async function, and an object with an async ``__call__``."""

    async def paid(amount: int, api: Any, context: Any) -> int:
        return amount

    class Later:
        async def __call__(self, api: Any, context: Any) -> int:
            return 2

    assert act(functools.partial(paid, 2)).value == act(Later()).value == 2


def test_an_awaitable_of_a_function_that_is_not_async_is_an_error() -> None:
    with pytest.raises(DefinitionError, match=r"action 'step' returned <coroutine .* async def"):
        act(lambda api, context: asyncio.sleep(0))
    rule = Invariant("rule", lambda world: few(world))
    with open_world() as world, pytest.raises(DefinitionError, match="invariant 'rule' returned"):
        world.check(rule)


def test_a_world_that_cannot_be_awaited_is_an_error() -> None:
    async def broken() -> World:
        raise OSError("no database")

    async def nothing() -> None:
        pass

    for world, error in ((broken, WorldError), (nothing, DefinitionError)):
        with pytest.raises(error):
            run_state_machine_as_test(venom_machine(world, ACTIONS), settings=SETTINGS)


def test_an_async_precondition_is_refused() -> None:
    with pytest.raises(DefinitionError, match="is async, but it is evaluated for recorded states"):
        Action("clear", lambda api, context: None, preconditions=[few])


def test_other_backends_are_refused() -> None:
    with pytest.raises(DefinitionError, match="async_backend is 'curio'"):
        open_world("curio")


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Set-Cookie", f"seen={environ['PATH_INFO'][1:]}")])
    return [environ["REQUEST_METHOD"].encode()]


def test_requests_are_awaited_and_roll_back() -> None:
    async def visit(api: Any, context: Any) -> list[str]:
        api.auth = "token"
        replies = await asyncio.gather(*(api.get(f"/{number}") for number in range(5)))
        replies += [await getattr(api, verb)("/5") for verb in ("post", "put", "patch", "delete")]
        return [reply.text for reply in replies]

    with World(AsyncHttpClient(WsgiClient(wsgi))) as world:
        start = world.checkpoint()
        result = world.act(Action("visit", visit))
        assert result.value == ["GET"] * 5 + ["POST", "PUT", "PATCH", "DELETE"]
        assert (len(world.api.history), world.api.cookies["seen"]) == (9, "5")
        world.rollback(start)
        assert (world.api.history, dict(world.api.cookies), world.api.auth) == ((), {}, None)


def test_a_world_that_nobody_closes_lets_the_interpreter_end() -> None:
    program = (
        "from venomqa_hyp import Action, World\n"
        "from venomqa_hyp.adapters import AsyncHttpClient, WsgiClient\n"
        "from test_async import wsgi\n"
        "async def get(api, context): return (await api.get('/')).text\n"
        "world = World(AsyncHttpClient(WsgiClient(wsgi)))\n"
        "print(world.act(Action('get', get)).value)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=Path(__file__).parent,
    )
    assert done.stdout == "GET\n"


@pytest.mark.parametrize("error", [SystemExit, pytest.fail.Exception])
def test_a_failure_of_any_kind_leaves_the_loop_running(error: Any) -> None:
    async def fail(api: Any, context: Any) -> None:
        raise error("no")

    with open_world() as world:
        assert "no" in (world.act(Action("fail", fail)).error or "")
        assert world.act(Action("put", put, arguments={"item": st.just(1)}), {"item": 1}).success


def test_what_is_called_after_a_rollback_is_awaited() -> None:
    called = []

    async def empty_caches(world: World) -> None:
        called.append("rolled back")

    async def nothing(world: World) -> None:
        called.append("settled")

    with World({}, after_rollback=empty_caches, settle=nothing) as world:
        world.rollback(world.checkpoint())
    assert called == ["settled", "settled", "rolled back"]
