"""Whether models fit into the memory of a GPU, by formula, and the smallest change by which what does not fit would.

An engine with P parameters over t x p GPUs (tensor_parallel x pipeline_parallel) holds on each of them

    weights     P x bytes / (t p)
    KV cache    2 layers/p x max(KV heads / t, 1) x head size x 2 bytes for a token (keys and values in bf16)
    workspace   WORKSPACE

and must hold one completion of the longest context at least. What a training holds is in train/memory.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ded_ray.plan.shape import QUANTIZED_BYTES, Shape
from ded_ray.recipe import Fsdp2, Train, TransformersEngine, VllmEngine
from ded_ray.recipe.train import DeepSpeed
from ded_ray.train.memory import memory_of

GIB = 2**30
WORKSPACE = 2.0 * GIB
"""CUDA's context and graphs, NCCL, and the largest activations of an engine. A guess."""
SPARE = 0.08
"""Of a GPU's memory, which a training does not get: CUDA's context, NCCL's buffers, and what the allocator leaves between
tensors. A guess."""
MOST_GPUS = 64
"""Larger numbers are not proposed."""


@dataclass(frozen=True)
class Fit:
    """What one GPU holds, in bytes."""

    what: str
    parts: dict[str, float]
    limit: float | None  # None: a worker without a GPU, whose memory nobody stated
    note: str = ""
    remedy: str = ""  # knobs, as --set takes them; "" where it fits, or where no knob helps

    @property
    def total(self) -> float:
        return sum(self.parts.values())

    @property
    def fits(self) -> bool:
        return self.limit is None or self.total <= self.limit

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {size / GIB:.1f}" for name, size in self.parts.items() if size)
        of = "" if self.limit is None else f" of {self.limit / GIB:.1f}"
        note = f"; {self.note}" if self.note else ""
        return f"{self.what}: {self.total / GIB:.1f}{of} GiB ({parts}){note}"


def fit_of_engine(knob: str, shape: Shape, engine: VllmEngine, gpu_memory: float, *, needed: int) -> Fit:
    """Of vLLM. `needed`: tokens of the longest prompt and answer. Bytes of memory are those of one GPU."""
    fit = _vllm(knob, shape, engine, gpu_memory)
    if fit.fits:
        return fit
    for changed in _smaller_engines(shape, engine, needed):
        if _vllm(knob, shape, engine.model_copy(update=changed), gpu_memory).fits:
            return _with_remedy(fit, {f"{knob}.{name}": value for name, value in changed.items()})
    return fit


def cache_of_engine(shape: Shape, engine: VllmEngine, gpu_memory: float) -> tuple[float, float, float]:
    """Bytes on one GPU of vLLM: (of the weights, of one token's keys and values, that are left for these)."""
    tensor, pipeline = engine.tensor_parallel, engine.pipeline_parallel
    per_weight = {"float32": 4.0}.get(engine.dtype, shape.weight_bytes if shape.weight_bytes < 4 else 2.0)
    if engine.quantization:
        per_weight = QUANTIZED_BYTES.get(engine.quantization, 1.0)
    weights = shape.parameters * per_weight / (tensor * pipeline)
    of_a_token = shape.kv_elements * 2 / pipeline * max(1 / tensor, 1 / shape.kv_heads)
    room = engine.gpu_memory_utilization * gpu_memory - weights - WORKSPACE
    if engine.kv_cache_gib is not None:
        room = min(room, engine.kv_cache_gib * GIB)
    return weights, of_a_token, max(0.0, room)


def cache_of_embedded(shape: Shape, kv_cache_gib: float | None, gpu_memory: float) -> tuple[float, float, float]:
    """The same of the embedded engine."""
    weights = shape.parameters * 2.0
    room = kv_cache_gib * GIB if kv_cache_gib is not None else (gpu_memory - WORKSPACE - weights) / 2
    return weights, shape.kv_elements * 2.0, max(0.0, room)


def _vllm(knob: str, shape: Shape, engine: VllmEngine, gpu_memory: float) -> Fit:
    weights, of_a_token, room = cache_of_engine(shape, engine, gpu_memory)
    context, shards = engine.max_model_len or shape.context or 0, engine.tensor_parallel * engine.pipeline_parallel
    one, limit = of_a_token * context, engine.gpu_memory_utilization * gpu_memory
    at_once = min(engine.max_num_seqs, int(room / one)) if one else 0
    note = f"a token's keys and values take {of_a_token / 2**20:.3f} MiB; room for {at_once} completions of {context} tokens"
    what = f"{knob}, each of {shards} GPUs of an engine" if shards > 1 else f"{knob}, the GPU of an engine"
    return Fit(what, {"weights": weights, "KV cache of one completion": one, "workspace": WORKSPACE}, limit, note)


def _smaller_engines(shape: Shape, engine: VllmEngine, needed: int) -> Iterator[dict[str, int]]:
    """A shorter context first, as far as the run does not need it; then more GPUs, by which the heads can be divided."""
    context = engine.max_model_len or shape.context or 0
    shorter = {"max_model_len": needed} if needed < context else {}
    if shorter:
        yield shorter
    parallel = 2
    while parallel <= MOST_GPUS:
        if shape.heads % parallel == 0 and parallel > engine.tensor_parallel:
            yield {"tensor_parallel": parallel}
            if shorter:
                yield {"tensor_parallel": parallel, **shorter}
        parallel *= 2


