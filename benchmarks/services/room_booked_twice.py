"""Rooms that are booked for several nights; a booking can be moved."""

from typing import Any

from hypothesis import strategies as st

from services.case import Case, rule
from venomqa_hyp import action, from_context

ROOM = st.integers(1, 3)
BOOKING = from_context("bookings")


def is_taken(api: Any, room: int, night: int, but: int | None = None) -> bool:
    return any(
        booking["room"] == room and night in booking["nights"]
        for number, booking in api["bookings"].items()
        if number != but
    )


@action(
    arguments={
        "room": ROOM,
        "nights": st.lists(st.integers(0, 13), min_size=1, max_size=4, unique=True),
        "guest": st.text(max_size=15),
    }
)
def book(api: Any, context: Any, room: int, nights: list[int], guest: str) -> None:
    if any(is_taken(api, room, night) for night in nights):
        return
    number = api["booked"] = api["booked"] + 1
    api["bookings"][number] = {"room": room, "nights": sorted(nights), "guest": guest}
    context["bookings"] = [*context.get("bookings", []), number]


@action(arguments={"booking": BOOKING, "days": st.integers(-7, 7)})
def move(api: Any, context: Any, booking: int, days: int) -> None:
    found = api["bookings"][booking]
    nights = [night + days for night in found["nights"]]
    if not is_taken(api, found["room"], nights[0], booking):
        found["nights"] = nights


@action(arguments={"booking": BOOKING})
def cancel(api: Any, context: Any, booking: int) -> None:
    del api["bookings"][booking]
    context["bookings"] = [number for number in context["bookings"] if number != booking]


@action(arguments={"booking": BOOKING, "guest": st.text(max_size=15)})
def rename_guest(api: Any, context: Any, booking: int, guest: str) -> None:
    api["bookings"][booking]["guest"] = guest


@action(arguments={"room": ROOM, "night": st.integers(0, 13)})
def is_free(api: Any, context: Any, room: int, night: int) -> bool:
    return not is_taken(api, room, night)


@rule
def no_room_is_booked_twice(store: Any) -> str | None:
    seen = set()
    for booking in store["bookings"].values():
        for night in booking["nights"]:
            if (booking["room"], night) in seen:
                return f"room {booking['room']}, night {night}"
            seen.add((booking["room"], night))
    return None


CASE = Case(
    "room_booked_twice",
    "moving a booking looks at its first night only",
    [book, move, cancel, rename_guest, is_free],
    [no_room_is_booked_twice],
    minimum=3,
    alphabet={
        "book": {"room": [1, 2], "nights": [[0], [3], [0, 1], [1, 2, 3]], "guest": [""]},
        "move": {"days": [-1, 1, 2, 3]},
        "rename_guest": {"guest": ["x"]},
        "is_free": {"room": [1], "night": [0]},
    },
    data={"bookings": {}, "booked": 0},
)
