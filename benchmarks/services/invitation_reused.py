"""A team that people are invited to and removed from."""

from typing import Any

from hypothesis import strategies as st

from services.case import Case, first, rule
from venomqa_hyp import action, from_context

PERSON = st.sampled_from(["ada@x.org", "bob@x.org", "cyd@x.org", "dan@x.org"])
INVITATION = from_context("invitations")


@action(arguments={"person": PERSON, "role": st.sampled_from(["admin", "guest", "member"])})
def invite(api: Any, context: Any, person: str, role: str) -> None:
    number = len(api["invitations"]) + 1
    api["invitations"][number] = {"person": person, "role": role, "revoked": False}
    api["removed"] = [other for other in api["removed"] if other != person]
    context["invitations"] = [*context.get("invitations", []), number]


@action(arguments={"invitation": INVITATION, "name": st.text(min_size=1, max_size=20)})
def accept(api: Any, context: Any, invitation: int, name: str) -> None:
    found = api["invitations"][invitation]
    if not found["revoked"]:
        api["members"][found["person"]] = {"name": name, "role": found["role"]}


@action(arguments={"invitation": INVITATION})
def revoke(api: Any, context: Any, invitation: int) -> None:
    api["invitations"][invitation]["revoked"] = True


@action(arguments={"person": PERSON})
def remove(api: Any, context: Any, person: str) -> None:
    if api["members"].pop(person, None):
        api["removed"].append(person)


@action(arguments={"person": PERSON, "role": st.sampled_from(["admin", "guest", "member"])})
def change_role(api: Any, context: Any, person: str, role: str) -> None:
    if person in api["members"]:
        api["members"][person]["role"] = role


@action(arguments={"role": st.sampled_from(["admin", "guest", "member"])})
def list_members(api: Any, context: Any, role: str) -> list[str]:
    return [person for person, item in api["members"].items() if item["role"] == role]


@rule
def who_was_removed_is_no_member(store: Any) -> str | None:
    return first(f"{person} is back" for person in store["removed"] if person in store["members"])


CASE = Case(
    "invitation_reused",
    "an invitation can be accepted again after its person was removed",
    [invite, accept, revoke, remove, change_role, list_members],
    [who_was_removed_is_no_member],
    minimum=4,
    alphabet={
        "invite": {"person": ["ada@x.org", "bob@x.org"], "role": ["admin"]},
        "accept": {"name": ["x"]},
        "remove": {"person": ["ada@x.org", "bob@x.org"]},
        "change_role": {"person": ["ada@x.org"], "role": ["guest"]},
        "list_members": {"role": ["admin"]},
    },
    data={"invitations": {}, "members": {}, "removed": []},
)
