"""Domain mixing (DED, Method and Table 5: its final corpus has 400 + 400 examples of mathematics and code).

How DED drew its halves is not stated. Ours: whole questions in a seeded order, until a subject has its number.
"""

import random
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple


class Kept(NamedTuple):
    """A completion that curation kept."""

    subject: str
    problem_id: str
    pick_rank: int
    group_id: str
    rollout: int


def mixed(kept: Iterable[Kept], quotas: dict[str, int], seed: int) -> set[tuple[str, int]]:
    """(group id, index) of the completions that stay: as many of each subject as its quota says, or all if there are
    fewer; none of a subject without a quota. The last question of a subject may keep only its first picks.
    """
    by_question: dict[str, dict[str, list[Kept]]] = defaultdict(lambda: defaultdict(list))
    for completion in kept:
        by_question[completion.subject][completion.problem_id].append(completion)
    staying: set[tuple[str, int]] = set()
    for subject, quota in quotas.items():
        questions = sorted(by_question[subject])
        random.Random(f"{seed}-{subject}").shuffle(questions)
        in_order = [
            completion
            for question in questions
            for completion in sorted(by_question[subject][question], key=lambda kept: kept[2:])
        ]
        staying |= {(completion.group_id, completion.rollout) for completion in in_order[:quota]}
    return staying
