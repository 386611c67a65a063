"""Bank accounts with scheduled transfers; accounts are named by absolute numbers."""

from typing import Any

from hypothesis import strategies as st

from services.case import Case, first, rule
from venomqa_hyp import action

ACCOUNT = st.integers(1, 8)
AMOUNTS = st.integers(1, 1_000)


def covers(api: Any, account: int, amount: int) -> bool:
    return bool(api["balances"].get(account, 0) >= amount)


@action(arguments={"deposit": st.integers(0, 500), "owner": st.text(max_size=10)})
def open_account(api: Any, context: Any, deposit: int, owner: str) -> None:
    number = len(api["balances"]) + 1
    api["balances"][number] = deposit
    api["owners"][number] = owner


@action(arguments={"source": ACCOUNT, "receiver": ACCOUNT, "amount": AMOUNTS})
def transfer(api: Any, context: Any, source: int, receiver: int, amount: int) -> None:
    if receiver in api["balances"] and covers(api, source, amount):
        api["balances"][source] -= amount
        api["balances"][receiver] += amount


@action(arguments={"source": ACCOUNT, "receiver": ACCOUNT, "amount": AMOUNTS})
def schedule(api: Any, context: Any, source: int, receiver: int, amount: int) -> None:
    if receiver in api["balances"] and source != receiver and covers(api, source, amount):
        api["scheduled"].append([source, receiver, amount])


@action()
def run_scheduled(api: Any, context: Any) -> None:
    for source, receiver, amount in api["scheduled"]:
        api["balances"][source] -= amount
        api["balances"][receiver] += amount
    api["scheduled"] = []


@action(arguments={"account": ACCOUNT, "amount": AMOUNTS})
def deposit(api: Any, context: Any, account: int, amount: int) -> None:
    if account in api["balances"]:
        api["balances"][account] += amount


@action(arguments={"account": ACCOUNT})
def balance(api: Any, context: Any, account: int) -> int | None:
    return api["balances"].get(account)


@rule
def no_account_is_overdrawn(store: Any) -> str | None:
    balances = store["balances"].items()
    return first(f"account {number} has {held}" for number, held in balances if held < 0)


CASE = Case(
    "transfer_overdraft",
    "a scheduled transfer is compared with the balance when it is made, not when it is run",
    [open_account, transfer, schedule, run_scheduled, deposit, balance],
    [no_account_is_overdrawn],
    minimum=5,
    alphabet={
        "open_account": {"deposit": [0, 1, 500], "owner": [""]},
        "transfer": {"source": [1, 2], "receiver": [1, 2], "amount": [1, 500]},
        "schedule": {"source": [1, 2], "receiver": [1, 2], "amount": [1, 500]},
        "deposit": {"account": [1], "amount": [1]},
        "balance": {"account": [1]},
    },
    data={"balances": {}, "owners": {}, "scheduled": []},
)
