"""A judge for what rules cannot check: which rollouts it is asked about, its questions, and what its replies mean.

The rules speak first. The judge may only replace the statuses that the recipe names; about a share of the others it is
asked as well, and there its opinion is kept beside the verdict, only to report how far it agrees. Which ones are
audited depends on their ids, not on chance. Model output stands in its prompt as text between marks: a judge can be
talked into things, which is why the rules' `correct` and `wrong` are never its business.
"""

import re

from ded_ray.recipe import Judge
from ded_ray.records import CHECKED, Group, Problem, Rollout, Status, stable_hash
from ded_ray.thinking import final_part

MAX_ANSWER_CHARS = 4_000
"""Of the end of a completion's final part: what a judge gets to read."""

_VERDICT = re.compile(r"[ *#>_-]{0,20}VERDICT ?:?[ *]{0,9}(CORRECT|WRONG)[ *.]{0,9}", re.IGNORECASE)


def is_asked(group: Group, rollout: Rollout, knobs: Judge) -> bool:
    """Whether the judge hears of this rollout: its status may be replaced, or it is audited. Never of programs."""
    if group.verifier == "code" or not final_part(rollout.completion).strip():
        return False  # a program is run, not believed; and nothing is nothing
    if rollout.status in knobs.statuses:
        return True
    audited = int(stable_hash("audit", group.group_id, rollout.index)[:8], 16) < knobs.audit_rate * 16**8
    return audited and rollout.status in CHECKED and rollout.finish_reason != "length"


def question(group: Group, rollout: Rollout, knobs: Judge) -> Problem:
    """What the judge is asked about one rollout, as a problem of its own."""
    answer = final_part(rollout.completion)[-MAX_ANSWER_CHARS:]
    parts = {"question": group.prompt, "reference": group.answer, "answer": answer}
    # One pass, so that nothing inside a part is filled in as well.
    prompt = re.sub(r"\{(question|reference|answer)\}", lambda found: parts[found.group(1)], knobs.prompt)
    return Problem(problem_id=f"{group.group_id}-{rollout.index}", prompt=prompt, answer="", verifier="judge")


def opinion(replies: list[Rollout]) -> Status:
    """The majority of the replies' last VERDICT lines; `unverifiable` for a tie, or where none can be read."""
    balance = 0
    for reply in replies:
        found = [match.group(1) for line in final_part(reply.completion).splitlines() if (match := _VERDICT.fullmatch(line))]
        if found:
            balance += 1 if found[-1].upper() == "CORRECT" else -1
    return "correct" if balance > 0 else "wrong" if balance < 0 else "unverifiable"


def apply_opinion(rollout: Rollout, judged: Status, knobs: Judge) -> None:
    """Note what both said; the judge's word counts only where the rules' status may be replaced and it was clear."""
    rollout.rule_status, rollout.judge_status = rollout.status, judged
    if rollout.status in knobs.statuses and judged in {"correct", "wrong"}:
        rollout.status = judged


def agreement(rollouts: list[Rollout]) -> dict[str, int] | None:
    """Over audited rollouts: {"audited", "agreed", "unreadable", "replaced"}; None when no judge was asked."""
    asked = [r for r in rollouts if r.judge_status is not None]
    if not asked:
        return None
    audited = [r for r in asked if r.rule_status in {"correct", "wrong", "no_answer"} and r.status == r.rule_status]
    readable = [r for r in audited if r.judge_status != "unverifiable"]
    agreed = sum((r.judge_status == "correct") == (r.rule_status == "correct") for r in readable)
    replaced = sum(r.status != r.rule_status for r in asked)
    unreadable = sum(r.judge_status == "unverifiable" for r in asked)
    return {"asked": len(asked), "audited": len(readable), "agreed": agreed, "unreadable": unreadable, "replaced": replaced}