def fit_of_embedded(knob: str, shape: Shape, kv_cache_gib: float | None, gpu_memory: float, *, needed: int) -> Fit:
    """Of the embedded engine, which computes in bf16 on one GPU, and by itself takes half of what is left for its cache."""
    weights, of_a_token, room = cache_of_embedded(shape, kv_cache_gib, gpu_memory)
    one = of_a_token * needed
    note = f"room for {int(room / one) if one else 0} completions of {needed} tokens"
    parts = {"weights": weights, "KV cache of one completion": one, "workspace": WORKSPACE}
    fit = Fit(f"{knob}, the GPU of an embedded engine", parts, gpu_memory, note)
    if fit.fits:
        return fit
    alone = _vllm(knob, shape, VllmEngine(), gpu_memory)
    engines = [VllmEngine.model_validate(changed) for changed in _smaller_engines(shape, VllmEngine(), needed)]
    for engine in engines if not alone.fits else [VllmEngine()]:
        if _vllm(knob, shape, engine, gpu_memory).fits:
            chosen = engine.model_dump(include={"tensor_parallel", "max_model_len"}, exclude_defaults=True)
            return _with_remedy(fit, {knob: {"kind": "vllm", **chosen}})
    return fit


def fit_of_training(shape: Shape, train: Train, gpu_memory: float) -> Fit:
    """Of one training worker."""
    fit = _training(shape, train, gpu_memory)
    if fit.fits:
        return fit
    for changed in _smaller_trainings(train):
        if _training(shape, train.model_copy(update=changed), gpu_memory).fits:
            return _with_remedy(fit, {f"train.{name}": value for name, value in changed.items()})
    return fit


def _training(shape: Shape, train: Train, gpu_memory: float) -> Fit:
    limit = (1 - SPARE) * gpu_memory if train.use_gpu else None
    what = f"train, each of {train.workers} {'GPUs' if train.use_gpu else 'workers'}"
    if train.workers == 1:
        what = f"train, the {'GPU' if train.use_gpu else 'worker'}"
    return Fit(what, dict(vars(memory_of(shape.config, train))), limit, f"rows of {train.tokens_per_row} tokens")


def _smaller_trainings(train: Train) -> Iterator[dict[str, object]]:
    """What changes least first: what costs time alone, then what needs more GPUs, and last what drops long examples.

    Shorter rows of the same sequences change nothing but the packing; a shorter max_length trains on less.
    """
    checkpointing: dict[str, object] = {} if train.activation_checkpointing else {"activation_checkpointing": True}
    is_sharded = isinstance(train.strategy, Fsdp2) or (
        isinstance(train.strategy, DeepSpeed) and train.strategy.zero_stage == 3
    )
    sharded: dict[str, object] = {} if is_sharded or train.workers == 1 else {"strategy": Fsdp2()}
    rows: dict[str, object] = {"row_tokens": None} if train.tokens_per_row > train.max_length else {}
    offloaded: dict[str, object] = {"strategy": Fsdp2(cpu_offload=True)}
    yield from (changed for changed in (rows, checkpointing, sharded) if changed)
    yield {**checkpointing, **sharded}
    yield {**rows, **checkpointing, **sharded}
    yield {**rows, **checkpointing, **offloaded}
    workers = 1 << train.workers.bit_length()
    while workers <= MOST_GPUS:
        if train.batch_size % workers == 0:
            yield {**rows, **checkpointing, "strategy": train.strategy if is_sharded else Fsdp2(), "workers": workers}
        workers *= 2
    length = train.max_length // 2
    while length >= 512:
        yield {"max_length": length, "row_tokens": None, **checkpointing, **offloaded}
        length //= 2


def _with_remedy(fit: Fit, knobs: dict[str, object]) -> Fit:
    settings = " ".join(f"--set {_quoted(f'{name}={_yaml(value)}')}" for name, value in knobs.items())
    return Fit(fit.what, fit.parts, fit.limit, fit.note, settings)


def _yaml(value: object) -> str:
    if isinstance(value, Fsdp2):
        value = value.model_dump(exclude_defaults=True) | {"kind": value.kind}
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_yaml(each)}" for name, each in value.items()) + "}"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _quoted(setting: str) -> str:
    """For a shell."""
    return f"'{setting}'" if set(setting) & set("{} ") else setting


def fits_of(models: dict[str, tuple[Shape, TransformersEngine | VllmEngine, int]], gpu_memory: float) -> Iterator[Fit]:
    """Of every model that answers on a GPU, by its knob: (its size, its engine, tokens of the longest prompt and answer)."""
    for knob, (shape, engine, needed) in models.items():
        if isinstance(engine, VllmEngine):
            if engine.device == "gpu":
                yield fit_of_engine(f"{knob}.engine", shape, engine, gpu_memory, needed=needed)
        elif engine.num_gpus:
            yield fit_of_embedded(f"{knob}.engine", shape, engine.kv_cache_gib, gpu_memory, needed=needed)
