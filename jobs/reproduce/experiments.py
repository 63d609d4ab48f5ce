"""Which students are compared. Each function gives, for one seed's world, name -> what a student is taught; where two are
taught the same, for as long, there is one student.

Everything is drawn from answers that exist already: a corpus of fewer questions is the first so many, of fewer rollouts the
first so many of each group.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import accumulate

from ded_ray.curate.group import Encode, curate_group
from ded_ray.recipe import Adaptive, Curate, Diversity, Quality, Sampling, Weights
from ded_ray.records import Example, Group, examples_of, stable_hash
from jobs.reproduce.world import BATCH_SIZE, SAMPLING, STUDENT, TEACHERS, World


@dataclass(frozen=True)
class Lesson:
    """What one student is taught: nothing to the base."""

    examples: list[Example]
    num_steps: int

    def key(self, seed: int) -> str:
        """The same for the same lesson in the same world."""
        return stable_hash(seed, self.num_steps, *(example.to_row() for example in self.examples))


Lessons = dict[str, Lesson]

BASE = Lesson([], 0)

TEACHER = "tiny/rambling"
"""Of all experiments but the first: its right answers to a question differ, and a tenth or more of its answers are wrong."""

SMOKE_STEPS = 12
"""Of the smoke test's brief training."""

HARD = 0.5
"""Questions that the student answers less often than this are hard."""

ADAPTIVE = Adaptive(first=2, step=2, at_most=SAMPLING.num_rollouts)
"""Of our pipeline's rollouts: never more than the naive one's."""

WRONG_TOO = Quality(keep_wrong=True)

PLAIN, ALL = Weights(map="none"), Diversity(num_kept=None)


