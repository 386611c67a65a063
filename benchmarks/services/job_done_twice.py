"""A queue of jobs whose claims expire; jobs and claims are Bundles that are consumed."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, consumes, multiple

from services.case import Case, first, rule
from venomqa_hyp import action

JOBS: Bundle[int] = Bundle("jobs")
CLAIMS: Bundle[int] = Bundle("claims")
PAYLOADS = st.dictionaries(st.sampled_from(["to", "subject", "size"]), st.integers(), max_size=2)


@action(arguments={"payload": PAYLOADS, "priority": st.integers(0, 9)}, target=JOBS)
def enqueue(api: Any, context: Any, payload: dict[str, int], priority: int) -> int:
    job = len(api["jobs"]) + 1
    api["jobs"][job] = {"payload": payload, "priority": priority, "done": 0}
    return job


@action(arguments={"job": consumes(JOBS), "worker": st.sampled_from(["w1", "w2"])}, target=CLAIMS)
def claim(api: Any, context: Any, job: int, worker: str) -> int:
    number = len(api["claims"]) + 1
    api["claims"][number] = {"job": job, "worker": worker, "expired": False}
    return number


@action(arguments={"claim": CLAIMS}, target=JOBS)
def expire(api: Any, context: Any, claim: int) -> Any:
    found = api["claims"][claim]
    if found["expired"]:
        return multiple()
    found["expired"] = True
    return found["job"]


@action(arguments={"claim": consumes(CLAIMS), "success": st.booleans()})
def finish(api: Any, context: Any, claim: int, success: bool) -> None:
    if success:
        api["jobs"][api["claims"][claim]["job"]]["done"] += 1


@action(arguments={"minimum_priority": st.integers(0, 9)})
def count_jobs(api: Any, context: Any, minimum_priority: int) -> int:
    return sum(job["priority"] >= minimum_priority for job in api["jobs"].values())


@rule
def each_job_is_done_once(store: Any) -> str | None:
    return first(
        f"job {number} was done {job['done']} times"
        for number, job in store["jobs"].items()
        if job["done"] > 1
    )


CASE = Case(
    "job_done_twice",
    "a worker may finish a job although its claim has expired",
    [enqueue, claim, expire, finish, count_jobs],
    [each_job_is_done_once],
    minimum=6,
    alphabet={
        "enqueue": {"payload": [{}], "priority": [0]},
        "claim": {"worker": ["w1"]},
        "finish": {"success": [False, True]},
        "count_jobs": {"minimum_priority": [0]},
    },
    data={"jobs": {}, "claims": {}},
)
