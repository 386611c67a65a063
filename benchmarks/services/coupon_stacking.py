"""A shopping cart with coupons, some of which exclude others."""

from typing import Any

from hypothesis import strategies as st

from services.case import Case, first, rule
from venomqa_hyp import action

PERCENT = {"FIVE": 5, "FRIENDS": 20, "HALF": 50, "TEN": 10}
EXCLUSIVE = {"HALF"}


@action(arguments={"price": st.integers(100, 1_000_000), "count": st.integers(1, 9)})
def add_item(api: Any, context: Any, price: int, count: int) -> None:
    api["cart"].append({"price": price, "count": count})


@action(arguments={"code": st.sampled_from(sorted(PERCENT))})
def apply_coupon(api: Any, context: Any, code: str) -> None:
    applied = api["coupons"]
    if code in applied or (code in EXCLUSIVE and applied):
        return
    applied.append(code)


@action(arguments={"code": st.sampled_from(sorted(PERCENT))})
def remove_coupon(api: Any, context: Any, code: str) -> None:
    if code in api["coupons"]:
        api["coupons"].remove(code)


@action()
def empty_cart(api: Any, context: Any) -> None:
    api["cart"], api["coupons"] = [], []


@action(arguments={"address": st.text(min_size=1, max_size=30), "gift": st.booleans()})
def check_out(api: Any, context: Any, address: str, gift: bool) -> None:
    if api["cart"]:
        api["orders"].append(
            {"items": api["cart"], "coupons": api["coupons"], "to": address, "gift": gift}
        )
        api["cart"], api["coupons"] = [], []


@rule
def an_exclusive_coupon_stands_alone(store: Any) -> str | None:
    return first(
        f"ordered with {order['coupons']}"
        for order in store["orders"]
        if len(order["coupons"]) > 1 and EXCLUSIVE.intersection(order["coupons"])
    )


CASE = Case(
    "coupon_stacking",
    "an exclusive coupon is refused beside another one, another one beside it is not",
    [add_item, apply_coupon, remove_coupon, empty_cart, check_out],
    [an_exclusive_coupon_stands_alone],
    minimum=4,
    alphabet={
        "add_item": {"price": [100], "count": [1]},
        "apply_coupon": {"code": ["HALF", "TEN"]},
        "remove_coupon": {"code": ["HALF", "TEN"]},
        "check_out": {"address": ["x"], "gift": [False]},
    },
    data={"cart": [], "coupons": [], "orders": []},
)
