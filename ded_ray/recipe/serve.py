"""Knobs of serving a model."""

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from ded_ray.recipe.config import Config, LabelSelector, Workers
from ded_ray.recipe.engines import TransformersEngine, VllmEngine


class Serve(Config):
    engine: Annotated[TransformersEngine | VllmEngine, Field(discriminator="kind")] | None = None
    """The form in which models are served; null: that of the engine by which they answer, and the embedded one for what
    answers by no engine of ours. `vllm` is Ray Serve's own (ray.serve.llm), with this engine's knobs."""
    host: str = "127.0.0.1"
    """Where the endpoint listens. 0.0.0.0: for everybody who reaches the machine, and then a token is wanted."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """0 takes a free one. (An evaluation always does.)"""
    api_key_env: str = "DED_RAY_API_KEY"
    """The environment variable that holds the token which clients must send; unset: none, and then only on this machine."""
    replicas: Workers = 1
    """Of each model, or [min, max]: Ray Serve adds and removes them by the number of requests."""
    num_cpus: PositiveFloat = 1
    """CPUs and computing threads per replica of the embedded form."""
    num_gpus: Annotated[float, Field(ge=0)] = 0
    """GPUs per replica of the embedded form."""
    label_selector: LabelSelector = {}
    """Of the nodes that replicas of the embedded form may be on; vLLM's have their engine's."""
    max_batch_size: PositiveInt = 64
    """Completions that one replica of the embedded form computes at once."""
    kv_cache_gib: PositiveFloat | None = None
    """For keys and values of each model in the embedded form; null: as for that engine."""
    max_tokens: PositiveInt | None = None
    """Most tokens of one completion; null: what the model's context holds."""
    max_body_mib: PositiveFloat = 4
    """Larger requests are refused (413)."""
    max_queued_requests: PositiveInt = 512
    """Requests that wait for a model; further ones are told to come again (429)."""
    timeout_seconds: PositiveFloat = 3600
    """For one request, from its first byte to its last."""
    drain_seconds: Annotated[float, Field(ge=0)] = 5
    """How long requests in flight may still take when the endpoint is stopped."""
