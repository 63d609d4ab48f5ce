"""A run's training: its curve, and in a sentence what it took."""

import json
from collections.abc import Sequence

from ded_ray.run import Run

Curve = Sequence[dict[str, float]]
"""A point for each optimiser step, as train/history.py writes them; what is not known is not in it."""


def curve_of(run: Run) -> list[dict[str, float]]:
    """The points so far; none before there is a trained model."""
    file = run.folder / "checkpoint" / "curve.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def what_it_took(curve: Curve) -> str:
    """Of all steps together. A number that not every step has is left out."""
    parts = [f"{len(curve)} steps"]
    if _has(curve, "num_tokens", "tokens_per_second"):
        tokens = [point["num_tokens"] for point in curve]
        seconds = [point["num_tokens"] / point["tokens_per_second"] for point in curve]
        parts += [f"{sum(tokens)} tokens", f"{sum(tokens) / sum(seconds):.0f} tokens a second"]
        if _has(curve, "padding"):
            positions = sum(count / (1 - point["padding"]) for count, point in zip(tokens, curve, strict=True))
            parts.append(f"padding {max(0.0, 1 - sum(tokens) / positions):.1%}")
        if _has(curve, "mfu"):
            utilised = sum(point["mfu"] * each for point, each in zip(curve, seconds, strict=True)) / sum(seconds)
            parts.append(f"MFU {utilised:.1%}")
    if rates := {int(point["step"]): point["held_out_pass_rate"] for point in curve if "held_out_pass_rate" in point}:
        best = max(rates, key=lambda step: rates[step])
        parts.append(f"best pass rate on held-out questions {rates[best]:.3f} after step {best}")
    return ", ".join(parts)


def _has(curve: Curve, *names: str) -> bool:
    return all(name in point for point in curve for name in names)
