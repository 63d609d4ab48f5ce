"""The last step: scores.json, and the page that shows everything."""

import json
from collections import Counter
from typing import Any

from ded_ray.evaluate.intervals import Bootstrap
from ded_ray.evaluate.scores import paired_change, score
from ded_ray.files.parts import read_records, write_atomically
from ded_ray.records import Group
from ded_ray.run import Run, Stage


def report(run: Run, checkpoint: Stage, evaluations: list[Stage]) -> None:
    """scores.json, one object per model and benchmark; report.html; and the model's card."""
    stage = run.stage("report", [run.recipe.evaluate.identity()], [checkpoint, *evaluations])
    if stage.done and all((run.folder / name).exists() for name in ("scores.json", "report.html")):
        return
    from ded_ray.report.card import write_card
    from ded_ray.report.page import write_report

    stage.begin()
    config = run.recipe.evaluate
    bootstrap, scores = Bootstrap(config.bootstrap_resamples, run.recipe.seed), []
    for evaluation in evaluations:
        model = evaluation.name.removeprefix("evaluate_")
        for benchmark in config.benchmarks:
            file = f"{benchmark.name}.parquet"
            groups = list(read_records(evaluation.folder / file, Group))
            row: dict[str, Any] = {
                "model": model,
                "benchmark": benchmark.name,
                "domain": benchmark.domain,
                **score(groups, bootstrap),
            }
            if model == "student":
                base = list(read_records(run.folder / "evaluate_base" / file, Group))
                row["change_ci95"] = paired_change(groups, base, bootstrap)
            scores.append(row)
    write_atomically(run.folder / "scores.json", json.dumps(scores, indent=1) + "\n")
    write_report(run)
    write_card(run)
    stage.seal("scores", len(scores), Counter(), len(scores))
