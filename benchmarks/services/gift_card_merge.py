"""Gift cards whose balances can be merged."""

from typing import Any

from hypothesis import strategies as st

from services.case import Case, rule
from venomqa_hyp import action, from_context

CARD = from_context("cards")


@action(arguments={"cents": st.integers(500, 50_000), "message": st.text(max_size=40)})
def issue(api: Any, context: Any, cents: int, message: str) -> None:
    card = f"G{len(api['cards']) + 1:03}"
    api["cards"][card] = {"cents": cents, "message": message, "active": False}
    api["sold"] += cents
    context["cards"] = [*context.get("cards", []), card]


@action(arguments={"card": CARD})
def activate(api: Any, context: Any, card: str) -> None:
    api["cards"][card]["active"] = True


@action(arguments={"card": CARD, "cents": st.integers(1, 50_000)})
def redeem(api: Any, context: Any, card: str, cents: int) -> None:
    if api["cards"][card]["active"] and cents <= api["cards"][card]["cents"]:
        api["cards"][card]["cents"] -= cents
        api["redeemed"] += cents


@action(arguments={"source": CARD, "receiver": CARD})
def merge(api: Any, context: Any, source: str, receiver: str) -> None:
    if not (api["cards"][source]["active"] and api["cards"][receiver]["active"]):
        return
    total = api["cards"][source]["cents"] + api["cards"][receiver]["cents"]
    api["cards"][source]["cents"] = 0
    api["cards"][receiver]["cents"] = total


@action(arguments={"card": CARD})
def show(api: Any, context: Any, card: str) -> int:
    return int(api["cards"][card]["cents"])


@rule
def no_more_is_redeemed_than_sold(store: Any) -> str | None:
    sold, redeemed = store["sold"], store["redeemed"]
    return None if redeemed <= sold else f"sold {sold}, redeemed {redeemed}"


CASE = Case(
    "gift_card_merge",
    "merging a card with itself doubles its balance",
    [issue, activate, redeem, merge, show],
    [no_more_is_redeemed_than_sold],
    minimum=4,
    alphabet={
        "issue": {"cents": [500, 25_000], "message": [""]},
        "redeem": {"cents": [1, 500, 501, 1_000, 50_000]},
    },
    data={"cards": {}, "sold": 0, "redeemed": 0},
)
