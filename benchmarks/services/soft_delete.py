"""Documents with a trash and an undo."""

from typing import Any

from hypothesis import strategies as st

from services.case import Case, first, rule
from venomqa_hyp import action, from_context

DOCUMENT = from_context("documents")
TITLES = st.text(max_size=30)


@action(arguments={"title": TITLES, "pages": st.integers(0, 10_000)})
def write(api: Any, context: Any, title: str, pages: int) -> None:
    number = len(api["documents"]) + 1
    row = {"title": title, "pages": pages, "deleted": False}
    api["documents"][number] = {"row": row, "undo": []}
    context["documents"] = [*context.get("documents", []), number]


@action(arguments={"document": DOCUMENT, "title": TITLES})
def rename(api: Any, context: Any, document: int, title: str) -> None:
    found = api["documents"][document]
    if not found["row"]["deleted"]:
        found["undo"].append(dict(found["row"]))
        found["row"]["title"] = title


@action(arguments={"document": DOCUMENT})
def undo(api: Any, context: Any, document: int) -> None:
    found = api["documents"][document]
    if found["undo"]:
        found["row"] = found["undo"].pop()


@action(arguments={"document": DOCUMENT})
def delete(api: Any, context: Any, document: int) -> None:
    row = api["documents"][document]["row"]
    if not row["deleted"]:
        row["deleted"] = True
        api["trash"].append(document)


@action(arguments={"document": DOCUMENT})
def restore(api: Any, context: Any, document: int) -> None:
    if document in api["trash"]:
        api["trash"].remove(document)
        api["documents"][document]["row"]["deleted"] = False


@action(arguments={"word": st.text(max_size=5)})
def search(api: Any, context: Any, word: str) -> list[int]:
    documents = api["documents"].items()
    return [number for number, found in documents if word in found["row"]["title"]]


@rule
def what_is_in_the_trash_is_deleted(store: Any) -> str | None:
    return first(
        f"document {number} is in the trash and is shown"
        for number in store["trash"]
        if not store["documents"][number]["row"]["deleted"]
    )


CASE = Case(
    "soft_delete",
    "undoing a change brings back the whole row, with the mark that it is not deleted",
    [write, rename, undo, delete, restore, search],
    [what_is_in_the_trash_is_deleted],
    minimum=4,
    alphabet={
        "write": {"title": [""], "pages": [0]},
        "rename": {"title": ["", "x"]},
        "search": {"word": [""]},
    },
    data={"documents": {}, "trash": []},
)
