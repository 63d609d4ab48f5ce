"""After a run: what was planned beside what it was."""

import json
from collections import defaultdict
from typing import Any

from ded_ray.plan.interval import UNKNOWN, short
from ded_ray.plan.plan import COMPARED
from ded_ray.report.training import curve_of
from ded_ray.run import Run
from ded_ray.runtime.needs import step_of
from ded_ray.runtime.spending import read_spent


def planned_beside_actual(run: Run) -> list[list[str]]:
    """Headings, then a line for each number of each step that is known by now; nothing for a run without a plan."""
    file = run.folder / "plan.json"
    if not file.exists():
        return []
    planned, actual, lines = json.loads(file.read_text())["steps"], _actual(run), list[list[str]]()
    for step, numbers in planned.items():
        for name in COMPARED:
            found, bounds = actual.get(step, {}).get(name), numbers[name]
            if found is None or (bounds is not None and not any(bounds) and not found):
                continue
            middle = [UNKNOWN, "-"] if bounds is None else [short(bounds[1]), f"{short(bounds[0])} - {short(bounds[2])}"]
            lines.append([step, name.replace("_", "-"), *middle, short(found)])
    return [["step", "what", "planned", "between", "actual"], *lines] if lines else []


def _actual(run: Run) -> dict[str, dict[str, Any]]:
    """By step: rollouts and tokens of the ledger, the training's own, and seconds and GPU-hours that were spent."""
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for line in run.ledger():
        if "num_rollouts" in line and not line["stage"].endswith("_verdicts"):
            step = found[step_of(line["stage"])]
            step["rollouts"] = step.get("rollouts", 0) + line["num_rollouts"]
            step["tokens"] = step.get("tokens", 0) + line["num_tokens"]
    if curve := curve_of(run):
        found["train"]["tokens"] = sum(point["num_tokens"] for point in curve)
    for name, numbers in read_spent(run.folder / "spent.json").items():
        found[name] |= numbers
    return found
