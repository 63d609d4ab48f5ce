"""Diverse trajectories (DED, Method): "calculate the Levenshtein distance among the trajectories and select the farthest P".

DED gives no pseudo-code. Our reading, and the other rules that DED should be compared with, are `Diversity` in the recipe.
The first pick is the shortest completion, the most direct one: it is the cheapest to measure against, and the lengths of the
others then say much about how far they can be. One with the largest summed distance, say, would cost all pairs.
"""

import random
from collections.abc import Callable, Hashable, Sequence
from math import inf

from rapidfuzz.distance import Levenshtein

from ded_ray.recipe import Diversity


def pick(texts: Sequence[Sequence[Hashable]], config: Diversity, seed: str, rsr: Sequence[float | None]) -> list[int]:
    """Indices of at most `num_kept` completions (as tokens or words), in the order picked; all when it is None.

    Ties go to the lower index, so that the picks depend on nothing but the input. A completion that is equal to another
    adds nothing and is never picked beside it, so there may be fewer picks. `rsr` is read by lowest_rsr alone; a
    completion without one comes last.
    """
    if config.num_kept is None:
        return list(range(len(texts)))
    first_places: dict[tuple[Hashable, ...], int] = {}
    for i, text in enumerate(texts):
        first_places.setdefault(tuple(text), i)
    distinct = list(first_places.values())
    match config.pick:
        case "random":
            order = random.Random(seed).sample(distinct, len(distinct))
        case "longest":
            order = sorted(distinct, key=lambda i: -len(texts[i]))
        case "shortest":
            order = sorted(distinct, key=lambda i: len(texts[i]))
        case "lowest_rsr":
            order = sorted(distinct, key=lambda i: inf if (ratio := rsr[i]) is None else ratio)
        case _:
            by_sum = config.pick == "farthest_sum"
            order = [distinct[i] for i in farthest([texts[i] for i in distinct], config.num_kept, by_sum=by_sum)]
    return order[: config.num_kept]


def farthest(
    texts: Sequence[Sequence[Hashable]],
    num_kept: int,
    *,
    by_sum: bool = False,
    distance: Callable[..., int] = Levenshtein.distance,
) -> list[int]:
    """Greedy: the shortest first, then always the one that is farthest from all picks: by its nearest one (max-min), or by
    their sum.

    Lazy: each text has an upper bound of how far it is, and only the one in the lead is measured against another pick; when
    the lead has been measured against all, no other can be farther. Two bounds spare it measuring (triangle inequality,
    difference of lengths), and a cutoff makes it short. All of this is exact: the picks are those of the full matrix.
    """
    if not texts:
        return []
    picks = [min(range(len(texts)), key=lambda i: (len(texts[i]), i))]
    known = {i: list[int]() for i in range(len(texts)) if i != picks[0]}  # distances to picks[0], picks[1], ...
    between: dict[tuple[int, int], int] = {}  # exact ones among texts

    def most(i: int, to: int) -> int:
        """No less than the distance between a text and a pick."""
        bound = max(len(texts[i]), len(texts[to]))
        for other in picks:
            if (i, other) in between and (to, other) in between:
                bound = min(bound, between[i, other] + between[to, other])
        return bound

    def bound(i: int) -> int:
        unknown = picks[len(known[i]) :]
        if by_sum:
            return sum(known[i]) + sum(most(i, to) for to in unknown)
        return min(known[i], default=most(i, picks[0]))

    def measure(i: int) -> int:
        to, nearest = picks[len(known[i])], min(known[i], default=None)
        if not by_sum and nearest is not None:
            least = abs(len(texts[i]) - len(texts[to]))
            for other in picks:
                if (i, other) in between and (to, other) in between:
                    least = max(least, abs(between[i, other] - between[to, other]))
            if least >= nearest:
                return nearest  # that far or farther: its nearest pick remains
            found = distance(texts[i], texts[to], score_cutoff=nearest)
            if found > nearest:
                return nearest
        else:
            found = distance(texts[i], texts[to])
        between[i, to] = between[to, i] = found
        return found

    while known and len(picks) < num_kept:
        lead = max(known, key=lambda i: (bound(i), -i))
        if len(known[lead]) < len(picks):
            known[lead].append(measure(lead))
            continue
        del known[lead]
        picks.append(lead)
    return picks
