"""Asks an OpenAI-compatible endpoint every problem, with OpenAI's own client: what is measured is what is served."""

import asyncio
from typing import Any

from openai import AsyncOpenAI

from ded_ray.generate.engine import group_seed
from ded_ray.recipe import Sampling
from ded_ray.records import Group, Problem, Rollout, stable_hash

REQUEST_TIMEOUT_SECONDS = 600


def ask(
    problems: list[Problem], base_url: str, model: str, sampling: Sampling, concurrency: int, seed: int, counts: Any
) -> list[Group]:
    """One group per problem, in their order. Raises openai.OpenAIError when the endpoint keeps failing."""
    return asyncio.run(_ask_all(problems, base_url, model, sampling, concurrency, seed, counts))


async def _ask_all(
    problems: list[Problem], base_url: str, model: str, sampling: Sampling, concurrency: int, seed: int, counts: Any
) -> list[Group]:
    places = asyncio.Semaphore(concurrency)
    async with AsyncOpenAI(base_url=base_url, api_key="none", timeout=REQUEST_TIMEOUT_SECONDS, max_retries=5) as client:

        async def ask_one(problem: Problem) -> Group:
            async with places:
                group = await _ask_one(client, problem, model, sampling, seed)
            counts.add.remote(
                done=1,
                rollouts=len(group.rollouts),
                tokens=sum(r.num_tokens for r in group.rollouts),
                cut_off=sum(r.finish_reason == "length" for r in group.rollouts),
            )
            return group

        return await asyncio.gather(*[ask_one(problem) for problem in problems])


async def _ask_one(client: AsyncOpenAI, problem: Problem, model: str, sampling: Sampling, seed: int) -> Group:
    # Every model gets the same seed for the same problem: differences between models are differences of models.
    seed = group_seed(seed, problem.problem_id, "evaluate")
    response = await client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": problem.prompt}],
        n=sampling.num_rollouts,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_tokens=sampling.max_tokens,
        seed=seed,
    )
    tokens = response.usage.completion_tokens if response.usage else 0
    rollouts = [
        Rollout(
            index=choice.index,
            completion=choice.message.content or "",
            num_tokens=tokens // len(response.choices),  # the API only tells the sum: the mean stands for each
            finish_reason="length" if choice.finish_reason == "length" else "stop",
            seed=seed + choice.index,
        )
        for choice in response.choices
    ]
    return Group.of(problem, stable_hash(problem.problem_id, model, sampling.model_dump_json(), seed), model, rollouts)
