"""Diverse trajectories (DED, Method): "calculate the Levenshtein distance among the trajectories and select the farthest P".

DED gives no pseudo-code. Our reading: distance over the student's token ids, greedy max-min (the next pick is the one
whose nearest already-picked neighbour is farthest), started from the completion with the largest summed distance.
"""

from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein


def farthest(token_ids: Sequence[Sequence[int]], num_kept: int) -> list[int]:
    """Indices of the picks, in the order picked; all indices when there are no more than `num_kept`.

    Ties go to the lower index, so the picks depend on nothing but the input. Equal completions have distance 0 and
    are picked last.
    """
    count = len(token_ids)
    if count <= num_kept:
        return list(range(count))
    distance = [[0] * count for _ in range(count)]
    for i in range(count):
        for j in range(i):
            distance[i][j] = distance[j][i] = Levenshtein.distance(token_ids[i], token_ids[j])
    picks = [max(range(count), key=lambda i: (sum(distance[i]), -i))]
    while len(picks) < num_kept:
        rest = [i for i in range(count) if i not in picks]
        picks.append(max(rest, key=lambda i: (min(distance[i][p] for p in picks), -i)))
    return picks
