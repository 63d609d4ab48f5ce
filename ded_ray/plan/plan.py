"""What a run will do and take: the one record that every view of a plan shows."""

from dataclasses import dataclass, field
from typing import Any

from ded_ray.plan.cost import Cost
from ded_ray.plan.fit import Fit
from ded_ray.plan.interval import Interval

COMPARED = ("rollouts", "tokens", "seconds", "gpu_hours", "usd")
"""Of a step's cost: what plan.json keeps, to be compared with what it was."""


@dataclass(frozen=True)
class Plan:
    rows: list[tuple[str, str]]  # (stage, what it takes at most)
    prompt_preview: dict[str, str]  # what each model would be shown of the first problem
    warnings: list[str]  # a line on every source with problems that nothing can check
    costs: list[Cost] = field(default_factory=list)  # of each step
    fits: list[Fit] = field(default_factory=list)  # into a GPU
    disk: dict[str, Interval | None] = field(default_factory=dict)  # bytes by what they are for; None: not known
    impossible: list[str] = field(default_factory=list)  # a line on each thing that cannot be, with its remedy
    bases: list[str] = field(default_factory=list)  # what the numbers rest on
    resumed: list[str] = field(default_factory=list)  # what is there already

    @property
    def total(self) -> Cost:
        first, *others = self.costs
        return sum(others, first)

    def to_json(self) -> dict[str, Any]:
        """[low, middle, high] of each number of each step; null for what is not known."""
        return {cost.step: {name: _bounds(getattr(cost, name)) for name in COMPARED} for cost in self.costs}


def _bounds(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.mid, interval.high]
