"""The seam: what an engine is, what it is asked, and which recipe makes which engine.

An engine lives inside one actor. It gets a batch of requests and yields (request, answer) as soon as a group is
complete, in any order. Those that work on many requests at once are async generators, those that work through a batch
plain ones. What cannot be answered is refused with a reason; an engine that fails raises, and one that is dead ends its
process, so that Ray replaces it.
"""

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from ded_ray.knobs import BadInput
from ded_ray.recipe import Model, OpenAIEngine, ReplayEngine, Sampling, ScriptedEngine, TransformersEngine, VllmEngine
from ded_ray.records import Problem, Rollout, stable_hash

Message = dict[str, str]
"""{"role": "user" | "assistant" | "system", "content": text}"""


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


def group_seed(recipe_seed: int, problem_id: str, model: str) -> int:
    """A 48-bit seed per group: spaced by hashing, because neighbours would share streams (rollout i uses seed + i)."""
    return int(stable_hash("seed", recipe_seed, problem_id, model)[:12], 16)


def identity(who: Model, seed: int) -> str:
    """What makes the answers of a model: its name, kind of engine, sampling, seed; the bytes of replayed answers or
    of an adapter."""
    sampling = json.dumps(who.sampling.identity())
    parts = [who.model, who.engine.identity(), who.chat.rendering(), who.chat.system, sampling, seed]
    files = [Path(who.engine.path)] if isinstance(who.engine, ReplayEngine) else []
    if isinstance(who.engine, VllmEngine) and who.engine.lora:
        files = sorted(path for path in Path(who.engine.lora).iterdir() if path.is_file())
    for path in files:
        with path.open("rb") as file:
            parts.append(hashlib.file_digest(file, "sha256").hexdigest())
    return stable_hash(*parts)


def key_of(who: Model) -> SecretStr:
    """The key of an endpoint, from the environment of the driver: actors may run where it is not set. Raises BadInput."""
    if not isinstance(who.engine, OpenAIEngine):
        return SecretStr("")
    name = who.engine.api_key_env
    if not (key := os.environ.get(name)):
        raise BadInput(f"engine.api_key_env: ${name} is not set; export the key of {who.engine.base_url} (or any text)")
    return SecretStr(key)


def make_engine(who: Model, save_to: Path, key: SecretStr) -> Engine:
    """The engine of a model, loaded. Imports only what that engine needs. `save_to` is where its groups are saved."""
    match who.engine:
        case TransformersEngine() as engine:
            from ded_ray.generate.transformers_engine import TransformersModel

            threads = max(1, int(engine.num_cpus))
            return TransformersModel(who.model, chat=who.chat, num_threads=threads, use_gpu=engine.num_gpus > 0)
        case VllmEngine():
            from ded_ray.generate.vllm_engine import VllmModel

            return VllmModel(who)
        case OpenAIEngine() as engine:
            from ded_ray.generate.openai_engine import Endpoint

            spent = save_to / f".spent-{stable_hash(who.model, engine.base_url)}.jsonl"
            return Endpoint(who.model, engine, key, spent)
        case ReplayEngine() as engine:
            from ded_ray.generate.replay_engine import ReplayFile

            return ReplayFile(engine)
        case ScriptedEngine() as engine:
            from ded_ray.generate.scripted_engine import ScriptedModel

            return ScriptedModel(engine)
