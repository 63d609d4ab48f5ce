"""The rules over real rollouts: what they drop can be read and agreed with, and books balance."""

import json
from collections import Counter
from itertools import groupby

import pytest
from conftest import shared

from ded_ray.curate.group import curate_group
from ded_ray.curate.quality import RULES
from ded_ray.curate.rules import loops
from ded_ray.curate.rules.answer import Answer
from ded_ray.models.surprisal import Reader
from ded_ray.recipe import Curate, Diversity, Quality, Weights
from ded_ray.records import Group, Problem, Rollout, examples_of


def rows(name):
    return [json.loads(line) for line in shared(name).read_text().strip().split("\n")]


def test_real_reasoning_is_dropped_where_it_lost_its_way_and_nowhere_else():
    found = []
    for row in rows("math500_rollouts.jsonl"):
        answer = Answer(row["completion"], len(row["completion"].split()), row["prompt"])
        found += [(rule.NAME, row) for rule in RULES if rule.drops(answer, Quality())]
    assert [name for name, _ in found] == ["loops"] * 4, "of 300; each was looked at"
    repeated = ["For example, if we have", "Final Answer:", "Final Answer:", "s define:"]
    for (_, row), phrase in zip(found, repeated, strict=True):
        assert row["completion"][-2000:].count(phrase) >= 4, "the same to the end"
        assert loops.longest_loop(row["completion"].split()) > 500


def groups():
    for problem_id, rollouts in groupby(rows("gsm8k_rollouts.jsonl"), key=lambda row: row["problem_id"]):
        told = list(rollouts)
        problem = Problem(problem_id=problem_id, prompt=told[0]["prompt"], answer=told[0]["answer"])
        made = [
            Rollout(index=i, completion=row["completion"], num_tokens=0, finish_reason="stop", seed=i,
                    status="correct" if row["is_correct"] else "wrong", reward=float(row["is_correct"]))
            for i, row in enumerate(told)
        ]  # fmt: skip
        yield Group.of(problem, problem_id, "m", made)


@pytest.mark.parametrize("pick", ["farthest", "farthest_sum", "random", "longest", "shortest"])
def test_real_groups_are_curated_and_the_books_balance(pick):
    config = Curate(diversity=Diversity(num_kept=2, pick=pick, over="words"))
    reasons, kept = Counter(), 0
    for group in groups():
        right = len({r.completion for r in group.rollouts if r.status == "correct"})
        curated = curate_group(group, config, lambda text: text.split())
        reasons.update(r.dropped_because for r in curated.rollouts)
        assert len(examples_of(curated)) == min(2, right)
        kept += len(examples_of(curated))
    assert reasons.total() == 1600
    assert reasons[None] == kept > 300
    assert set(reasons) == {None, "wrong", "not_picked"}


@pytest.mark.parametrize("kind", ["softmax", "relu", "clip", "signed"])
def test_real_groups_get_weights_that_favour_what_is_right(kind):
    mixed = 0
    for group in groups():
        weights = Weights(map=kind, advantage="leave_one_out")
        config = Curate(weights=weights, quality=Quality(keep_wrong=True), diversity=Diversity(num_kept=None))
        curated = curate_group(group, config, lambda text: text.split())
        right = [r.weight for r in curated.rollouts if r.status == "correct"]
        wrong = [r.weight for r in curated.rollouts if r.status == "wrong"]
        if right and wrong:
            mixed += 1
            assert min(right) > max(wrong)
            assert (max(wrong) < 0) == (kind == "signed")
            if kind == "softmax":
                assert sum(right) + sum(wrong) == pytest.approx(len(curated.rollouts))
    assert mixed > 100


def test_the_lowest_rank_surprisal_ratio_of_real_answers_is_kept():
    reader = Reader("tiny/student")
    mixed = [group for group in groups() if sum(r.status == "correct" for r in group.rollouts) >= 3][:6]
    config = Curate(diversity=Diversity(num_kept=1, pick="lowest_rsr"))
    for group in mixed:
        surprises = reader.surprises([(group.prompt, rollout.completion) for rollout in group.rollouts])
        for rollout, surprise in zip(group.rollouts, surprises, strict=True):
            rollout.rsr = surprise.rsr
        [kept] = examples_of(curate_group(group, config, lambda text: text.split()))
        assert group.rollouts[kept.index].rsr == min(r.rsr for r in group.rollouts if r.status == "correct")
