"""Knobs of what a run may spend."""

from pydantic import NonNegativeFloat, PositiveFloat

from ded_ray.recipe.config import Config


class Budget(Config):
    """Caps on all that a run has spent, reruns and what was made again included. Over a cap the run stops, with all that it
    paid for saved; raise the cap, and the same command goes on."""

    max_gpu_hours: PositiveFloat | None = None
    """The GPUs that a step may hold at most (runtime/needs.py) times the hours that it takes, loading included."""
    max_usd: PositiveFloat | None = None
    """Endpoints by their engines' usd_per_million_..., which every one then needs, and GPUs by usd_per_gpu_hour."""
    usd_per_gpu_hour: NonNegativeFloat | None = None
    """null: no price is known, and max_usd counts endpoints alone."""
