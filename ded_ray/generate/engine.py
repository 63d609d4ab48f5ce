"""The seam: what an engine is, what it is asked, and which recipe makes which engine.

An engine lives inside one actor. It gets a batch of requests and yields (request, rollouts) as soon as a group is
complete, in any order; a vLLM engine yields one by one, a batched one all at the end. An engine that fails raises.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ded_ray.knobs import Knobs
from ded_ray.recipe import Model, ReplayEngine, Sampling, ScriptedEngine, TransformersEngine
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


class Engine(Protocol):
    def generate(self, requests: list[Request]) -> Iterable[tuple[Request, list[Rollout]]]: ...


def group_seed(recipe_seed: int, problem_id: str, model: str) -> int:
    """A 48-bit seed per group: spaced by hashing, because neighbours would share streams (rollout i uses seed + i)."""
    return int(stable_hash("seed", recipe_seed, problem_id, model)[:12], 16)


def identity(who: Model, seed: int) -> str:
    """What makes the answers of a model: its name, kind of engine, sampling, seed; for replayed ones the file's bytes."""
    parts = [who.model, who.engine.identity(), who.sampling.model_dump_json(), seed]
    if isinstance(who.engine, ReplayEngine):
        with Path(who.engine.path).open("rb") as file:
            parts.append(hashlib.file_digest(file, "sha256").hexdigest())
    return stable_hash(*parts)


def make_engine(model: str, engine: Knobs) -> Engine:
    """The engine of a recipe, its model loaded. Imports only what that engine needs."""
    match engine:
        case TransformersEngine():
            from ded_ray.generate.transformers_engine import TransformersModel

            return TransformersModel(model, num_threads=max(1, int(engine.num_cpus)), use_gpu=engine.num_gpus > 0)
        case ReplayEngine():
            from ded_ray.generate.replay_engine import ReplayFile

            return ReplayFile(engine)
        case ScriptedEngine():
            from ded_ray.generate.scripted_engine import ScriptedModel

            return ScriptedModel(engine.error_rate, engine.cut_off_rate)
    raise TypeError(f"no engine for {type(engine).__name__}")
