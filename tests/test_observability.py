"""Hypothesis's statistics and its records of test cases show what our run did."""

import json
from pathlib import Path
from typing import Any

import pytest

SUITE = """
    from types import SimpleNamespace

    from hypothesis import settings
    from hypothesis import strategies as st

    from venomqa_hyp import Action, Invariant, World, venom_machine
    from venomqa_hyp.adapters import MemoryAdapter


    def world():
        store = MemoryAdapter()
        return World(store, {"store": store})


    def pay(api, context, amount):
        api["paid"] = api.get("paid", 0) + amount
        return SimpleNamespace(status_code=201)


    def refund(api, context):
        return SimpleNamespace(status_code=409)


    def look(api, context):
        context["seen"] = True
        return refund(api, context)


    PAY = Action("pay", pay, arguments={"amount": st.integers(1, 10**6)})
    ACTIONS = [PAY, Action("refund", refund, preconditions=["pay"])]
    RULES = [Invariant("few", lambda world: True, when=lambda world: "paid" in world.api)]
    TestSmall = venom_machine(world, [Action("refund", look)], name="Small").TestCase
    few = settings(max_examples=8, stateful_step_count=6, database=None)
    TestShop = venom_machine(world, ACTIONS, RULES).TestCase
    TestShop.settings = few
    TestPlain = venom_machine(world, ACTIONS, RULES, rollback=False, name="Plain").TestCase
    TestPlain.settings = TestSmall.settings = few
"""


def test_statistics_count_actions_by_outcome(pytester: pytest.Pytester) -> None:
    """And invariants that were vacuous; nothing else of ours while nobody observes."""
    pytester.makepyfile(test_shop=SUITE)
    result = pytester.runpytest_subprocess("--hypothesis-show-statistics", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=3)
    for name in ("TestShop", "TestPlain", "TestSmall"):
        result.stdout.fnmatch_lines_random([f"test_shop.py::{name}::runTest:"])
    for line, count in {"100.00%, few: vacuous": 2, "%, pay: 201": 2, "%, refund: 409": 3}.items():
        assert result.stdout.str().count(line) == count
    # Of the small one, nothing was left.
    assert result.stdout.str().count("Stopped because venomqa-hyp ended the run") == 1
    result.stdout.no_fnmatch_line("*recalled:*")


def test_records_of_test_cases_hold_what_was_executed(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tyche and others show these features."""
    pytester.makepyfile(test_shop=SUITE)
    storage = Path(str(pytester.path), "storage")
    monkeypatch.setenv("HYPOTHESIS_STORAGE_DIRECTORY", str(storage))
    monkeypatch.setenv("HYPOTHESIS_EXPERIMENTAL_OBSERVABILITY_NOCOVER", "1")
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=3)
    (file,) = storage.glob("observed/*testcases.jsonl")
    records: list[Any] = [json.loads(line) for line in file.read_text().splitlines()]
    records = [item for item in records if "TestSmall" not in item["property"]]
    passed = [item["features"] for item in records if item["status"] == "passed"]
    assert len(passed) >= 16
    for features in passed:
        actions = features["actions"].split(", ")
        assert set(actions) <= {"pay", "refund"}
        assert features["executed"] + features["recalled"] >= len(actions)
        assert features["states of the run"] >= 1
    assert any("refund: 409" in features for features in passed)
    assert any(features["recalled"] for features in passed)
