"""The pass rate on held-out questions while a student is trained: what chooses the checkpoint, measured as it is served."""

import asyncio
from dataclasses import replace
from functools import partial

import pytest
import ray
from trainings import groups, recipe

from ded_ray.generate.engine import Request
from ded_ray.generate.engines.transformers import TransformersModel
from ded_ray.recipe import HeldOut, PassRate, Sampling, Verify
from ded_ray.records import Group, Rollout, stable_hash
from ded_ray.runtime.progress import Counts
from ded_ray.train.held_out import PASS_RATE, best_step, split
from ded_ray.train.pass_rate import Grading
from ded_ray.train.ray_train import train
from ded_ray.train.tokens import Tokens
from ded_ray.verify.worker import VerifyWorker


def answers_right(model: str, group: Group, seeds: list[int], max_tokens: int) -> list[bool]:
    """What the embedded engine, which serves, answers with these random streams."""
    engine, verifier = TransformersModel(model), VerifyWorker(Verify())
    sampling = Sampling(num_rollouts=1, max_tokens=max_tokens)
    requests = [Request([{"role": "user", "content": group.prompt}], sampling, seed) for seed in seeds]

    async def ask() -> dict[int, Rollout]:
        return {request.seed: rollouts[0] async for request, rollouts in engine.generate(requests)}

    found = asyncio.run(ask())
    group = verifier.verify_group(replace(group, rollouts=[found[seed] for seed in seeds]))
    verifier.close()
    return [rollout.status == "correct" for rollout in group.rollouts]


def test_the_checkpoint_with_the_best_pass_rate_comes_out_and_is_measured_as_it_is_served(
    ray_cluster, training_tokens, tmp_path
):
    asked = PassRate(num_samples=3, max_tokens=20, questions_at_once=1)
    held_out = HeldOut(fraction=0.3, every_steps=2, pass_rate=asked)
    grading = Grading(training_tokens.parent / "curated", partial(VerifyWorker, Verify()))
    config = {"held_out": held_out, "epochs": 4, "export_dtype": "float32"}
    counts = ray.remote(Counts).remote()
    curve = train(recipe(**config), tokens=training_tokens, folder=tmp_path, name="run", counts=counts, grading=grading)
    measured = {point["step"]: point[PASS_RATE] for point in curve if PASS_RATE in point}
    assert list(measured) == [2, 4, 6, 8]
    best = best_step(curve, held_out)
    assert measured[best] == max(measured.values())
    read = Tokens(training_tokens)
    questions = {read.problem_id(i) for i in split(read, held_out)[1]}
    assert len(questions) == 3, "on two workers one has a question less"
    rates = []
    for group in (group for group in groups() if group.problem_id in questions):
        seeds = [int(stable_hash("pass rate", 0, best, group.problem_id, sample), 16) >> 1 for sample in range(3)]
        rates.append(sum(answers_right(str(tmp_path / "model"), group, seeds, max_tokens=20)) / 3)
    assert sum(rates) / 3 == pytest.approx(measured[best])
