"""Which corpora are compared. Each function gives, for one seed's world, name -> examples; equal names are equal corpora and
are trained once.

Everything is drawn from answers that exist already: a corpus of fewer questions is the first so many, of fewer rollouts the
first so many of each group.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

from ded_ray.curate.group import Encode, curate_group, examples_of
from ded_ray.recipe import Curate, Diversity, Quality, Weights
from ded_ray.records import Example, Group
from jobs.reproduce.world import BATCH_SIZE, SAMPLING, STUDENT, TEACHERS, World

Corpora = dict[str, list[Example]]

TEACHER = "tiny/rambling"
"""Of all experiments but the first: its right answers to a question differ, and a tenth or more of its answers are wrong."""

SMOKE_STEPS = 12
"""Of the smoke test's brief training."""

HARD = 0.5
"""Questions that the student answers less often than this are hard."""

PLAIN, ALL = Weights(map="none"), Diversity(num_kept=None)


def corpus(groups: list[Group], encode: Encode, seed: int, **knobs: object) -> list[Example]:
    """Examples of copies of these groups, curated with these knobs; plain weights and all right answers by default."""
    curate = Curate.model_validate({"weights": PLAIN, "diversity": ALL, **knobs})
    return [example for g in groups for example in examples_of(curate_group(deepcopy(g), curate, encode, seed))]


def first(groups: list[Group], count: int) -> list[Group]:
    """With the first so many rollouts of each."""
    return [replace(group, rollouts=group.rollouts[:count]) for group in groups]


def hard(groups: list[Group], world: World) -> list[Group]:
    """What the student seldom gets right (DED, compression)."""
    rates = student_pass_rates(world)
    return [group for group in groups if rates[group.problem_id] < HARD]


def student_pass_rates(world: World) -> dict[str, float]:
    return {g.problem_id: sum(r.status == "correct" for r in g.checked) / len(g.checked) for g in world.answers(STUDENT)}


def teachers(world: World, encode: Encode) -> Corpora:
    """(i) A short training on one answer to a quarter of the questions, right or wrong, against a long one on everything."""
    wrong_too = Quality(keep_wrong=True)
    found: Corpora = {}
    for model in TEACHERS:
        groups, name = world.answers(model), model.rsplit("/", 1)[-1]
        smoke = first(groups[: len(groups) // 4], 1)
        found[f"smoke-{name}"] = corpus(smoke, encode, world.seed, quality=wrong_too)
        found[f"truth-{name}"] = corpus(first(groups, 4), encode, world.seed)
    return found


def weighting(world: World, encode: Encode) -> Corpora:
    """(ii) The same eight answers to every question: all alike, only the right ones, or weighted by advantage."""
    groups, wrong_too = world.answers(TEACHER), Quality(keep_wrong=True)
    return {
        "all-unweighted": corpus(groups, encode, world.seed, quality=wrong_too),
        "all-softmax": corpus(groups, encode, world.seed, quality=wrong_too, weights=Weights()),
        "correct-relu": corpus(groups, encode, world.seed, weights=Weights(map="relu")),
        "correct-only": corpus(groups, encode, world.seed),
    }


def table_three(world: World, encode: Encode) -> Corpora:
    """(iii) DED's Table 3, with the controls that it lacks."""
    groups = world.answers(TEACHER)
    difficult, once = hard(groups, world), Diversity(num_kept=1, pick="random")
    found = {
        "one-each": corpus(first(groups, 1), encode, world.seed, quality=Quality(keep_wrong=True)),
        "right": corpus(groups, encode, world.seed, diversity=once),
        "right-hard": corpus(difficult, encode, world.seed, diversity=once),
    }
    for rule in ("farthest", "random", "lowest_rsr"):
        found[f"right-hard-{rule}"] = corpus(difficult, encode, world.seed, diversity=Diversity(num_kept=4, pick=rule))
    return found


def corpus_size(world: World, encode: Encode) -> Corpora:
    """(iv) More questions, four right answers to each."""
    groups = world.answers(TEACHER)
    return {f"questions-{n}": corpus(first(groups[:n], 4), encode, world.seed) for n in sizes(world)}


def sizes(world: World) -> list[int]:
    return [world.size.questions // part for part in (8, 4, 2, 1)]


def trajectories(world: World, encode: Encode) -> Corpora:
    """(v) More answers to the same questions."""
    groups = hard(world.answers(TEACHER), world)
    return {
        f"trajectories-{n}": corpus(groups, encode, world.seed, diversity=Diversity(num_kept=n, pick="random"))
        for n in (1, 2, 4, 8)
    }


def budgets(world: World, encode: Encode) -> Corpora:
    """(vi) The naive pipeline against ours, on ever more questions."""
    found: Corpora = {}
    groups = world.answers(TEACHER)
    for n in sizes(world):
        found[f"naive-{n}"] = corpus(groups[:n], encode, world.seed, quality=Quality(keep_wrong=True))
        knobs = {"weights": Weights(map="relu"), "diversity": Diversity(num_kept=4)}
        found[f"ours-{n}"] = corpus(adaptive(hard(groups[:n], world)), encode, world.seed, **knobs)
    return found


def adaptive(groups: list[Group], start: int = 2, step: int = 2) -> list[Group]:
    """What adaptive sampling would have asked for: rounds until a group is mixed no longer, or eight are there."""
    return [replace(group, rollouts=group.rollouts[: _asked(group, start, step)]) for group in groups]


def _asked(group: Group, start: int, step: int) -> int:
    for count in range(start, len(group.rollouts), step):
        if len({rollout.status == "correct" for rollout in group.rollouts[:count]}) == 1:
            return count
    return len(group.rollouts)


def steps_of(name: str, world: World) -> int | None:
    """Optimiser steps where they are fixed, else as many as the epochs make.

    The same for every candidate's smoke test; and in (vi) for ours as for the naive pipeline on as many questions: what is
    compared there is what the teacher costs, not how long the student trains.
    """
    if name.startswith("smoke-"):
        return SMOKE_STEPS
    if name.startswith(("naive-", "ours-")):
        return world.size.epochs * max(1, int(name.rsplit("-", 1)[1]) * SAMPLING.num_rollouts // BATCH_SIZE)
    return None


def teacher_tokens(world: World, name: str) -> int:
    """What the teacher generated for a corpus of (vi), kept or not."""
    kind, count = name.rsplit("-", 1)
    groups = world.answers(TEACHER)[: int(count)]
    asked = adaptive(hard(groups, world)) if kind == "ours" else groups
    return sum(rollout.num_tokens for group in asked for rollout in group.rollouts)


EXPERIMENTS: dict[str, Callable[[World, Encode], Corpora]] = {
    "i": teachers, "ii": weighting, "iii": table_three, "iv": corpus_size, "v": trajectories, "vi": budgets,
}  # fmt: skip
