"""Diverse trajectories (DED, Method): "calculate the Levenshtein distance among the trajectories and select the farthest P".

DED gives no pseudo-code. Our reading: distance over the student's token ids, greedy max-min (the next pick is the one
whose nearest already-picked neighbour is farthest), started from the completion with the largest summed distance.
"""

from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein


def farthest(token_ids: Sequence[Sequence[int]], num_kept: int) -> list[int]:
    """Indices of at most `num_kept` picks, in the order picked.

    Ties go to the lower index, so the picks depend on nothing but the input. A completion that is equal to a picked one
    adds nothing and is never picked, so there may be fewer picks.
    """
    count = len(token_ids)
    distance = [[0] * count for _ in range(count)]
    for i in range(count):
        for j in range(i):
            distance[i][j] = distance[j][i] = Levenshtein.distance(token_ids[i], token_ids[j])
    picks: list[int] = []
    nearest_pick = [sum(row) + 1 for row in distance]  # before the first pick: the summed distance decides
    while len(picks) < num_kept and max(nearest_pick, default=0) > 0:
        pick = nearest_pick.index(max(nearest_pick))
        nearest_pick = [
            min(near, d) for near, d in zip(nearest_pick if picks else distance[pick], distance[pick], strict=True)
        ]
        picks.append(pick)
    return picks
