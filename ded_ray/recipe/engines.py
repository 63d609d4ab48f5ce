"""Knobs of what answers: the engines behind the seam of `ded_ray/generate/engine.py`."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from ded_ray.recipe.config import Config, LabelSelector, Rate, Workers, least_and_most


class TransformersEngine(Config):
    """The embedded engine: `transformers` with continuous batching, on the CPU or one GPU per worker."""

    SPEED = frozenset({"workers", "batch_size", "num_cpus", "num_gpus", "kv_cache_gib", "label_selector"})

    kind: Literal["transformers"] = "transformers"
    workers: Workers = 1
    """Number of engine actors, or [min, max]."""
    batch_size: PositiveInt = 16
    """Problems that a worker answers at the same time, each `num_rollouts` times."""
    num_cpus: PositiveFloat = 1
    """CPUs and computing threads per worker."""
    num_gpus: Annotated[float, Field(ge=0)] = 0
    label_selector: LabelSelector = {}
    """Of the nodes that workers may be on."""
    kv_cache_gib: PositiveFloat | None = None
    """For keys and values; where they do not fit, the shortest completions make room, and are computed again later. null: on
    a GPU half of what the model leaves free, on the CPU 4."""


class VllmEngine(Config):
    """vLLM: one engine per worker, continuous batching over all groups in flight."""

    SPEED = frozenset({
        "device", "workers", "batch_size", "tensor_parallel", "pipeline_parallel", "num_cpus", "max_num_seqs", "in_flight",
        "gpu_memory_utilization", "kv_cache_gib", "enforce_eager", "timeout_seconds", "stall_seconds", "max_deaths",
        "max_model_len", "label_selector",
    })  # fmt: skip

    kind: Literal["vllm"] = "vllm"
    device: Literal["gpu", "cpu"] = "gpu"
    """cpu: vLLM's CPU build."""
    workers: Workers = 1
    """Number of engines, or [min, max]. A pool that shrinks kills loaded engines, which take minutes to load: let it grow
    where nodes come late or may be lost, and keep both numbers equal elsewhere."""
    tensor_parallel: PositiveInt = 1
    pipeline_parallel: PositiveInt = 1
    """An engine takes tensor_parallel x pipeline_parallel GPUs, one bundle each of a placement group of its own."""
    num_cpus: PositiveFloat = 1
    """Per engine; on the CPU also its computing threads."""
    label_selector: LabelSelector = {}
    """Of the nodes that engines may be on."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """auto: the checkpoint's own; on a CPU that has no bfloat16 float32, which is much faster there."""
    quantization: str | None = None
    """A method that vLLM knows (fp8, bitsandbytes, ...); checkpoints that are quantised already say so themselves."""
    lora: str | None = None
    """Folder of a LoRA adapter to answer with."""
    max_model_len: PositiveInt | None = None
    """Context of the engine in tokens; null: the model's own."""
    max_num_seqs: PositiveInt = 256
    """Completions that one engine computes at the same time."""
    in_flight: PositiveFloat = 2
    """Completions handed to an engine, as a multiple of max_num_seqs: what waits inside it fills every place at once."""
    gpu_memory_utilization: Rate = 0.9
    kv_cache_gib: PositiveFloat | None = None
    """null: on a GPU what gpu_memory_utilization leaves, on the CPU 1."""
    enforce_eager: bool = False
    engine_args: dict[str, Any] = {}
    """Any other argument of vLLM's AsyncEngineArgs, under vLLM's name."""
    batch_size: PositiveInt = 1
    """Problems per Ray task. 1 hands every group on the moment it is complete; more where groups take milliseconds."""
    timeout_seconds: PositiveFloat = 3600
    """For one group, waiting included; then it goes to quarantine.jsonl."""
    stall_seconds: PositiveFloat = 600
    """An engine that has work and makes no token for this many seconds counts as hung, and is replaced."""
    max_deaths: PositiveInt = 20
    """Engines that may die and be replaced in one stage, all workers together, before the run gives up."""

    @model_validator(mode="after")
    def _consistent(self) -> "VllmEngine":
        if self.stall_seconds >= self.timeout_seconds:
            raise ValueError(
                "stall_seconds: must be below timeout_seconds, else a hung engine quarantines what it was asked"
            )
        smallest, largest = least_and_most(self.workers)
        if smallest != largest and self.tensor_parallel * self.pipeline_parallel > 1:
            raise ValueError("workers: engines over several GPUs are a pool of fixed size")
        return self


def _plain_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("write it as https://HOST/v1")
    if parts.username or parts.password or parts.query:
        raise ValueError("holds a name, a password or a query; keys belong into the environment, see api_key_env")
    return url


