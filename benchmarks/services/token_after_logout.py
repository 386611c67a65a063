"""Sessions with tokens that can be renewed."""

from typing import Any

from hypothesis import strategies as st

from services.case import Case
from venomqa_hyp import action, from_context

TOKEN = from_context("tokens")
USERS = st.sampled_from(["ada", "bob", "cyd"])


def issue(api: Any, context: Any, session: int) -> None:
    token = f"t{len(api['issued']) + 1}"
    api["issued"][token] = session
    api["valid"].append(token)
    context["tokens"] = [*context.get("tokens", []), token]


@action(arguments={"user": USERS, "device": st.text(max_size=10)})
def log_in(api: Any, context: Any, user: str, device: str) -> None:
    session = len(api["sessions"]) + 1
    api["sessions"][session] = {"user": user, "device": device, "open": True}
    issue(api, context, session)


@action(arguments={"token": TOKEN})
def renew(api: Any, context: Any, token: str) -> None:
    if token in api["valid"]:
        issue(api, context, api["issued"][token])


@action(arguments={"token": TOKEN, "everywhere": st.booleans()})
def log_out(api: Any, context: Any, token: str, everywhere: bool) -> None:
    if token not in api["valid"]:
        return
    api["valid"].remove(token)
    user = api["sessions"][api["issued"][token]]["user"]
    api["sessions"][api["issued"][token]]["open"] = False
    if everywhere:
        for number, session in api["sessions"].items():
            if session["user"] == user:
                session["open"] = False
                api["valid"] = [item for item in api["valid"] if api["issued"][item] != number]


@action(arguments={"token": TOKEN})
def read_profile(api: Any, context: Any, token: str) -> dict[str, Any] | None:
    if token not in api["valid"]:
        return None
    session = api["sessions"][api["issued"][token]]
    assert session["open"], f"{token} reads the profile of {session['user']} after the logout"
    return dict(session)


@action(arguments={"user": USERS})
def count_sessions(api: Any, context: Any, user: str) -> int:
    return sum(item["user"] == user and item["open"] for item in api["sessions"].values())


CASE = Case(
    "token_after_logout",
    "a logout ends the token it is sent with, not the others of the session",
    [log_in, renew, log_out, read_profile, count_sessions],
    [],
    minimum=4,
    alphabet={
        "log_in": {"user": ["ada", "bob"], "device": [""]},
        "log_out": {"everywhere": [False, True]},
        "count_sessions": {"user": ["ada"]},
    },
    data={"sessions": {}, "issued": {}, "valid": []},
)
