"""A price list with a cache in front of it."""

from typing import Any

from hypothesis import strategies as st

from services.case import Case
from venomqa_hyp import action

ARTICLE = st.sampled_from(["apple", "bread", "cheese", "dates"])


@action(arguments={"article": ARTICLE, "cents": st.integers(1, 1_000_000)})
def set_price(api: Any, context: Any, article: str, cents: int) -> None:
    api["prices"][article] = cents
    api["cache"].pop(article, None)


@action(arguments={"article": ARTICLE})
def read_price(api: Any, context: Any, article: str) -> int | None:
    if article not in api["prices"]:
        return None
    seen = api["cache"].setdefault(article, api["prices"][article])
    assert seen == api["prices"][article], f"{article}: answered {seen}, now {api['prices']}"
    return int(seen)


@action(arguments={"percent": st.integers(1, 90), "articles": st.lists(ARTICLE, max_size=3)})
def discount(api: Any, context: Any, percent: int, articles: list[str]) -> None:
    for article in articles:
        if article in api["prices"]:
            api["prices"][article] -= api["prices"][article] * percent // 100


@action(arguments={"article": ARTICLE})
def remove(api: Any, context: Any, article: str) -> None:
    api["prices"].pop(article, None)
    api["cache"].pop(article, None)


@action()
def clear_cache(api: Any, context: Any) -> None:
    api["cache"] = {}


CASE = Case(
    "stale_cache",
    "a discount changes prices behind the cache",
    [set_price, read_price, discount, remove, clear_cache],
    [],
    minimum=4,
    alphabet={
        "set_price": {"article": ["apple"], "cents": [1, 2, 1_000_000]},
        "read_price": {"article": ["apple"]},
        "discount": {"percent": [1, 50, 90], "articles": [[], ["apple"]]},
        "remove": {"article": ["apple"]},
    },
    data={"prices": {}, "cache": {}},
)
