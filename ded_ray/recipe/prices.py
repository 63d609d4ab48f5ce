"""What a GPU is and costs, for `ded-ray plan --prices FILE`. No price is shipped: what is not given is not known.

usd_per_gpu_hour: 2.5
models:
  Qwen/Qwen3-8B: {tokens_per_second_per_gpu: 2100, train_tokens_per_second_per_gpu: 9000}
"""

from pydantic import NonNegativeFloat, PositiveFloat

from ded_ray.recipe.config import Config


class Speed(Config):
    """Measured on your machines. What is null is computed from the GPU's numbers below, see ded_ray/plan/speed.py."""

    tokens_per_second_per_gpu: PositiveFloat | None = None
    """Of answering, all completions at once together; per worker where a worker holds no GPU."""
    train_tokens_per_second_per_gpu: PositiveFloat | None = None
    """Of training, prompts included; per worker where a worker holds no GPU."""


class Prices(Speed):
    """The speeds are those of models that `models` does not name. The defaults are an H100 SXM's (NVIDIA's data sheet)."""

    usd_per_gpu_hour: NonNegativeFloat | None = None
    """null: the recipe's budget.usd_per_gpu_hour, or no price is known."""
    gpu_memory_gib: PositiveFloat = 79
    """What of the 80 GB a driver shows."""
    gpu_tflops: PositiveFloat = 989
    """In bf16, without sparsity."""
    gpu_terabytes_per_second: PositiveFloat = 3.35
    """Of its memory."""
    models: dict[str, Speed] = {}
    """By the recipe's name of a model."""

    def speed_of(self, model: str) -> Speed:
        return self.models.get(model, self)
