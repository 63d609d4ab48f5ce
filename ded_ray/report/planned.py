"""A plan with all it costs, on the terminal."""

from rich.table import Table

from ded_ray.plan.cost import Cost
from ded_ray.plan.interval import UNKNOWN, Interval
from ded_ray.plan.plan import Plan
from ded_ray.report.terminal import console, print_line


def show_spending(name: str, plan: Plan) -> None:
    """What each step takes, what a GPU and the disk hold, what is there already, what cannot be, and what that rests on."""
    table = Table(title=f"{name}: about (at least - at most)")
    for heading in ("step", "rollouts", "tokens", "GPUs", "hours", "GPU-hours", "USD"):
        table.add_column(heading, justify="left" if heading == "step" else "right")
    for cost in plan.costs:
        table.add_row(*_cells(cost, cost.step), end_section=cost is plan.costs[-1])
    table.add_row(*_cells(plan.total, "all"))
    console.print(table)
    sections = {
        "memory of a GPU": [str(fit) for fit in plan.fits],
        "disk": [f"{what}: {_said(size, 1e-9, ' GB')}" for what, size in plan.disk.items()],
        "there already": plan.resumed,
        "IMPOSSIBLE": plan.impossible,
        "these numbers rest on": plan.bases,
        "inputs": plan.warnings,
    }
    for heading, lines in sections.items():
        if lines:
            print_line("\n".join([f"\n{heading}", *[f"  {line}" for line in lines]]))


def _cells(cost: Cost, name: str) -> list[str]:
    rollouts = str(cost.rollouts) if cost.rollouts.high else "-"
    spent = [_said(cost.seconds, 1 / 3600), _said(cost.gpu_hours, 1), _said(cost.usd, 1)]
    return [name, rollouts, str(cost.tokens), f"{cost.gpus:g}", *spent]


def _said(interval: Interval | None, scale: float, unit: str = "") -> str:
    return UNKNOWN if interval is None else f"{interval * scale}{unit}"
