"""The seam: what an engine is, and what it is asked. `load_engine.py` says which recipe makes which.

An engine lives inside one actor. It gets a batch of requests and yields (request, answer) as soon as a group is
complete, in any order. Engines that work on many requests at once are async generators, those that work through a batch
are plain generators. An engine refuses what it cannot answer, with a reason; it raises when it fails, and ends its
process when it is dead, so that Ray replaces it.

    for request, answer in engine.generate([Request(messages, sampling, seed)]):
        ...  # answer is a list of Rollouts, or a Refusal
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from ded_ray.models.chat import Message
from ded_ray.recipe import Sampling
from ded_ray.records import Problem, Rollout


@dataclass(frozen=True, slots=True)
class Request:
    """One group to be made: rollout i of it uses the random stream `seed + i`."""

    messages: list[Message]
    sampling: Sampling
    seed: int
    problem: Problem | None = None  # replay and scripted look things up by it; real models never see it


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request gets no answer: its group goes to quarantine, and the run goes on."""

    reason: str


Answer = tuple[Request, list[Rollout] | Refusal]


class Engine(Protocol):
    def generate(self, requests: list[Request]) -> Iterable[Answer] | AsyncIterator[Answer]: ...


async def as_they_come(
    answer_one: Callable[[Request], Awaitable[list[Rollout] | Refusal]], requests: list[Request]
) -> AsyncIterator[Answer]:
    """Ask all at once and yield each answer when it is there. Raises what the first failing one raised."""

    async def answer(request: Request) -> Answer:
        return request, await answer_one(request)

    tasks = [asyncio.create_task(answer(request)) for request in requests]
    try:
        for done in asyncio.as_completed(tasks):
            yield await done
    finally:
        for task in tasks:
            task.cancel()
