"""report.html: a run on one page that works offline and without JavaScript. What models wrote is always escaped."""

import json
from pathlib import Path
from typing import Any, get_args

from jinja2 import Environment, FileSystemLoader

from ded_ray.records import Group, Status, read_records
from ded_ray.report import charts
from ded_ray.report.side_by_side import mixed_first
from ded_ray.run import Run, write_atomically

NUM_SAMPLES = 12
"""Groups in the sample browser."""


def write_report(run: Run) -> Path:
    """Make `report.html` from what the run's folder holds, also when the run is not finished; returns its path."""
    curated = run.folder / "curated"
    groups = list(read_records(curated, Group)) if any(curated.glob("*.parquet")) else []
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    curve_file = run.folder / "checkpoint" / "curve.jsonl"
    curve = [json.loads(line) for line in curve_file.read_text().splitlines()] if curve_file.exists() else []
    ledger, scores = run.ledger(), run.scores()
    page = _environment().get_template("page.html").render(
        recipe=run.recipe,
        recipe_text=(run.folder / "recipe.yaml").read_text(),
        ledger=ledger,
        statuses=get_args(Status),
        weak_walls=any("limits" in line.get("isolation", {}) for line in ledger),
        scores=sorted(scores, key=lambda row: (row["domain"], row["benchmark"])),
        funnel=charts.funnel(ledger) if ledger else None,
        rewards=charts.histogram([r.reward for r in rollouts if r.reward is not None], "reward"),
        weights=charts.histogram([r.weight or 0.0 for r in rollouts if r.dropped_because is None], "loss weight, kept"),
        curve=charts.curve(curve) if curve else None,
        score_chart=charts.scores(scores) if scores else None,
        verdict=_verdict(scores),
        samples=mixed_first(groups, NUM_SAMPLES),
        num_groups=len(groups),
    )  # fmt: skip
    write_atomically(run.folder / "report.html", page)
    return run.folder / "report.html"


def _environment() -> Environment:
    return Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True)


def _verdict(scores: list[dict[str, Any]]) -> list[str]:
    """One sentence per benchmark: how the student stands against its base, and whether the intervals are apart."""
    by_model = {(row["model"], row["benchmark"]): row for row in scores}
    sentences = []
    for (model, benchmark), student in by_model.items():
        base = by_model.get(("base", benchmark))
        if model != "student" or base is None:
            continue
        if student["pass_at_1"] is None or base["pass_at_1"] is None:
            sentences.append(f"{benchmark} ({student['domain']}-domain): not one sample could be checked.")
            continue
        change = student["pass_at_1"] - base["pass_at_1"]
        if student["ci95_low"] > base["ci95_high"]:
            how = "above its base; the intervals do not touch"
        elif student["ci95_high"] < base["ci95_low"]:
            how = "below its base; the intervals do not touch"
        else:
            how = "not told apart from its base; the intervals overlap"
        sentences.append(
            f"{benchmark} ({student['domain']}-domain): student {student['pass_at_1']:.3f}, base {base['pass_at_1']:.3f} "
            f"({change:+.3f}): {how}."
        )
    return sentences