def lesson(groups: list[Group], encode: Encode, world: World, num_steps: int = 0, **config: object) -> Lesson:
    """Copies of these groups, curated with these knobs, plain weights and all right answers by default; taught for as many
    steps as the world's epochs make, unless it is said for how many."""
    curate = Curate.model_validate({"weights": PLAIN, "diversity": ALL, **config})
    examples = [one for g in groups for one in examples_of(curate_group(deepcopy(g), curate, encode, seed=world.seed))]
    return Lesson(examples, num_steps or world.size.epochs * -(-len(examples) // BATCH_SIZE))


def first(groups: list[Group], count: int) -> list[Group]:
    """With the first so many rollouts of each."""
    return [replace(group, rollouts=group.rollouts[:count]) for group in groups]


def hard(groups: list[Group], world: World) -> list[Group]:
    """What the student seldom gets right (DED, compression)."""
    rates = student_pass_rates(world)
    return [group for group in groups if rates[group.problem_id] < HARD]


def student_pass_rates(world: World) -> dict[str, float]:
    return {g.problem_id: sum(r.status == "correct" for r in g.checked) / len(g.checked) for g in world.answers(STUDENT)}


def teachers(world: World, encode: Encode) -> Lessons:
    """(i) A short training on one answer to a quarter of the questions, right or wrong, the same number of steps for every
    candidate; against a long one on four answers to all of them."""
    found: Lessons = {}
    for model in TEACHERS:
        groups, name = world.answers(model), model.rsplit("/", 1)[-1]
        smoke = first(groups[: len(groups) // 4], 1)
        found[f"smoke-{name}"] = lesson(smoke, encode, world, SMOKE_STEPS, quality=WRONG_TOO)
        found[f"truth-{name}"] = lesson(first(groups, 4), encode, world)
    return found


def weighting(world: World, encode: Encode) -> Lessons:
    """(ii) The same eight answers to every question: all alike, only the right ones, or weighted by advantage."""
    groups = world.answers(TEACHER)
    return {
        "all-unweighted": lesson(groups, encode, world, quality=WRONG_TOO),
        "all-softmax": lesson(groups, encode, world, quality=WRONG_TOO, weights=Weights()),
        "correct-relu": lesson(groups, encode, world, weights=Weights(map="relu")),
        "correct-only": lesson(groups, encode, world),
    }


def table_three(world: World, encode: Encode) -> Lessons:
    """(iii) DED's Table 3: one answer each, right ones only, those to hard questions, four right ones of eight to these.

    With the controls that it lacks: four picked in other ways, and one for as many steps.
    """
    groups = world.answers(TEACHER)
    difficult = hard(groups, world)
    found = {
        "one-each": lesson(first(groups, 1), encode, world, quality=WRONG_TOO),
        "right": lesson(first(groups, 1), encode, world),
        "right-hard": lesson(first(difficult, 1), encode, world),
    }
    for rule in ("farthest", "random", "lowest_rsr"):
        found[f"right-hard-{rule}"] = lesson(difficult, encode, world, diversity=Diversity(num_kept=4, pick=rule))
    as_long, once = found["right-hard-random"].num_steps, Diversity(num_kept=1, pick="random")
    return found | {"right-hard-long": lesson(difficult, encode, world, as_long, diversity=once)}


def corpus_size(world: World, encode: Encode) -> Lessons:
    """(iv) More questions, four answers to each, the right ones."""
    groups = world.answers(TEACHER)
    return {f"questions-{n}": lesson(first(groups[:n], 4), encode, world) for n in sizes(world)}


def sizes(world: World) -> list[int]:
    return [world.size.questions // part for part in (8, 4, 2, 1)]


def trajectories(world: World, encode: Encode) -> Lessons:
    """(v) More answers to the same questions."""
    groups = hard(world.answers(TEACHER), world)
    return {
        f"trajectories-{n}": lesson(groups, encode, world, diversity=Diversity(num_kept=n, pick="random"))
        for n in (1, 2, 4, 8)
    }


def budgets(world: World, encode: Encode) -> Lessons:
    """(vi) The naive pipeline against ours, on ever more questions: for as many epochs, and for as many steps, which are
    many more epochs over the few examples of ours."""
    found: Lessons = {}
    groups, relu, four = world.answers(TEACHER), Weights(map="relu"), Diversity(num_kept=4)
    for n in sizes(world):
        naive, asked = lesson(groups[:n], encode, world, quality=WRONG_TOO), adaptive(hard(groups[:n], world))
        found[f"naive-{n}"] = naive
        found[f"ours-{n}"] = lesson(asked, encode, world, weights=relu, diversity=four)
        found[f"ours-long-{n}"] = lesson(asked, encode, world, naive.num_steps, weights=relu, diversity=four)
    return found


def adaptive(groups: list[Group]) -> list[Group]:
    """What adaptive sampling would have asked for, and paid."""
    rounds = list(accumulate(Sampling(adaptive=ADAPTIVE).rounds))
    asked = []
    for group in groups:
        parts = (replace(group, rollouts=group.rollouts[:count]) for count in rounds)
        asked.append(next((part for part in parts if part.all_verdicts_agree), group))
    return asked


def teacher_tokens(world: World, name: str) -> int:
    """What the teacher generated for a corpus of (vi), kept or not."""
    kind, count = name.rsplit("-", 1)
    groups = world.answers(TEACHER)[: int(count)]
    asked = groups if kind == "naive" else adaptive(hard(groups, world))
    return sum(rollout.num_tokens for group in asked for rollout in group.rollouts)


def student_tokens(world: World, name: str) -> int:
    """What the student generated before: ours asks it first."""
    kind, count = name.rsplit("-", 1)
    groups = [] if kind == "naive" else world.answers(STUDENT)[: int(count)]
    return sum(rollout.num_tokens for group in groups for rollout in group.rollouts)


EXPERIMENTS: dict[str, Callable[[World, Encode], Lessons]] = {
    "i": teachers, "ii": weighting, "iii": table_three, "iv": corpus_size, "v": trajectories, "vi": budgets,
}  # fmt: skip


def lessons(world: World, encode: Encode) -> Lessons:
    """All of them, and the student before, by name."""
    return {"base": BASE} | {name: one for make in EXPERIMENTS.values() for name, one in make(world, encode).items()}
