"""A judge for what rules cannot check: which rollouts it is asked about, its questions, and what its replies mean.

The rules speak first. The judge may only replace the statuses that the recipe names; about a share of the others it is
asked as well, and there its opinion is kept beside the verdict, only to report how far it agrees. Which ones are
audited depends on their ids, not on chance. Model output stands in its prompt as text between marks: a judge can be
talked into things, which is why the rules' `correct` and `wrong` are never its business.
"""

import re
from collections import Counter

from ded_ray.models.thinking import Tags, final_part
from ded_ray.recipe import Judge
from ded_ray.records import CHECKED, Group, Problem, Rollout, Status, stable_hash

MAX_ANSWER_CHARS = 4_000
"""Of the end of a completion's final part: what a judge gets to read."""

_VERDICT = re.compile(r"[ *#>_-]{0,20}VERDICT ?:?[ *]{0,9}(CORRECT|WRONG)[ *.]{0,9}", re.IGNORECASE)


def is_asked(group: Group, rollout: Rollout, config: Judge, tags: Tags = ()) -> bool:
    """Whether the judge hears of this rollout: its status may be replaced, or it is audited. Never of programs, and never
    of what was cut off, or may have been. `tags` are those of its thinking part, beside the common ones."""
    if group.verifier == "code" or rollout.finish_reason != "stop" or not final_part(rollout.completion, tags).strip():
        return False  # a program is run, not believed; and nothing is nothing
    if rollout.status in config.statuses:
        return True
    audited = int(stable_hash("audit", group.group_id, rollout.index)[:8], 16) < config.audit_rate * 16**8
    return audited and rollout.status in CHECKED


def question(group: Group, rollout: Rollout, config: Judge, tags: Tags = ()) -> Problem:
    """What the judge is asked about one rollout, as a problem of its own. `tags` as for `is_asked`."""
    answer = final_part(rollout.completion, tags)[-MAX_ANSWER_CHARS:]
    parts = {"question": group.prompt, "reference": group.answer, "answer": answer}
    # One pass, so that nothing inside a part is filled in as well.
    prompt = re.sub(r"\{(question|reference|answer)\}", lambda found: parts[found.group(1)], config.prompt)
    return Problem(problem_id=f"{group.group_id}-{rollout.index}", prompt=prompt, answer="", verifier="judge")


def opinion(replies: list[Rollout]) -> Status:
    """The majority of the replies' last VERDICT lines; `unverifiable` for a tie, or where none can be read."""
    balance = 0
    for reply in replies:
        found = [match.group(1) for line in final_part(reply.completion).splitlines() if (match := _VERDICT.fullmatch(line))]
        if found:
            balance += 1 if found[-1].upper() == "CORRECT" else -1
    return "correct" if balance > 0 else "wrong" if balance < 0 else "unverifiable"


def apply_opinion(rollout: Rollout, judged: Status, config: Judge) -> None:
    """Note what both said; the judge's word counts only where the rules' status may be replaced and it was clear."""
    rollout.rule_status, rollout.judge_status = rollout.status, judged
    if rollout.status in config.statuses and judged in {"correct", "wrong"}:
        rollout.status = judged


def agreement(asked: Counter[tuple[str, str, str]]) -> dict[str, int] | None:
    """What became of the rollouts that the judge was asked about, counted by (rules' status, judge's, final).

    {"asked", "audited" (decided by the rules, and the judge could be read), "agreed" (of these), "replaced",
    "unreadable"}; None when it was never asked.
    """
    if not asked:
        return None
    found = Counter(asked=asked.total(), audited=0, agreed=0, replaced=0, unreadable=0)
    for (rule, judged, final), count in asked.items():
        if judged == "unverifiable":
            found["unreadable"] += count
        elif final != rule:
            found["replaced"] += count
        elif rule in CHECKED:
            found["audited"] += count
            found["agreed"] += count * ((judged == "correct") == (rule == "correct"))
    return dict(found)
