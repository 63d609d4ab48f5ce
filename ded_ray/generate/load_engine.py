"""Which recipe makes which engine. Imports only what that engine needs."""

import os
from pathlib import Path

from pydantic import SecretStr

from ded_ray.errors import BadInput
from ded_ray.generate.engine import Engine
from ded_ray.recipe import Generator, OpenAIEngine, ReplayEngine, ScriptedEngine, TransformersEngine, VllmEngine

NO_KEY = SecretStr("none")


def key_of(generator: Generator) -> SecretStr:
    """The key of an endpoint, from the environment of the driver: actors may run where it is not set. Raises BadInput."""
    if not isinstance(generator.engine, OpenAIEngine) or not generator.engine.api_key_env:
        return NO_KEY
    name = generator.engine.api_key_env
    if not (key := os.environ.get(name)):
        where = generator.engine.base_url
        raise BadInput(f"engine.api_key_env: ${name} is not set; export the key of {where} (or any text)")
    return SecretStr(key)


def load_engine(generator: Generator, save_to: Path, key: SecretStr) -> Engine:
    """The engine of a model, loaded. `save_to` is the folder of its groups; an endpoint's costs are kept there too."""
    match generator.engine:
        case TransformersEngine() as engine:
            from ded_ray.generate.engines.transformers import TransformersModel

            return TransformersModel(
                generator.model,
                chat=generator.chat,
                num_threads=max(1, int(engine.num_cpus)),
                use_gpu=engine.num_gpus > 0,
                max_rows=engine.batch_size * generator.sampling.rounds[0],
                kv_cache_gib=engine.kv_cache_gib,
            )
        case VllmEngine():
            from ded_ray.generate.engines.vllm import VllmModel

            return VllmModel(generator)
        case OpenAIEngine() as engine:
            from ded_ray.generate.engines.budget import costs_file
            from ded_ray.generate.engines.openai import Endpoint

            return Endpoint(generator.model, engine, key=key, costs=save_to / costs_file(generator.model, engine))
        case ReplayEngine() as engine:
            from ded_ray.generate.engines.replay import ReplayFile

            return ReplayFile(engine)
        case ScriptedEngine() as engine:
            from ded_ray.generate.engines.scripted import ScriptedModel

            return ScriptedModel(engine)