class OpenAIEngine(Config):
    """Any OpenAI-compatible endpoint. `model` is the name that it serves."""

    SPEED = frozenset({
        "base_url", "api_key_env", "in_flight", "requests_per_minute", "tokens_per_minute", "max_usd", "max_tokens_spent",
        "usd_per_million_prompt_tokens", "usd_per_million_completion_tokens", "timeout_seconds", "max_retries",
        "choices_per_request", "max_tokens_name", "batch_size",
    })  # fmt: skip

    kind: Literal["openai"] = "openai"
    base_url: Annotated[str, AfterValidator(_plain_url)] = "https://api.openai.com/v1"
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the key; the key itself is never written anywhere. "": none is needed."""
    in_flight: PositiveInt = 64
    """Problems asked at the same time."""
    batch_size: PositiveInt = 1
    """Problems per Ray task. 1 hands every group on the moment it is complete; more where answers take less than a second,
    as Ray Data starts some ten tasks per second."""
    requests_per_minute: PositiveFloat | None = None
    tokens_per_minute: PositiveFloat | None = None
    """Prompt and completion tokens together; before an answer is there, max_tokens stand for it."""
    max_tokens_spent: PositiveInt | None = None
    max_usd: PositiveFloat | None = None
    """Caps on all that this run has spent on this stage, reruns included. A group is only begun when the most that it can
    cost still fits; when none does, the run stops with all that it paid for saved."""
    usd_per_million_prompt_tokens: NonNegativeFloat | None = None
    usd_per_million_completion_tokens: NonNegativeFloat | None = None
    """Both are needed for max_usd."""
    choices_per_request: PositiveInt | None = None
    """Completions per request (`n`); null: all that are missing. 1 for endpoints that refuse more."""
    send_seed: bool = True
    """false for endpoints that refuse a `seed`."""
    logprobs: bool = False
    """Ask for the log-probabilities of the sampled tokens (mean_logprob); not every endpoint has them."""
    max_tokens_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    extra_body: dict[str, Any] = {}
    """More fields of the request's body, as the endpoint wants them."""
    timeout_seconds: PositiveFloat = 600
    """For one request."""
    max_retries: PositiveInt = 8
    """Per request, with exponential back-off and jitter. Then the group goes to quarantine.jsonl if the endpoint answered
    others meanwhile, else the run stops."""

    @property
    def is_priced(self) -> bool:
        return None not in (self.usd_per_million_prompt_tokens, self.usd_per_million_completion_tokens)

    @model_validator(mode="after")
    def _priced(self) -> "OpenAIEngine":
        if self.max_usd and not self.is_priced:
            raise ValueError("max_usd: needs usd_per_million_prompt_tokens and usd_per_million_completion_tokens")
        return self


class ReplayEngine(Config):
    """Rollouts that you already have: one row per rollout, or lists of them."""

    kind: Literal["replay"] = "replay"
    path: str
    """As `path` of problems: a file, a folder of shards, a pattern, or a data set of the hub."""
    problem_id_column: str | None = "problem_id"
    """null: rollouts find their problem by its prompt (`prompt_column`)."""
    prompt_column: str = "prompt"
    completion_column: str = "completion"
    """A text, a chat message, or a list of messages that ends with the assistant's turn, which is taken; or a list of these
    (OpenR1-style `generations`). Null: a rollout that never came; it is `unverifiable`."""
    finish_reason_column: str | None = None
    """Reasons in any provider's words (models/finish_reason.py). Cut off at a token limit: `truncated`; one that is not
    known, null included: `unverifiable`. Left out: every rollout counts as finished."""


class ScriptedEngine(Config):
    """A fake for tests and scale runs: knows the answers, and errs and gets cut off at known rates."""

    SPEED = frozenset({"workers", "batch_size", "num_gpus", "seconds_per_group", "dies_at", "notes"})

    kind: Literal["scripted"] = "scripted"
    error_rate: Rate = 0.3
    cut_off_rate: Rate = 0.0
    workers: Workers = 1
    batch_size: PositiveInt = 64
    num_gpus: Annotated[float, Field(ge=0)] = 0
    """Held per worker, and left alone."""
    seconds_per_group: Annotated[float, Field(ge=0)] = 0
    """Seconds that each group pretends to take."""
    dies_at: str | None = None
    """The process of the engine ends, as by a kill, whenever it comes to the problem of this id."""
    notes: str | None = None
    """A file that gets a line, the problem's id, for every group that is made."""


EngineConfig = Annotated[
    TransformersEngine | VllmEngine | OpenAIEngine | ReplayEngine | ScriptedEngine, Field(discriminator="kind")
]
