"""Tokens per second of one GPU, where nobody has measured them: a roofline times what is usually reached of it.

With P parameters in all, B completions at once on an engine of g GPUs, each with C tokens before it (on average half of its
answer, and its prompt), and K bytes of keys and values a token:

    answering   B / step, B being what the memory holds; a step reads all weights and all keys and values once (P x bytes
                + B C K), and computes 2 P B operations, whichever takes longer, at REACHED of what g GPUs can
    training    a token takes 6 P operations, and 6 x layers x attention width x length for causal attention; a third more
                with activation checkpointing; at UTILISED of what a GPU can

All parameters count as active: a mixture of experts is faster than this says.
"""

from ded_ray.plan.interval import Interval
from ded_ray.plan.shape import Shape
from ded_ray.recipe import Prices, TransformersEngine, VllmEngine

REACHED = Interval(0.2, 0.45, 0.75)
"""Share of memory bandwidth, or of arithmetic, that an engine reaches. A guess: prefill, sampling and the ends of a batch,
when few completions are left, take the rest."""
PLAIN = Interval(0.02, 0.06, 0.15)
"""The same of the embedded engine, which launches every operation from Python. A guess."""
UTILISED = Interval(0.15, 0.3, 0.45)
"""Of arithmetic, in full fine-tuning on an H100: 0.17 to 0.27 (prime-rl's benchmarks, Qwen3 0.6B and 4B), 0.33 to 0.39
(torchtitan, Llama 3.1 8B), 0.41 (NeMo Automodel, LoRA)."""


def answering_speed(
    shape: Shape, engine: TransformersEngine | VllmEngine, prices: Prices, *, at_once: float, tokens: float
) -> Interval:
    """Tokens per second of one GPU of the engine, which computes `at_once` completions of a mean length (prompt and half
    of the answer) of `tokens`."""
    shards = engine.tensor_parallel * engine.pipeline_parallel if isinstance(engine, VllmEngine) else 1
    read = shape.parameters * shape.weight_bytes + at_once * tokens * shape.kv_elements * 2
    seconds = max(
        read / (shards * prices.gpu_terabytes_per_second * 1e12),
        2 * shape.parameters * at_once / (shards * prices.gpu_tflops * 1e12),
    )
    return (REACHED if isinstance(engine, VllmEngine) else PLAIN) * (at_once / seconds / shards)


def training_speed(shape: Shape, prices: Prices, *, tokens: float, checkpointing: bool) -> Interval:
    """Tokens per second of one GPU, of sequences of `tokens` on average."""
    operations = 6 * shape.parameters + 6 * shape.layers * shape.attention_width * tokens
    return UTILISED * (prices.gpu_tflops * 1e12 / (operations * (4 / 3 if checkpointing else 1)))
